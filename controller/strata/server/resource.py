"""What the API serves from the store: each collection's names, keys, columns, and how a stored value is shown."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import structlog

from strata.resources.kinds import Kind
from strata.resources.schema import Column, Definition, definitions
from strata.server.failures import Target
from strata.store.port import KeyValue

Document = dict[str, Any]

AGE = Column("Age", "date", ".metadata.creationTimestamp", description="Time since creation")
_log = structlog.get_logger(__name__)

_READING_VERBS = ("get", "list", "watch")
_WRITING_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
METADATA_FIELDS = frozenset({"metadata.name", "metadata.namespace"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A collection. `prefix` is the store's prefix of all its objects; `show` makes of a stored document what
    clients see, and may change it in place. `definition` is set for the kinds of crds/."""

    group: str
    version: str
    plural: str
    singular: str
    kind: str
    namespaced: bool
    prefix: str
    show: Callable[[Document], Document]
    columns: tuple[Column, ...] = field(default=(AGE,), repr=False)
    selectable: frozenset[str] = METADATA_FIELDS
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = _READING_VERBS
    definition: Definition | None = field(default=None, repr=False)
    # Subresources as discovery names them: path, kind, group and version.
    subresources: tuple[tuple[str, str, str, str], ...] = field(default=())

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def path(self) -> str:
        """The collection's URL, without namespace."""
        return f"/apis/{self.api_version}" if self.group else f"/api/{self.version}"

    def prefix_of(self, namespace: str) -> str:
        """The store's prefix of one namespace's objects; "" means all."""
        return f"{self.prefix}{namespace}/" if self.namespaced and namespace else self.prefix

    def key(self, namespace: str, name: str) -> str:
        return f"{self.prefix_of(namespace)}{name}"

    def names(self, key: str) -> tuple[str, str]:
        """Namespace and name of the object at this key."""
        namespace, _, name = key.removeprefix(self.prefix).rpartition("/")
        return namespace, name

    def target(self, name: str, uid: str = "") -> Target:
        return Target(self.group, self.plural, name, uid)

    def render(self, kv: KeyValue, revision: int = 0) -> Document:
        """The stored object as clients see it, at `revision` (0: at its own).

        A value that is no object at all is shown as a bare name, so that it spoils no list and can be deleted.
        """
        document = _decode(kv.value)
        if document is None:
            _log.error("the store holds a value that is no object", key=kv.key)
            return self.placeholder(kv.key, revision or kv.mod_revision)
        document = self.show(document)
        document["metadata"]["resourceVersion"] = str(revision or kv.mod_revision)
        return document

    def placeholder(self, key: str, revision: int) -> Document:
        """What can be said of an object whose state nobody has (any more)."""
        namespace, name = self.names(key)
        metadata = {"name": name, **({"namespace": namespace} if namespace else {}), "resourceVersion": str(revision)}
        return {"apiVersion": self.api_version, "kind": self.kind, "metadata": metadata}


def _decode(value: bytes) -> Document | None:
    try:
        document = msgspec.json.decode(value)
    except msgspec.DecodeError:
        return None
    return document if isinstance(document, dict) and isinstance(document.get("metadata"), dict) else None


def custom_resources() -> Iterator[Resource]:
    """The kinds of crds/."""
    for definition in definitions().values():
        yield _custom_resource(definition)


def _custom_resource(definition: Definition) -> Resource:
    def show(document: Document) -> Document:
        definition.fill(document)
        return document

    kind: Kind = definition.kind
    subresources = [("status", kind.kind, definition.group, definition.version)] if kind.writable else []
    if definition.scale:
        subresources.append(("scale", "Scale", "autoscaling", "v1"))
    return Resource(
        group=definition.group,
        version=definition.version,
        plural=kind.plural,
        singular=definition.singular,
        kind=kind.kind,
        namespaced=kind.namespaced,
        prefix=kind.prefix(),
        show=show,
        columns=definition.columns or (AGE,),
        selectable=METADATA_FIELDS if kind.namespaced else frozenset({"metadata.name"}),
        short_names=definition.short_names,
        categories=definition.categories,
        verbs=_WRITING_VERBS if kind.writable else _READING_VERBS,
        definition=definition,
        subresources=tuple(subresources),
    )


def partial(document: Mapping[str, Any]) -> Document:
    """The object's metadata alone."""
    return {"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": document["metadata"]}
