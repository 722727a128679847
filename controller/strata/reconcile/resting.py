"""Things that failed, each by itself: how long each rests before it is tried again. In memory alone."""

import random
from collections.abc import Hashable
from typing import Generic, TypeVar

from strata.clock import Clock

K = TypeVar("K", bound=Hashable)

_BASE_S = 1.0
_CAP_S = 60.0
_FORGET_S = 600.0  # so long after its rest a failure is none any more


class Resting(Generic[K]):
    """Each failure of a thing doubles its rest, until it recovers."""

    def __init__(self, clock: Clock, rng: random.Random) -> None:
        self._clock = clock
        self._rng = rng
        self._rests: dict[K, tuple[int, float]] = {}  # failures so far, until when it rests

    def failed(self, thing: K) -> float:
        """It failed (again). Returns for how long it rests."""
        now_s = self._clock.monotonic_s()
        self._forget_old(now_s)
        failures, _ = self._rests.get(thing, (0, 0.0))
        rest_s = min(_CAP_S, _BASE_S * 2.0 ** min(failures, 10)) * self._rng.uniform(0.5, 1.0)
        self._rests[thing] = (failures + 1, now_s + rest_s)
        return rest_s

    def recovered(self, thing: K) -> None:
        self._rests.pop(thing, None)

    def left_s(self, thing: K) -> float:
        """For how many seconds it still rests; 0: it may be tried."""
        _, until_s = self._rests.get(thing, (0, 0.0))
        return max(0.0, until_s - self._clock.monotonic_s())

    def _forget_old(self, now_s: float) -> None:
        self._rests = {thing: rest for thing, rest in self._rests.items() if now_s - rest[1] < _FORGET_S}
