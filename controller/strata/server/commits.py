"""Single-object writes to the store: compare-and-swap, and what became of one whose answer was lost."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from strata.errors import Ambiguous
from strata.store.port import Compare, Delete, KeyValue, ModRevisionIs, Put, Store

_ATTEMPTS = 3


class Fate(enum.Enum):
    """What became of a write."""

    DONE = enum.auto()
    CHANGED = enum.auto()  # the key is not as it was read: nothing of ours was written
    GUARD_CHANGED = enum.auto()  # the key is as it was read, another compared key is not
    UNKNOWN = enum.auto()  # it may have been done, and somebody wrote after it


@dataclass(frozen=True, slots=True)
class Outcome:
    """`revision` is the write's own where the fate is DONE; `current` is what stands at the key otherwise."""

    fate: Fate
    revision: int = 0
    current: KeyValue | None = None


async def commit(
    store: Store, key: str, value: bytes | None, *, mod_revision: int, guards: Sequence[Compare] = ()
) -> Outcome:
    """Put (None: delete) one key if it is still at `mod_revision` (0: absent) and the guards hold.

    A lost answer is resolved by reading. Sending again is safe: the same compare holds at most once.
    Raises StoreUnavailable, NoSpace; Ambiguous when even reading could not tell.
    """
    compares = [ModRevisionIs(key, mod_revision), *guards]
    operation = Delete(key) if value is None else Put(key, value)
    doubtful = False
    for _ in range(_ATTEMPTS):
        try:
            result = await store.txn(compares, [operation])
        except Ambiguous:
            doubtful = True
            outcome = _judge(await store.get(key), value, mod_revision, doubtful=True)
            if outcome is not None:
                return outcome
            continue
        if result.succeeded:
            return Outcome(Fate.DONE, result.revision)
        # A definite no. With the key untouched it was a guard, which fails any copy that is still on its way too.
        current = result.current[0]
        return _judge(current, value, mod_revision, doubtful=doubtful) or Outcome(Fate.GUARD_CHANGED, current=current)
    raise Ambiguous(f"the write to {key} was sent {_ATTEMPTS} times and its fate is unknown")


def _judge(current: KeyValue | None, value: bytes | None, mod_revision: int, *, doubtful: bool) -> Outcome | None:
    """What the key's present state says; None: it is as it was before the write."""
    if (current.mod_revision if current else 0) == mod_revision:
        return None
    if not doubtful:
        return Outcome(Fate.CHANGED, current=current)
    # The bytes hold a uid or a revision's worth of state of their own: equal bytes are ours.
    if current is not None and current.value == value:
        return Outcome(Fate.DONE, current.mod_revision)
    if current is None and value is None:
        return Outcome(Fate.DONE)
    return Outcome(Fate.UNKNOWN, current=current)
