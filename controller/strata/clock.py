"""The one place where real time is read. Everything else is given a Clock."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Wall time for what people and EC2 see; monotonic time for leases, deadlines and backoff."""

    def now(self) -> datetime:
        """The wall time, aware, UTC."""
        ...

    def monotonic_s(self) -> float:
        """Seconds that never go back, from an arbitrary start."""
        ...


class SystemClock:
    """The machine's own clocks. The monotonic one goes on while the machine sleeps: a lease does not last longer
    because its holder was suspended."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)
