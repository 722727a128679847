"""Measures how long the event loop was stalled: by a slow callback, a long garbage collection, a starved machine."""

import asyncio

from strata.metrics import DaemonMetrics

_INTERVAL_S = 0.1


class LoopWatch:
    """Sleeps and sees how much too late it wakes. A stall shorter than the interval may be seen in part only."""

    def __init__(self, metrics: DaemonMetrics, *, interval_s: float = _INTERVAL_S) -> None:
        self._stall = metrics.loop_stall
        self._interval_s = interval_s
        self.worst_s = 0.0

    async def run(self) -> None:
        """Run until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + self._interval_s
            await asyncio.sleep(self._interval_s)
            stall_s = max(0.0, loop.time() - due_s)
            self._stall.observe(stall_s)
            self.worst_s = max(self.worst_s, stall_s)
