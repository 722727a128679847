"""Typed reads over the informer's cache, and the writes that go back to what was read.

Everything that is read here in one pass without an await is of one revision of the store.
"""

from collections.abc import Hashable, Iterator
from datetime import datetime
from typing import Generic, TypeVar, cast

import msgspec

from strata.engine.informer import Entry, Informer
from strata.planner.instance import wants_machine
from strata.resources import kinds
from strata.resources.codec import decode, decode_object, with_metadata
from strata.resources.instance import Instance, Phase
from strata.resources.kinds import Kind, ObjectKey
from strata.resources.launch import Launch, Member
from strata.resources.layer import Layer
from strata.resources.meta import FINALIZER, ObjectMeta, Record, is_true
from strata.resources.revision import LayerRevision
from strata.resources.stack import Stack, StackSpec
from strata.store.port import KeyValue
from strata.store.repository import Within, Write

R = TypeVar("R", bound=Record)
R_co = TypeVar("R_co", bound=Record, covariant=True)

_MEMBERS = "members"  # Instances by "namespace/first layer"
_WANTING = "wanting"  # Instances that want a machine, by namespace
_OPEN = "open"  # Launches that are not resolved, by namespace and by (region, endpoint)
_UNSETTLED = "unsettled"  # Instances whose machine is not online, or stopped as wanted, by namespace
_REVISIONS = "revisions"  # LayerRevisions by "namespace/layer"
_MACHINE = "machine"  # Instances by the EC2 instance that their status names


class Stored(Generic[R_co]):
    """An object and the bytes and revision it was read at."""

    __slots__ = ("key", "mod_revision", "object", "value")

    def __init__(self, key: str, value: bytes, mod_revision: int, obj: R_co) -> None:
        self.key = key
        self.value = value
        self.mod_revision = mod_revision
        self.object = obj

    def write(self, value: bytes | None) -> Write:
        """Replace (or delete) it, if it is still what was read."""
        return Write(self.key, value, self.mod_revision)


def decode_entry(kv: KeyValue) -> Record:
    """The informer's decoder. Raises for a key or a value that is no object of ours."""
    key = kinds.parse_store_key(kv.key)
    if key is None:
        raise ValueError(f"{kv.key} is the key of no known kind")
    return decode_object(key.kind, kv.value, mod_revision=kv.mod_revision)


class Objects:
    """The cache, by kind."""

    def __init__(self, informer: Informer[Record]) -> None:
        self._informer = informer
        informer.add_index(_MEMBERS, _member_of)
        informer.add_index(_WANTING, _wanting)
        informer.add_index(_OPEN, _open_launch)
        informer.add_index(_UNSETTLED, _unsettled)
        informer.add_index(_REVISIONS, _revision_of)
        informer.add_index(_MACHINE, _machine)

    def stack(self, name: str) -> Stored[Stack] | None:
        return self._get(kinds.STACK, name, "", Stack)

    def layer(self, namespace: str, name: str) -> Stored[Layer] | None:
        return self._get(kinds.LAYER, name, namespace, Layer)

    def instance(self, namespace: str, name: str) -> Stored[Instance] | None:
        return self._get(kinds.INSTANCE, name, namespace, Instance)

    def launch(self, namespace: str, launch_id: str) -> Stored[Launch] | None:
        return self._get(kinds.LAUNCH, launch_id, namespace, Launch)

    def revision(self, namespace: str, name: str) -> Stored[LayerRevision] | None:
        return self._get(kinds.LAYER_REVISION, name, namespace, LayerRevision)

    def revisions(self, namespace: str, layer: str) -> list[Stored[LayerRevision]]:
        """The templates that a layer of this name had, or had once."""
        return self._indexed(_REVISIONS, f"{namespace}/{layer}", LayerRevision)

    def stacks(self) -> list[Stored[Stack]]:
        return list(self._under(kinds.STACK, "", Stack))

    def layers(self, namespace: str = "") -> list[Stored[Layer]]:
        return list(self._under(kinds.LAYER, namespace, Layer))

    def instances(self, namespace: str = "") -> list[Stored[Instance]]:
        return list(self._under(kinds.INSTANCE, namespace, Instance))

    def launches(self, namespace: str = "") -> list[Stored[Launch]]:
        return list(self._under(kinds.LAUNCH, namespace, Launch))

    def members(self, namespace: str, layer: str) -> list[Stored[Instance]]:
        """The Instances whose first layer this is."""
        return self._indexed(_MEMBERS, f"{namespace}/{layer}", Instance)

    def wanting(self, namespace: str) -> list[Stored[Instance]]:
        """The Instances that want a machine and have no launch under way."""
        return self._indexed(_WANTING, namespace, Instance)

    def open_launches(self, namespace: str) -> list[Stored[Launch]]:
        """The stack's launches whose result is not known yet."""
        return self._indexed(_OPEN, namespace, Launch)

    def open_launches_in(self, region: str, endpoint: str | None) -> list[Stored[Launch]]:
        """The region's launches whose result is not known yet, whatever became of their stacks."""
        return self._indexed(_OPEN, (region, endpoint), Launch)

    def paused(self, namespace: str) -> bool:
        """Whether nothing of this stack may be changed in EC2. A stack that nobody can read may be paused."""
        stack = self.stack(namespace)
        if stack is None:
            return self.unreadable_at(kinds.STACK.key(namespace))
        return stack.object.spec.paused

    def protected(self, namespace: str, layer: str) -> bool:
        """Whether the layer's breaker is open, so that no machine that runs may be destroyed. Nobody knows that of a
        layer that cannot be read."""
        stored = self.layer(namespace, layer)
        if stored is None:
            return self.unreadable_at(kinds.LAYER.key(layer, namespace))
        return is_true(stored.object.status.conditions, "Protected")

    def unsettled(self, namespace: str) -> list[Stored[Instance]]:
        """The Instances with a launch whose machine is neither online nor stopped as wanted."""
        return self._indexed(_UNSETTLED, namespace, Instance)

    def by_machine(self, instance_id: str) -> list[Stored[Instance]]:
        """The Instances (one, or none) whose status names this EC2 instance."""
        return self._indexed(_MACHINE, instance_id, Instance)

    def member(self, namespace: str, member: Member) -> Instance | None:
        """A launch's member, if that very object (not another of its name) is still there."""
        stored = self.instance(namespace, member.name)
        return stored.object if stored is not None and stored.object.metadata.uid == member.uid else None

    def fault(self, key: ObjectKey) -> str | None:
        """Why the object cannot be read; None if it can, or is not there."""
        entry = self._informer.get(key.store_key)
        return None if entry is None else entry.error

    def uid(self, key: ObjectKey) -> str:
        """The object's uid; "" if it is not there, or cannot be read."""
        entry = self._informer.get(key.store_key)
        return "" if entry is None or entry.obj is None else _metadata(entry.obj).uid

    def unreadable_at(self, store_key: str) -> bool:
        """Whether something stands there that cannot be decoded: it must never be taken for nothing."""
        entry = self._informer.get(store_key)
        return entry is not None and entry.obj is None

    def mod_revision_at(self, store_key: str) -> int:
        """The revision of whatever stands there, readable or not; 0: nothing does."""
        entry = self._informer.get(store_key)
        return 0 if entry is None else entry.mod_revision

    def owner_gone(self, metadata: ObjectMeta) -> bool:
        """Whether the layer that made this object is no more: not there, or another one of its name. One that cannot
        be read is there."""
        owner = next((o for o in metadata.owner_references if o.controller and o.kind == "Layer"), None)
        if owner is None:
            return False
        layer = self.layer(metadata.namespace, owner.name)
        if layer is None:
            return not self.unreadable_at(kinds.LAYER.key(owner.name, metadata.namespace))
        return layer.object.metadata.uid != owner.uid

    def fills(self, launch: Launch, member: Member) -> bool:
        """Whether the member's slot is filled by this very launch, as far as anybody can tell."""
        namespace = launch.metadata.namespace
        if self.unreadable_at(kinds.INSTANCE.key(member.name, namespace)):
            return True
        instance = self.member(namespace, member)
        ref = instance.status.launch if instance is not None else None
        return ref is not None and ref.launch_id == launch.metadata.name

    def unreadable(self, namespace: str, layer: str) -> frozenset[str]:
        """Names of the layer's slots whose objects cannot be decoded: each may have a machine all the same."""
        prefix = kinds.INSTANCE.prefix(namespace)
        slots = (e.key.removeprefix(prefix) for e in self._informer.entries(f"{prefix}{layer}-") if e.obj is None)
        return frozenset(name for name in slots if name.removeprefix(f"{layer}-").isdecimal())

    def unreadable_in(self, namespace: str) -> tuple[str, ...]:
        """What stands in the namespace and cannot be decoded, as `plural/name`: it must never be taken for nothing."""
        return tuple(
            f"{kind.plural}/{entry.key.removeprefix(kind.prefix(namespace))}"
            for kind in (kinds.LAYER, kinds.INSTANCE, kinds.LAUNCH)
            for entry in self._informer.entries(kind.prefix(namespace))
            if entry.obj is None
        )

    def _get(self, kind: Kind, name: str, namespace: str, record: type[R]) -> Stored[R] | None:
        entry = self._informer.get(kind.key(name, namespace))
        return None if entry is None else _stored(entry, record)

    def _under(self, kind: Kind, namespace: str, record: type[R]) -> Iterator[Stored[R]]:
        for entry in self._informer.entries(kind.prefix(namespace)):
            stored = _stored(entry, record)
            if stored is not None:
                yield stored

    def _indexed(self, index: str, value: Hashable, record: type[R]) -> list[Stored[R]]:
        stored = (_stored(entry, record) for entry in self._informer.by_index(index, value))
        return [item for item in stored if item is not None]


def _stored(entry: Entry[Record], record: type[R]) -> Stored[R] | None:
    """None for a poisoned object: it is reported by the controller, and passed over here."""
    if not isinstance(entry.obj, record):
        return None
    return Stored(entry.key, entry.value, entry.mod_revision, entry.obj)


def _member_of(entry: Entry[Record]) -> tuple[str, ...]:
    obj = entry.obj
    if not isinstance(obj, Instance) or not obj.spec.layers:
        return ()
    return (f"{obj.metadata.namespace}/{obj.spec.layers[0]}",)


def _revision_of(entry: Entry[Record]) -> tuple[str, ...]:
    obj = entry.obj
    return (f"{obj.metadata.namespace}/{obj.spec.layer}",) if isinstance(obj, LayerRevision) else ()


def _wanting(entry: Entry[Record]) -> tuple[str, ...]:
    obj = entry.obj
    return (obj.metadata.namespace,) if isinstance(obj, Instance) and wants_machine(obj) else ()


def _open_launch(entry: Entry[Record]) -> tuple[Hashable, ...]:
    obj = entry.obj
    if not isinstance(obj, Launch) or obj.status.state != "sealed":
        return ()
    return (obj.metadata.namespace, (obj.spec.region, obj.spec.endpoint))


def _unsettled(entry: Entry[Record]) -> tuple[str, ...]:
    obj = entry.obj
    if not isinstance(obj, Instance) or obj.status.launch is None:
        return ()
    wanted_stop = obj.status.phase == Phase.STOPPED and obj.spec.power == "stopped"
    settled = not obj.metadata.deleting and (obj.status.phase == Phase.ONLINE or wanted_stop)
    return () if settled else (obj.metadata.namespace,)


def _machine(entry: Entry[Record]) -> tuple[str, ...]:
    obj = entry.obj
    return (obj.status.ec2.instance_id,) if isinstance(obj, Instance) and obj.status.ec2 else ()


def wished(stack: Stored[Stack]) -> Within:
    """For transactions that rest on what people want of a stack: its own roll-up, which a busy stack writes twice a
    second, makes none of them fail."""
    wish = _wish(stack.object)

    def still(now: KeyValue) -> bool:
        try:
            newer = decode(Stack, now.value)
        except msgspec.MsgspecError:
            return False
        return _wish(newer) == wish

    return Within(stack.key, stack.mod_revision, still)


def _wish(stack: Stack) -> tuple[str, datetime | None, StackSpec]:
    return stack.metadata.uid, stack.metadata.deletion_timestamp, stack.spec


def timestamp(at: datetime) -> str:
    """A time as metadata has it: RFC 3339, whole seconds, UTC."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def marked_deleted(stored: Stored[Record], now: datetime) -> Write:
    """The write that begins an object's deletion. Our finalizer is put back if somebody took it off: without it
    the object would be gone before its machine is."""
    metadata = _metadata(stored.object)
    finalizers = list(dict.fromkeys((*metadata.finalizers, FINALIZER)))
    value = with_metadata(stored.value, deletionTimestamp=timestamp(now), finalizers=finalizers)
    return stored.write(value)


def released(stored: Stored[Record]) -> Write:
    """The write that lets a deleted object go, as far as we are concerned: others' finalizers keep it."""
    left = [finalizer for finalizer in _metadata(stored.object).finalizers if finalizer != FINALIZER]
    return stored.write(with_metadata(stored.value, finalizers=left) if left else None)


def _metadata(obj: Record) -> ObjectMeta:
    return cast("ObjectMeta", obj.metadata)  # type: ignore[attr-defined]  # every stored kind has one
