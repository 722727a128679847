"""Creates, updates and deletes objects: admission, optimistic concurrency, and one answer for every fate.

Every write compares the revision that its decision was made on. What a client did not pin is tried again on the
object as it is then; what it did pin is a 409.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from strata.clock import Clock
from strata.errors import Cause
from strata.resources.kinds import STACK
from strata.resources.schema import Definition, Verdict, judge_create, judge_status, judge_update
from strata.resources.schema.admission import prune_unknown
from strata.server import drafts
from strata.server.commits import Fate, Outcome, commit
from strata.server.failures import (
    Refusal,
    Target,
    already_exists,
    bad_request,
    conflict,
    forbidden,
    invalid,
    not_found,
)
from strata.server.resource import Document, Resource
from strata.store.port import KeyValue, ModRevisionIs, Store

_ATTEMPTS = 10

# Makes the wanted object of the present one, which it may change. The result is not checked yet.
Change = Callable[[Document], Any]


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """`field_validation`: Strict refuses unknown fields, Warn drops them and says so, Ignore drops them."""

    dry_run: bool = False
    field_validation: str = "Strict"


@dataclass(frozen=True, slots=True)
class Preconditions:
    """What a delete insists on; "" means nothing."""

    uid: str = ""
    resource_version: str = ""


@dataclass(frozen=True, slots=True)
class Written:
    """The object after the write, and what its writer should be warned of. `gone`: it exists no more."""

    document: Document
    warnings: tuple[str, ...] = ()
    gone: bool = False


def admit_new(
    resource: Resource, namespace: str, body: Document, options: WriteOptions, *, now: datetime
) -> tuple[Document, tuple[str, ...]]:
    """A new object as it is to be stored, and the warnings. Raises Refusal 400 and 422."""
    document = drafts.new_object(resource, namespace, body, uid=str(uuid.uuid4()), now=now)
    definition = _definition(resource)
    target = resource.target(str(document["metadata"].get("name") or ""))
    return document, _settle(definition, document, judge_create(definition, document), target, options)


def admit_next(
    resource: Resource,
    old: Document,
    wanted: Any,  # noqa: ANN401 - JSON: a patch may make anything
    options: WriteOptions,
    *,
    part: str = "spec",
) -> tuple[Document, tuple[str, ...]]:
    """An object's next state as it is to be stored, and the warnings. Raises Refusal 400, 409 and 422."""
    definition = _definition(resource)
    target = resource.target(old["metadata"]["name"], old["metadata"].get("uid", ""))
    if part == "status":
        new = drafts.next_status(resource, old, wanted)
        return new, _settle(definition, new, judge_status(definition, new, old), target, options)
    new = drafts.next_object(resource, old, wanted)
    verdict = judge_update(definition, new, old)
    causes = drafts.finalizer_causes(old, new)
    warnings = _settle(definition, new, verdict, target, options, causes)
    drafts.count_generation(old, new)
    return new, warnings


class Writer:
    """Writes the objects of the kinds that clients may write."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def create(self, resource: Resource, namespace: str, body: Document, options: WriteOptions) -> Written:
        """Store a new object. Raises Refusal 400, 403, 404, 409, 413, 422 and what the store raises."""
        document, warnings = admit_new(resource, namespace, body, options, now=self._clock.now())
        name = document["metadata"]["name"]
        target = resource.target(name)
        key, value = resource.key(namespace, name), drafts.stored_bytes(document)
        for _ in range(_ATTEMPTS):
            guards = [await self._guard_stack(namespace, target)] if resource.namespaced else []
            if options.dry_run:
                if await self._store.get(key):
                    raise already_exists(target)
                return Written(document, warnings)
            outcome = await commit(self._store, key, value, mod_revision=0, guards=guards)
            if outcome.fate is Fate.DONE:
                return Written(_at_revision(document, outcome.revision), warnings)
            if outcome.fate is not Fate.GUARD_CHANGED:
                return self._created_before(resource, document, outcome, target, warnings)
        raise conflict(target, f"the stack {namespace} changed {_ATTEMPTS} times meanwhile; try again")

    async def update(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        change: Change,
        options: WriteOptions,
        *,
        part: str = "spec",
    ) -> Written:
        """Store an object's next state; `part` is what the change is about: "spec" (all but status) or "status".

        Nothing is written where nothing changes. Raises Refusal 400, 404, 409, 413, 415, 422 and what the store raises.
        """
        key = resource.key(namespace, name)
        target = resource.target(name)
        for _ in range(_ATTEMPTS):
            kv = await self._require(key, target)
            old = resource.render(kv)
            new, warnings = admit_next(resource, old, change(resource.render(kv)), options, part=part)
            if new == old:
                return Written(old, warnings)
            gone = bool(new["metadata"].get("deletionTimestamp")) and not new["metadata"].get("finalizers")
            if options.dry_run:
                return Written(new, warnings, gone=gone)
            value = None if gone else drafts.stored_bytes(new)
            outcome = await commit(self._store, key, value, mod_revision=kv.mod_revision)
            if outcome.fate is Fate.DONE:
                return Written(_at_revision(new, outcome.revision), warnings, gone=gone)
            _check_retriable(outcome, target)
        raise conflict(target)

    async def delete(
        self, resource: Resource, namespace: str, name: str, preconditions: Preconditions, *, dry_run: bool
    ) -> Written:
        """Delete an object, or mark it as to be deleted while it has finalizers. Raises Refusal 404 and 409."""
        key = resource.key(namespace, name)
        target = resource.target(name)
        for _ in range(_ATTEMPTS):
            kv = await self._require(key, target)
            old = resource.render(kv)
            _check_preconditions(old, preconditions, target)
            waits = bool(old["metadata"].get("finalizers"))
            if dry_run or (waits and old["metadata"].get("deletionTimestamp")):
                return Written(old, gone=not waits)
            new = drafts.deleted(old, self._clock.now()) if waits else old
            value = drafts.stored_bytes(new) if waits else None
            outcome = await commit(self._store, key, value, mod_revision=kv.mod_revision)
            if outcome.fate is Fate.DONE:
                return Written(_at_revision(new, outcome.revision) if waits else old, gone=not waits)
            _check_retriable(outcome, target)
        raise conflict(target)

    async def _require(self, key: str, target: Target) -> KeyValue:
        kv = await self._store.get(key)
        if kv is None:
            raise not_found(target)
        return kv

    async def _guard_stack(self, namespace: str, target: Target) -> ModRevisionIs:
        """What must still hold when the object is stored: its Stack is there and stays."""
        key = STACK.key(namespace)
        kv = await self._store.get(key)
        if kv is None:
            raise not_found(Target("", "namespaces", namespace), f": make the Stack {namespace!r} first")
        stack = msgspec.json.decode(kv.value)
        if stack["metadata"].get("deletionTimestamp"):
            message = f"unable to create new content in namespace {namespace} because it is being terminated"
            cause = Cause("metadata.namespace", "NamespaceTerminating", f"namespace {namespace} is being terminated")
            raise forbidden(target, message, [cause])
        return ModRevisionIs(key, kv.mod_revision)

    def _created_before(
        self, resource: Resource, document: Document, outcome: Outcome, target: Target, warnings: tuple[str, ...]
    ) -> Written:
        """An object stands at the key. After a lost answer it may be ours, and even changed by others since."""
        if outcome.current is not None:
            current = resource.render(outcome.current)
            if current["metadata"].get("uid") == document["metadata"]["uid"]:
                return Written(current, warnings)
        raise already_exists(target)


def _definition(resource: Resource) -> Definition:
    if resource.definition is None:
        raise TypeError(f"{resource.plural} are not written by clients")
    return resource.definition


def _settle(
    definition: Definition,
    document: Document,
    verdict: Verdict,
    target: Target,
    options: WriteOptions,
    more: Sequence[Cause] = (),
) -> tuple[str, ...]:
    """Drop or refuse unknown fields, refuse what is invalid; the warnings. Every cause is reported at once."""
    unknown = tuple(definition.unknown_cause(path) for path in verdict.unknown)
    causes = (*verdict.causes, *more)
    if unknown and options.field_validation == "Strict":
        listed = ", ".join(cause.message for cause in unknown)
        others = "".join(f"; {cause.field}: {cause.message}" for cause in causes)
        raise bad_request(f"strict decoding error: {listed}{others}", [*unknown, *causes])
    if causes:
        raise invalid(definition.kind.kind, target, causes)
    prune_unknown(document, verdict.unknown)
    return tuple(cause.message for cause in unknown) if options.field_validation == "Warn" else ()


def _check_preconditions(old: Document, wanted: Preconditions, target: Target) -> None:
    for name, given, here in (
        ("UID", wanted.uid, old["metadata"].get("uid", "")),
        ("ResourceVersion", wanted.resource_version, old["metadata"]["resourceVersion"]),
    ):
        if given and given != here:
            raise conflict(target, f"Precondition failed: {name} in precondition: {given}, in the object: {here}")


def _check_retriable(outcome: Outcome, target: Target) -> None:
    if outcome.fate is Fate.UNKNOWN:
        raise conflict(target, "the store's answer was lost and the object has changed since; read it again")


def _at_revision(document: Document, revision: int) -> Document:
    return {**document, "metadata": {**document["metadata"], "resourceVersion": str(revision)}}


def require_version(body: Document, resource: Resource, name: str) -> None:
    """A replacement must say what it replaces. Raises Refusal 422."""
    metadata = body.get("metadata")
    if isinstance(metadata, dict) and not metadata.get("resourceVersion"):
        cause = Cause(
            "metadata.resourceVersion", "FieldValueInvalid", "Invalid value: 0: must be specified for an update"
        )
        raise invalid(resource.kind, resource.target(name), [cause])


__all__ = ["Change", "Preconditions", "Refusal", "WriteOptions", "Writer", "Written", "require_version"]
