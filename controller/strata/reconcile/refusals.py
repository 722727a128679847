"""What EC2 had no machines of, a short while ago."""

from strata.clock import Clock
from strata.resources.machine import Market


class Refusals:
    """Types in a zone and market of one region. In memory alone: forgetting costs one call that is refused again."""

    def __init__(self, clock: Clock, *, keep_s: float) -> None:
        self._clock = clock
        self._keep_s = keep_s
        self._until_s: dict[tuple[str, str, Market], float] = {}

    def note(self, type_: str, zone: str, market: Market) -> None:
        self._until_s[type_, zone, market] = self._clock.monotonic_s() + self._keep_s

    def clear(self, type_: str, zone: str, market: Market) -> None:
        """A launch was filled: it has machines again."""
        self._until_s.pop((type_, zone, market), None)

    def refused(self, type_: str, zone: str, market: Market) -> bool:
        return self._until_s.get((type_, zone, market), 0.0) > self._clock.monotonic_s()

    def next_end_in_s(self) -> float | None:
        """In how many seconds the first refusal is forgotten; None: there is none."""
        now_s = self._clock.monotonic_s()
        return min((until - now_s for until in self._until_s.values() if until > now_s), default=None)
