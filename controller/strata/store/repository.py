"""Typed writes of the reconcilers: every one is a compare-and-swap, and every one compares the leader key.

Reading is the informer's; admission of people's documents is the API server's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

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
)

MAX_WRITES = MAX_OPERATIONS - 8  # room for the fence and the guards


@dataclass(frozen=True, slots=True)
class Write:
    """Put `value` at `key`, or delete it (None), if its mod_revision still is `mod_revision` (0: must not exist)."""

    key: str
    value: bytes | None
    mod_revision: int


class Repository:
    """Fenced transactions on behalf of one leadership."""

    def __init__(self, store: Store, fence: CreateRevisionIs) -> None:
        self._store = store
        self._fence = fence

    async def commit(self, writes: Sequence[Write], *, guards: Sequence[Compare] = ()) -> int:
        """Write all or nothing; the new revision.

        `guards` are further compares, for what was read but is not written. Raises Conflict with the keys that
        changed, NotLeader when another leads, Ambiguous and StoreUnavailable as the store does.
        """
        compares: list[Compare] = [self._fence, *guards]
        compares += [ModRevisionIs(write.key, write.mod_revision) for write in writes]
        operations = [Delete(w.key) if w.value is None else Put(w.key, w.value) for w in writes]
        result = await self._store.txn(compares, operations)
        if result.succeeded:
            return result.revision
        leader = result.current[0]
        if leader is None or leader.create_revision != self._fence.create_revision:
            raise NotLeader("another daemon leads")
        changed = zip(compares[1:], result.current[1:], strict=True)
        raise Conflict(tuple(compare.key for compare, now in changed if not _holds(compare, now)))


def _holds(compare: Compare, now: KeyValue | None) -> bool:
    """Whether a compare holds for the key as it is now."""
    if isinstance(compare, ModRevisionIs):
        return compare.mod_revision == (now.mod_revision if now else 0)
    return compare.create_revision == (now.create_revision if now else 0)
