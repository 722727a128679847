"""What EC2 had no machines of, a short while ago."""

from strata.clock import Clock
from strata.resources.machine import Market

_Pool = tuple[str, str, Market]


class Refusals:
    """Pools of machines of one region: a pool is a type in a zone and market. In memory alone: forgetting costs one
    call that is refused again.

        open     --refused-->      closed    nothing is asked of it
        closed   --keep_s-->       doubted   one launch of one machine may try it; the pool is closed meanwhile
        doubted  --filled-->       open      its answer opens it for all
        doubted  --refused-->      closed
        doubted  --keep_s more-->  open      nobody wanted it for so long
    """

    def __init__(self, clock: Clock, *, keep_s: float) -> None:
        self._clock = clock
        self._keep_s = keep_s
        self._refused_s: dict[_Pool, float] = {}  # when it was refused last
        self._until_s: dict[_Pool, float] = {}  # until when it is closed
        self._probed: set[_Pool] = set()

    def note(self, type_: str, zone: str, market: Market) -> None:
        """EC2 had none, or too few."""
        pool = (type_, zone, market)
        self._probed.discard(pool)
        self._refused_s[pool] = now_s = self._clock.monotonic_s()
        self._until_s[pool] = now_s + self._keep_s

    def clear(self, type_: str, zone: str, market: Market) -> None:
        """A launch was filled: it has machines again."""
        pool = (type_, zone, market)
        self._probed.discard(pool)
        self._until_s.pop(pool, None)
        self._refused_s.pop(pool, None)

    def closed(self, type_: str, zone: str, market: Market) -> bool:
        self._forget_old()
        return self._until_s.get((type_, zone, market), 0.0) > self._clock.monotonic_s()

    def refused_since(self, since_s: float, type_: str, zone: str, market: Market) -> bool:
        """Whether EC2 refused it at or after this moment of the monotonic clock."""
        refused_s = self._refused_s.get((type_, zone, market))
        return refused_s is not None and refused_s >= since_s

    def probe(self, type_: str, zone: str, market: Market) -> None:
        """Somebody is about to ask. If the pool is doubted it is closed to all others until there is an answer."""
        pool = (type_, zone, market)
        if not self.closed(*pool) and pool in self._until_s:
            self._probed.add(pool)
            self._until_s[pool] = self._clock.monotonic_s() + self._keep_s

    def undecided(self, type_: str, zone: str, market: Market) -> None:
        """The one who asked got no answer about the pool: another may try it."""
        pool = (type_, zone, market)
        if pool in self._probed:
            self._probed.discard(pool)
            self._until_s[pool] = self._clock.monotonic_s()

    def next_end_in_s(self) -> float | None:
        """In how many seconds the first pool may be tried again; None: none is closed."""
        now_s = self._clock.monotonic_s()
        return min((until - now_s for until in self._until_s.values() if until > now_s), default=None)

    def _forget_old(self) -> None:
        now_s = self._clock.monotonic_s()
        for pool in [pool for pool, until_s in self._until_s.items() if now_s - until_s > self._keep_s]:
            self.clear(*pool)
