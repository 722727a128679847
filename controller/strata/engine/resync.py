"""Looks at every key again now and then, so that whatever was missed is missed for a bounded time only."""

import asyncio
import random
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

from strata.engine.queue import Priority, WorkQueue

K = TypeVar("K", bound=Hashable)

_JITTER = 0.1  # several daemons, or several queues of one, drift apart
_BURST = 500  # keys added before other work gets a turn


class Resync(Generic[K]):
    """Adds all keys at LOW priority about every `interval_s`."""

    def __init__(
        self, queue: WorkQueue[K], keys: Callable[[], Iterable[K]], *, interval_s: float, rng: random.Random
    ) -> None:
        self._queue = queue
        self._keys = keys
        self._interval_s = interval_s
        self._rng = rng

    async def run(self) -> None:
        """Run until cancelled. The first round comes after one interval: a start replays everything by itself."""
        while True:
            await asyncio.sleep(self._interval_s * self._rng.uniform(1 - _JITTER, 1 + _JITTER))
            await self._round()

    async def _round(self) -> None:
        for count, key in enumerate(list(self._keys()), start=1):
            self._queue.add(key, Priority.LOW)
            if count % _BURST == 0:
                await asyncio.sleep(0)
