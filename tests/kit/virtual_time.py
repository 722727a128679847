"""An asyncio event loop whose time jumps to the next timer when nothing is ready: hours pass in milliseconds.

Deterministic: no threads, no signals, no wall time. A test that waits for what can never come fails at once
(Deadlock), and one that waits behind an endless periodic task fails when the limit is reached (TimeLimit).
"""

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")

EPOCH = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)  # a Monday, noon
LIMIT_S = 400 * 86_400.0


class Deadlock(BaseException):
    """Nothing is ready and nothing is scheduled: nobody will ever wake anybody."""


class TimeLimit(BaseException):
    """More virtual time passed than any test needs."""


class _JumpingSelector(selectors.SelectSelector):
    """Instead of waiting for a timeout it moves the time forward by it."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready:
            return ready
        if timeout is None:
            raise Deadlock(f"at {self.now_s:g} s nothing is scheduled any more")
        self.now_s += max(0.0, timeout)
        if timeout > 0 and self.now_s > LIMIT_S:
            raise TimeLimit(f"{LIMIT_S:g} s of virtual time have passed")
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """time() starts at 0 and advances only while nothing is ready."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        # asyncio runs a timer when it is due before time() + this; the default of 1e-9 vanishes in a float of
        # some months, and the timer would never be due.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self._jumping.now_s

    def stall(self, duration_s: float) -> None:
        """Let time pass without anybody having a turn: a frozen process, a slow callback."""
        self._jumping.now_s += duration_s

    def run_in_executor(self, *_: object) -> NoReturn:
        raise RuntimeError("threads know nothing of virtual time")


class VirtualClock:
    """strata.clock.Clock on a loop's time. `offset_s` makes the wall clock wrong; monotonic time never is."""

    def __init__(self, *, epoch: datetime = EPOCH, offset_s: float = 0.0) -> None:
        self._loop = asyncio.get_running_loop()
        self._epoch = epoch
        self.offset_s = offset_s

    def now(self) -> datetime:
        return self._epoch + timedelta(seconds=self._loop.time() + self.offset_s)

    def monotonic_s(self) -> float:
        return self._loop.time()


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end on a new virtual-time loop."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def virtual_loop() -> VirtualLoop:
    """The running loop; fails where it is not a virtual one."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop
