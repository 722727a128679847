"""Typed writes of the reconcilers: every one is a compare-and-swap, and every one compares the leader key.

Reading is the informer's; admission of people's documents is the API server's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from strata.errors import Conflict, NotLeader
from strata.store.port import (
    MAX_OPERATIONS,
    Compare,
    CreateRevisionIs,
    Delete,
    KeyValue,
    ModRevisionIs,
    Put,
    Store,
    TxnResult,
)

MAX_WRITES = MAX_OPERATIONS - 8  # room for the fence and the guards
_TRIES = 5  # while all that changed comes to the same


@dataclass(frozen=True, slots=True)
class Write:
    """Put `value` at `key`, or delete it (None), if its mod_revision still is `mod_revision` (0: must not exist)."""

    key: str
    value: bytes | None
    mod_revision: int


@dataclass(frozen=True, slots=True)
class Within:
    """What a transaction rests on and does not write: the key as it was read or, should it have been written since, a
    value of which `still` says that it comes to the same."""

    key: str
    mod_revision: int
    still: Callable[[KeyValue], bool]


class Repository:
    """Fenced transactions on behalf of one leadership."""

    def __init__(self, store: Store, fence: CreateRevisionIs) -> None:
        self._store = store
        self._fence = fence
        self._written: dict[str, int] = {}  # key -> the revision of our last write of it, where nobody has seen it yet

    async def commit(
        self, writes: Sequence[Write], *, guards: Sequence[Compare] = (), within: Within | None = None
    ) -> int:
        """Write all or nothing; the new revision.

        `guards` and `within` are further compares, for what was read but is not written. Raises Conflict with the
        keys that changed, NotLeader when another leads, Ambiguous and StoreUnavailable as the store does.
        """
        operations = [Delete(w.key) if w.value is None else Put(w.key, w.value) for w in writes]
        for _ in range(_TRIES):
            compares: list[Compare] = [self._fence, *guards]
            compares += [
                ModRevisionIs(write.key, write.mod_revision) for write in (*writes, *((within,) if within else ()))
            ]
            result = await self._store.txn(compares, operations)
            if result.succeeded:
                self._note(writes, result.revision)
                return result.revision
            changed = self._changed(compares, result)
            within = _moved(within, changed)
            if within is None:
                break
        raise Conflict(tuple(changed))

    def wrote_after(self, key: str, revision: int) -> bool:
        """Whether we wrote this key after `revision`, as which a cache has it: what is decided from the cache would be
        refused. Once the cache has caught up this is forgotten."""
        written = self._written.get(key, 0)
        if written > revision:
            return True
        self._written.pop(key, None)
        return False

    def _note(self, writes: Sequence[Write], revision: int) -> None:
        for write in writes:
            if write.value is None:
                self._written.pop(write.key, None)
            else:
                self._written[write.key] = revision

    def _changed(self, compares: Sequence[Compare], result: TxnResult) -> dict[str, KeyValue | None]:
        """The keys that are not as they were compared, as they are now."""
        leader = result.current[0]
        if leader is None or leader.create_revision != self._fence.create_revision:
            raise NotLeader("another daemon leads")
        current = zip(compares[1:], result.current[1:], strict=True)
        return {compare.key: now for compare, now in current if not _holds(compare, now)}


def _moved(within: Within | None, changed: Mapping[str, KeyValue | None]) -> Within | None:
    """The same at its new revision, if it is all that changed and comes to the same; else None."""
    now = changed.get(within.key) if within is not None else None
    if within is None or now is None or len(changed) > 1 or not within.still(now):
        return None
    return replace(within, mod_revision=now.mod_revision)


def _holds(compare: Compare, now: KeyValue | None) -> bool:
    """Whether a compare holds for the key as it is now."""
    if isinstance(compare, ModRevisionIs):
        return compare.mod_revision == (now.mod_revision if now else 0)
    return compare.create_revision == (now.create_revision if now else 0)
