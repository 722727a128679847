"""Wall time that is set is noticed; wall time that passes is not."""

import asyncio

from tests.kit.virtual_time import VirtualClock

from strata.engine.clock_watch import ClockWatch


async def steps_seen(clock: VirtualClock, *steps: tuple[float, float]) -> list[float]:
    """When the watch told of a step; `steps` are (after so many seconds, set by so many)."""
    loop, told = asyncio.get_running_loop(), list[float]()
    watching = loop.create_task(ClockWatch(clock, lambda: told.append(loop.time())).run())
    for after_s, by_s in steps:
        await asyncio.sleep(after_s)
        clock.offset_s += by_s
    await asyncio.sleep(3600)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    return told


async def test_a_step_either_way_is_told_once_and_soon() -> None:
    told = await steps_seen(VirtualClock(), (101, 10_800), (1000, -60))
    assert len(told) == 2
    assert 101 < told[0] <= 103
    assert 1101 < told[1] <= 1103


async def test_a_clock_that_is_slewed_is_left_alone() -> None:
    assert await steps_seen(VirtualClock(), *[(10, 0.01)] * 500) == []
