"""One call for many ids, of which EC2 may refuse some: finds out which, in few calls."""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from strata.errors import CloudError, CloudErrorKind

Call = Callable[[Sequence[str]], Awaitable[None]]
Tell = Callable[[Sequence[str], Exception | None], None]  # (ids, None: it was done; else why not)

_MOST_CALLS = 48  # for one set of ids: some ten bad ones of 500 are found
_ABOUT_US = frozenset({CloudErrorKind.CLOCK_SKEW})  # the same whatever ids are asked for


async def divided(call: Call, ids: Sequence[str], tell: Tell) -> None:
    """Have `call` carry out all of `ids` that it can, and tell of each what came of it, as soon as that is known.

    A refusal that may be about some of the ids takes apart those that it names, else it halves them, until the bad
    ones stand alone. Where that takes too many calls, the ids of a call that was refused are all told that refusal.
    """
    todo, calls = deque([tuple(ids)]), 0
    while todo:
        some = todo.popleft()
        calls += 1
        try:
            await call(some)
        except CloudError as error:
            if len(some) > 1 and _is_about_some(error) and calls + len(todo) < _MOST_CALLS:
                todo.extend(_parts(some, error.ids))
            else:
                tell(some, error)
        except Exception as error:  # noqa: BLE001 - whoever waits must hear of it, whatever it is
            tell(some, error)
        else:
            tell(some, None)


def _is_about_some(error: CloudError) -> bool:
    return error.kind.definitive and error.kind not in _ABOUT_US


def _parts(ids: tuple[str, ...], named: Sequence[str]) -> list[tuple[str, ...]]:
    """The ids in two: those that the refusal does not name and those that it does, else its halves."""
    bad = set(named).intersection(ids)
    if 0 < len(bad) < len(ids):
        return [tuple(one for one in ids if one not in bad), tuple(one for one in ids if one in bad)]
    half = len(ids) // 2
    return [ids[:half], ids[half:]]
