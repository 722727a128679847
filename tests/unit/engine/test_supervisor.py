import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.kit.virtual_time import VirtualClock

from strata.engine.supervisor import Supervisor
from strata.errors import NotLeader


async def _for_ever() -> None:
    await asyncio.Event().wait()


@pytest.fixture
async def supervisor(rng: random.Random) -> Supervisor:
    return Supervisor(clock=VirtualClock(), rng=rng)


@asynccontextmanager
async def running(supervisor: Supervisor) -> AsyncIterator[asyncio.Task[None]]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(supervisor.run())
        await asyncio.sleep(0.001)
        yield task
        task.cancel()


async def test_a_task_that_fails_or_returns_is_restarted_and_the_others_go_on(supervisor: Supervisor) -> None:
    starts = {"fails": 0, "returns": 0, "steady": 0}

    async def fails() -> None:
        starts["fails"] += 1
        raise ZeroDivisionError("oops")

    async def returns() -> None:
        starts["returns"] += 1

    async def steady() -> None:
        starts["steady"] += 1
        await _for_ever()

    for name, factory in (("fails", fails), ("returns", returns), ("steady", steady)):
        supervisor.add(name, factory)
    assert supervisor.unhealthy() == [(name, "not started") for name in starts]
    async with running(supervisor):
        await asyncio.sleep(300)
        assert supervisor.unhealthy() == [("fails", "ZeroDivisionError: oops"), ("returns", "returned")]
    assert starts["steady"] == 1
    for name in ("fails", "returns"):
        assert 10 <= starts[name] <= 40, "restarted with backoff up to 30 s"
    assert {name for name, _ in supervisor.unhealthy()} == set(starts), "nothing runs any more"


async def test_a_restarted_task_is_healthy_once_it_has_run_for_a_while(supervisor: Supervisor) -> None:
    starts = 0

    async def fails_once() -> None:
        nonlocal starts
        starts += 1
        if starts == 1:
            raise OSError("once")
        await _for_ever()

    supervisor.add("task", fails_once)
    async with running(supervisor):
        await asyncio.sleep(5)
        assert supervisor.unhealthy() == [("task", "OSError: once")]
        await asyncio.sleep(60)
        assert supervisor.unhealthy() == []


async def test_a_task_that_fails_now_and_then_is_restarted_soon_each_time(supervisor: Supervisor) -> None:
    starts = 0

    async def fails_hourly() -> None:
        nonlocal starts
        starts += 1
        await asyncio.sleep(3_600)
        raise OSError

    supervisor.add("task", fails_hourly)
    async with running(supervisor):
        await asyncio.sleep(20 * 3_600 + 15)
    assert starts == 21


async def test_a_fatal_exception_ends_all_and_is_raised_as_it_is(supervisor: Supervisor) -> None:
    ended: list[str] = []

    async def loses() -> None:
        await asyncio.sleep(5)
        raise NotLeader("lost")

    async def bystander() -> None:
        try:
            await _for_ever()
        finally:
            ended.append("bystander")

    supervisor.add("loses", loses)
    supervisor.add("bystander", bystander)
    with pytest.raises(NotLeader, match="lost"):
        await supervisor.run()
    assert ended == ["bystander"]


async def test_a_task_added_later_starts_at_once_and_a_name_is_taken_once(supervisor: Supervisor) -> None:
    async with running(supervisor):
        started = asyncio.Event()

        async def late() -> None:
            started.set()
            await _for_ever()

        supervisor.add("late", late)
        await asyncio.wait_for(started.wait(), 1)
        assert supervisor.unhealthy() == []
        with pytest.raises(ValueError, match="late"):
            supervisor.add("late", late)


@pytest.mark.parametrize("ending", ["raises", "returns"])
async def test_a_task_that_makes_something_else_of_its_cancellation_is_not_restarted(
    supervisor: Supervisor, ending: str
) -> None:
    starts = 0

    async def stubborn() -> None:
        nonlocal starts
        starts += 1
        try:
            await _for_ever()
        except asyncio.CancelledError:
            if ending == "raises":
                raise OSError("while closing") from None

    supervisor.add("stubborn", stubborn)
    async with running(supervisor) as task:
        task.cancel()
        await asyncio.wait({task}, timeout=60)
        assert task.cancelled()
    assert starts == 1


async def test_a_cancellation_from_inside_a_task_is_a_failure_like_any_other(supervisor: Supervisor) -> None:
    starts = 0

    async def cancelled_inside() -> None:
        nonlocal starts
        starts += 1
        if starts == 1:
            raise asyncio.CancelledError
        await _for_ever()

    supervisor.add("task", cancelled_inside)
    async with running(supervisor):
        await asyncio.sleep(60)
    assert starts == 2
