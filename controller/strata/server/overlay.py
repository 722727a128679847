"""The stored objects of some stacks as they would be if documents were applied. Writes nothing.

Each document is admitted as a write would be.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field

import msgspec

from strata.resources.codec import decode_object
from strata.resources.instance import Instance
from strata.resources.kinds import INSTANCE, LAYER, STACK, Kind
from strata.resources.layer import Layer
from strata.resources.meta import Record, is_true
from strata.resources.stack import Stack
from strata.server.context import Context
from strata.server.failures import bad_request
from strata.server.resource import Document, Resource
from strata.server.writing import WriteOptions, admit_new, admit_next
from strata.store.port import KeyValue

_KINDS = {kind.kind: kind for kind in (STACK, LAYER, INSTANCE)}
_UNTOUCHED = ("uid", "resourceVersion")  # it is asked what would be, not of one revision
_OPTIONS = WriteOptions(dry_run=True)
_AT_ONCE = 200  # objects that are decoded in one go

_Key = tuple[str, str, str]  # kind, namespace, name


@dataclass(slots=True)
class Overlay:
    """`before` are the stored objects, `after` those with the documents laid over them, `named` what the documents are
    about, `unreadable` what nobody can decode."""

    before: dict[_Key, Record] = field(default_factory=dict)
    after: dict[_Key, Record] = field(default_factory=dict)
    named: list[_Key] = field(default_factory=list)
    unreadable: set[_Key] = field(default_factory=set)

    def stack(self, name: str) -> Stack | None:
        found = self.after.get((STACK.kind, "", name))
        return found if isinstance(found, Stack) else None

    def layers(self) -> list[Layer]:
        """The layers that the documents may change: those named, and all of a stack that is named."""
        named = set(self.named)
        stacks = {name for kind, _, name in self.named if kind == STACK.kind}
        found = (
            one
            for key, one in self.after.items()
            if isinstance(one, Layer) and (key in named or one.metadata.namespace in stacks)
        )
        return sorted(found, key=lambda one: (one.metadata.namespace, one.metadata.name))

    def protected(self, namespace: str) -> frozenset[str]:
        """The stack's layers whose breaker is open."""
        layers = (one for one in self.after.values() if isinstance(one, Layer) and one.metadata.namespace == namespace)
        return frozenset(one.metadata.name for one in layers if is_true(one.status.conditions, "Protected"))

    def members(self) -> dict[tuple[str, str], list[Instance]]:
        """The Instances by their stack and first layer."""
        found: dict[tuple[str, str], list[Instance]] = {}
        for one in self.after.values():
            if isinstance(one, Instance):
                found.setdefault((one.metadata.namespace, one.spec.layers[0]), []).append(one)
        return found

    def by_hand(self) -> Iterator[tuple[Instance | None, Instance]]:
        """The hand-made Instances that the documents are about, as they were and as they would be."""
        for key in self.named:
            before, after = self.before.get(key), self.after.get(key)
            if isinstance(after, Instance):
                yield (before if isinstance(before, Instance) else None), after


class Overlayer:
    """Makes overlays of what the store holds."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._resources = {one.kind: one for one in context.resources if one.kind in _KINDS and one.definition}

    async def lay(self, documents: Iterable[Document]) -> Overlay:
        """Read the stacks concerned and lay the documents over them. Raises Refusal for one that no write would take,
        and what the store raises."""
        placed = [(self._resource(document), document) for document in documents]
        overlay = Overlay(named=[_key(resource, document) for resource, document in placed])
        stored: dict[_Key, KeyValue] = {}
        for stack in sorted({namespace or name for _, namespace, name in overlay.named}):
            async for key, kv in self._stored(stack):
                stored[key] = kv
                _put(overlay, overlay.before, key, kv.value)
                if len(stored) % _AT_ONCE == 0:
                    await asyncio.sleep(0)  # others have their turns
        overlay.after = dict(overlay.before)
        for key, (resource, document) in zip(overlay.named, placed, strict=True):
            admitted = self._admitted(resource, key, document, stored.get(key))
            _put(overlay, overlay.after, key, msgspec.json.encode(admitted))
        return overlay

    def _admitted(self, resource: Resource, key: _Key, document: Document, old: KeyValue | None) -> Document:
        metadata = {name: value for name, value in document["metadata"].items() if name not in _UNTOUCHED}
        wanted = {**document, "metadata": metadata}
        if old is None:
            return admit_new(resource, key[1], wanted, _OPTIONS, now=self._context.clock.now())[0]
        return admit_next(resource, resource.render(old), wanted, _OPTIONS)[0]

    async def _stored(self, stack: str) -> AsyncIterator[tuple[_Key, KeyValue]]:
        kv = await self._context.store.get(STACK.key(stack))
        if kv is not None:
            yield (STACK.kind, "", stack), kv
        for kind in (LAYER, INSTANCE):
            for kv in (await self._context.store.list(kind.prefix(stack))).items:
                yield (kind.kind, stack, self._resources[kind.kind].names(kv.key)[1]), kv

    def _resource(self, document: Document) -> Resource:
        resource = self._resources.get(str(document.get("kind")))
        if resource is None:
            raise bad_request(f"a {document.get('kind')} cannot be planned: only {', '.join(_KINDS)}")
        metadata = document.get("metadata")
        if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
            raise bad_request(f"a {resource.kind} does not say its metadata.name")
        if resource.namespaced and not isinstance(metadata.get("namespace"), str):
            raise bad_request(f"{resource.target(metadata['name'])} does not say its metadata.namespace")
        return resource


def _put(overlay: Overlay, objects: dict[_Key, Record], key: _Key, value: bytes) -> None:
    kind: Kind = _KINDS[key[0]]
    try:
        objects[key] = decode_object(kind, value, mod_revision=0)
    except (msgspec.MsgspecError, OverflowError):
        overlay.unreadable.add(key)


def _key(resource: Resource, document: Document) -> _Key:
    metadata = document["metadata"]
    return resource.kind, str(metadata["namespace"]) if resource.namespaced else "", str(metadata["name"])
