"""Which instances are, now, in a state, under a tag, of a token: so that a filtered Describe does not scan all.

It knows the truth of now only. A Describe that lags adds the instances that changed of late, and asks every
filter of every candidate's own view.
"""

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet

from strata_sim.filters import BORN, CHECKS, STATE, Filter
from strata_sim.machines import Instance, Seen, View

Key = tuple[str, str]
_BORN_INDEXED = ("client-token", "image-id", "instance-id", "instance-type", "reservation-id")
_CHANGING_INDEXED = {"instance-state-name": STATE["instance-state-name"], **CHECKS}


class Index:
    """Sets of instance sequence numbers by (filter name, value)."""

    def __init__(self) -> None:
        self._sets: dict[Key, set[int]] = {}

    def add(self, instance: Instance) -> None:
        seen = Seen(instance, instance.view)
        self._join(instance.birth.seq, ((name, v) for name in _BORN_INDEXED for v in BORN[name](seen)))
        self._join(instance.birth.seq, _changing(seen))

    def move(self, instance: Instance, old: View) -> None:
        """Follow a change from `old` to the instance's present view."""
        before, after = set(_changing(Seen(instance, old))), set(_changing(Seen(instance, instance.view)))
        self._leave(instance.birth.seq, before - after)
        self._join(instance.birth.seq, after - before)

    def remove(self, instance: Instance) -> None:
        seen = Seen(instance, instance.view)
        self._leave(instance.birth.seq, [(name, v) for name in _BORN_INDEXED for v in BORN[name](seen)])
        self._leave(instance.birth.seq, list(_changing(seen)))

    def candidates(self, filters: Iterable[Filter[Seen]]) -> set[int] | None:
        """A superset of what matches all filters now; None: nothing narrower than everything."""
        choices = [
            [self._sets.get((one.name, value), _EMPTY) for value in one.exact]
            for one in filters
            if not one.patterns and _indexed(one.name)
        ]
        return set().union(*min(choices, key=_size)) if choices else None

    def members(self, name: str, value: str) -> AbstractSet[int]:
        return self._sets.get((name, value), _EMPTY)

    def count(self, name: str, value: str) -> int:
        return len(self._sets.get((name, value), _EMPTY))

    def _join(self, seq: int, keys: Iterable[Key]) -> None:
        for key in keys:
            self._sets.setdefault(key, set()).add(seq)

    def _leave(self, seq: int, keys: Iterable[Key]) -> None:
        for key in keys:
            members = self._sets[key]
            members.discard(seq)
            if not members:
                del self._sets[key]


_EMPTY: frozenset[int] = frozenset()


def _size(sets: Iterable[AbstractSet[int]]) -> int:
    return sum(map(len, sets))


def _indexed(name: str) -> bool:
    return name in _BORN_INDEXED or name in _CHANGING_INDEXED or name == "tag-key" or name.startswith("tag:")


def _changing(seen: Seen) -> Iterator[Key]:
    for name, extract in _CHANGING_INDEXED.items():
        for value in extract(seen):
            yield name, value
    for key, value in seen.view.tags.items():
        yield "tag-key", key
        yield f"tag:{key}", value
