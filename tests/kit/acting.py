"""Tests that act in a whole world on virtual time, with the laws watched from the first moment to the last."""

import asyncio
import functools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog
from tests.kit.crash import Act, restart_dead, settled
from tests.kit.laws import WatchedServer
from tests.kit.process import Processes
from tests.kit.virtual_time import run_virtual


@asynccontextmanager
async def a_world(**fleet_options: Any) -> AsyncIterator[Act]:
    """A world without a daemon yet; at the end no law may be broken."""
    server = WatchedServer()
    processes = Processes(server=server, **fleet_options)
    act = Act(processes, server)
    try:
        yield act
        act.laws.verify()
    finally:
        await processes.close()


def virtually(**fleet_options: Any) -> Callable[[Callable[[Act], Awaitable[None]]], Callable[[], None]]:
    """Run an async test on a virtual-time loop, in a world of its own."""

    def decorate(test: Callable[[Act], Awaitable[None]]) -> Callable[[], None]:
        async def run() -> None:
            async with a_world(**fleet_options) as act:
                await test(act)

        @functools.wraps(test)
        def wrapped() -> None:
            run_virtual(run())

        del wrapped.__wrapped__  # pytest would ask a fixture for the act
        return wrapped

    return decorate


async def passes(act: Act, duration_s: float) -> None:
    """Let time pass, and judge all that happens meanwhile."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + duration_s
    while loop.time() < until_s:
        await asyncio.sleep(min(1.0, until_s - loop.time()))
        restart_dead(act.processes)
        act.laws.verify()


async def until(act: Act, holds: Callable[[], Any], *, within_s: float) -> float:
    """Wait until it holds, judging all that happens; how long it took."""

    async def judged() -> Any:
        act.laws.verify()
        answer = holds()
        return await answer if asyncio.iscoroutine(answer) else answer

    return await act.fleet.until(judged, within_s=within_s)


def hush() -> None:
    """Log nothing: a failure is told by what it asserts."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


__all__ = ["Act", "a_world", "hush", "passes", "settled", "until", "virtually"]
