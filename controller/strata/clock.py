"""The one place where real time is read. Everything else is given a Clock."""

import mmap
import os
import struct
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
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


class ShiftedClock:
    """For trying things out: wall time that people set forward, for all processes that share a file. Monotonic time
    goes on as ever, so leases, deadlines and backoff do not notice."""

    _SHIFT = struct.Struct("=d")  # seconds ahead of the system's wall time

    def __init__(self, file: Path) -> None:
        """`file` is made if it is not there: no time ahead."""
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if os.fstat(descriptor).st_size < self._SHIFT.size:
                os.ftruncate(descriptor, self._SHIFT.size)  # zeros, also when another process does so just now
            # Mapped, as time is read all over: a look costs no system call, and all processes see a change at once.
            self._shared = mmap.mmap(descriptor, self._SHIFT.size)
        finally:
            os.close(descriptor)
        self._system = SystemClock()

    def now(self) -> datetime:
        return self._system.now() + timedelta(seconds=self._ahead_s())

    def monotonic_s(self) -> float:
        return self._system.monotonic_s()

    def advance(self, by: timedelta) -> None:
        """Set the wall time forward. Raises ValueError for a step back: what was written would lie in the future."""
        if by < timedelta(0):
            raise ValueError("a clock that others have read is only set forward")
        self._SHIFT.pack_into(self._shared, 0, self._ahead_s() + by.total_seconds())

    def _ahead_s(self) -> float:
        (ahead_s,) = self._SHIFT.unpack_from(self._shared)
        return float(ahead_s)
