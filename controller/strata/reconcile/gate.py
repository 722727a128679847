"""Holds a region's launches back while they cannot succeed whatever is asked for."""

from strata.clock import Clock
from strata.errors import CloudErrorKind

_SHUTTING = frozenset({CloudErrorKind.UNAUTHORIZED, CloudErrorKind.CLOCK_SKEW})
_BASE_S = 2.0
_CAP_S = 60.0


class Gate:
    """Closed for a while after wrong credentials or a wrong clock, twice as long each time, until one launch works."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._closed_until_s = 0.0
        self._failures = 0

    def note(self, kind: CloudErrorKind) -> None:
        if kind in _SHUTTING and self.opens_in_s() <= 0:  # one storm of equal answers counts once
            self._failures += 1
            closed_s = min(_CAP_S, _BASE_S * 2.0 ** min(self._failures, 10))
            self._closed_until_s = self._clock.monotonic_s() + closed_s

    def opened(self) -> None:
        self._failures = 0
        self._closed_until_s = 0.0

    def opens_in_s(self) -> float:
        """Seconds until launches are tried again; 0 where nothing holds them."""
        return max(0.0, self._closed_until_s - self._clock.monotonic_s())
