"""The kinds that the server serves, by every name that people type.

The kinds of the CRDs and events are known here, so that an ordinary command needs one request; any other name is
looked up in the server's CustomResourceDefinitions.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from strata.cli.client import Client
from strata.cli.failures import CliFailure

Json = dict[str, Any]

GROUP = "strata.dev"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceType:
    """A kind as discovery describes it. `group` "" is the core group."""

    kind: str
    plural: str
    singular: str
    group: str = GROUP
    version: str = "v1alpha1"
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def collection(self, namespace: str | None) -> str:
        """The path of all objects, or of those of one namespace."""
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.version}"
        inside = f"/namespaces/{namespace}" if namespace and self.namespaced else ""
        return f"{root}{inside}/{self.plural}"

    def path(self, name: str, namespace: str | None) -> str:
        return f"{self.collection(namespace)}/{name}"

    def named(self, text: str) -> bool:
        """Whether people mean this kind by `text` (lower case): layers, layer, layers.strata.dev, a short name."""
        name, _, group = text.partition(".")
        if group and group not in (self.group, f"{self.version}.{self.group}"):
            return False
        return name in (self.plural, self.singular, self.kind.lower(), *self.short_names)


_OURS = ("all", "strata")
STACK = ResourceType(
    kind="Stack", plural="stacks", singular="stack", namespaced=False, short_names=("st",), categories=_OURS
)
LAYER = ResourceType(kind="Layer", plural="layers", singular="layer", short_names=("ly",), categories=_OURS)
INSTANCE = ResourceType(kind="Instance", plural="instances", singular="instance", short_names=("in",), categories=_OURS)
REVISION = ResourceType(
    kind="LayerRevision",
    plural="layerrevisions",
    singular="layerrevision",
    short_names=("lyr",),
    categories=("strata",),
)
EVENT = ResourceType(kind="Event", plural="events", singular="event", group="", version="v1", short_names=("ev",))
CRD = ResourceType(
    kind="CustomResourceDefinition",
    plural="customresourcedefinitions",
    singular="customresourcedefinition",
    group="apiextensions.k8s.io",
    version="v1",
    namespaced=False,
    short_names=("crd", "crds"),
)
BUILT_IN = (STACK, LAYER, INSTANCE, REVISION, EVENT, CRD)

# What is applied before what; the reverse when deleting. A kind that is not named here comes last.
ORDER = (STACK.kind, LAYER.kind, INSTANCE.kind)


def order_of(kind: str) -> int:
    return ORDER.index(kind) if kind in ORDER else len(ORDER)


class Catalog:
    """Names to kinds, for one server."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def find(self, text: str) -> ResourceType:
        """The kind of this name in any case. Raises CliFailure for a name that the server does not know either."""
        wanted = text.lower()
        for found in self._lazily():
            if found.named(wanted):
                return found
        known = ", ".join(sorted({found.plural for found in self._lazily()}))
        raise CliFailure(f'the server has no resource type "{text}"; it has: {known}')

    def of_document(self, api_version: str, kind: str) -> ResourceType:
        """The kind that a document names. Raises CliFailure if this server does not serve it in this version."""
        for found in self._lazily():
            if (found.kind, found.api_version) == (kind, api_version):
                return found
        versions = sorted({found.api_version for found in self._lazily() if found.kind == kind})
        hint = f"; it serves {kind} in {', '.join(versions)}" if versions else ""
        raise CliFailure(f'the server has no kind "{kind}" in version "{api_version}"{hint}')

    def in_category(self, category: str) -> list[ResourceType]:
        """The kinds that `get CATEGORY` means, in dependency order."""
        found = [resource for resource in self.served if category in resource.categories]
        return sorted(found, key=lambda resource: order_of(resource.kind))

    @cached_property
    def definitions(self) -> list[Json]:
        """The server's CustomResourceDefinitions."""
        items: list[Json] = self._client.list(CRDS)["items"]
        return items

    @cached_property
    def served(self) -> list[ResourceType]:
        """Every kind with a CustomResourceDefinition."""
        return [described for item in self.definitions for described in _described(item)]

    def schema_of(self, resource: ResourceType) -> Json:
        """The OpenAPI v3 schema of this kind. Raises CliFailure if the server has none."""
        for item in self.definitions:
            spec = item["spec"]
            if (spec["group"], spec["names"]["kind"]) == (resource.group, resource.kind):
                for version in spec["versions"]:
                    if version["name"] == resource.version:
                        schema: Json = version["schema"]["openAPIV3Schema"]
                        return schema
        raise CliFailure(f"the server has no schema of {resource.kind}")

    def _lazily(self) -> Iterator[ResourceType]:
        yield from BUILT_IN
        yield from self.served


def _described(definition: Json) -> Iterator[ResourceType]:
    spec = definition["spec"]
    names = spec["names"]
    for version in spec["versions"]:
        if version.get("served", True):
            yield ResourceType(
                kind=names["kind"],
                plural=names["plural"],
                singular=names.get("singular") or names["kind"].lower(),
                group=spec["group"],
                version=version["name"],
                namespaced=spec["scope"] == "Namespaced",
                short_names=tuple(names.get("shortNames") or ()),
                categories=tuple(names.get("categories") or ()),
            )
