"""Notices when wall time is set, by a person, by NTP or by a machine that was resumed: what was to be looked at "in an
hour" may be due now. Monotonic time knows nothing of it, and so no timer does."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from strata.clock import Clock

_LOOK_EVERY_S: Final = 2.0
_STEP_S: Final = 2.0  # a clock that is slewed drifts by a millisecond in this time

log = structlog.get_logger(__name__)


class ClockWatch:
    """`on_step` is told after wall time has moved against monotonic time."""

    def __init__(self, clock: Clock, on_step: Callable[[], None]) -> None:
        self._clock = clock
        self._on_step = on_step

    async def run(self) -> None:
        """Watch until cancelled."""
        ahead_s = self._ahead_s()
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            before_s, ahead_s = ahead_s, self._ahead_s()
            if abs(ahead_s - before_s) >= _STEP_S:
                log.warning("wall time was set", by_s=round(ahead_s - before_s, 1))
                self._on_step()

    def _ahead_s(self) -> float:
        return self._clock.now().timestamp() - self._clock.monotonic_s()
