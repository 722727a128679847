import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs
from tests.kit.virtual_time import VirtualClock

from strata.engine.queue import WorkQueue
from strata.engine.runner import Runner
from strata.errors import CloudError, CloudErrorKind, Conflict, NotLeader, StoreUnavailable
from strata.metrics import DaemonMetrics


class World:
    def __init__(self, reconcile: Callable[[str], Awaitable[float | None]], workers: int = 2) -> None:
        self.metrics = DaemonMetrics("test")
        self.queue: WorkQueue[str] = WorkQueue("q", metrics=self.metrics, rng=random.Random(1))
        self.runner: Runner[str] = Runner(
            self.queue,
            reconcile,
            workers=workers,
            metrics=self.metrics,
            clock=VirtualClock(),
            kind_of=lambda key: key.split("/")[0],
            deadline_s=60,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.runner.run())
            yield task
            task.cancel()

    def retries(self, reason: str) -> float:
        labels = {"kind": "Layer", "reason": reason}
        return self.metrics.registry.get_sample_value("strata_pass_retries_total", labels) or 0


async def test_a_result_is_the_delay_of_the_next_pass() -> None:
    began_at_s: list[float] = []

    async def reconcile(_: str) -> float | None:
        began_at_s.append(asyncio.get_running_loop().time())
        return 30.0 if len(began_at_s) < 3 else None

    world = World(reconcile)
    async with world.running():
        world.queue.add("Layer/a")
        await asyncio.sleep(1_000)
    assert began_at_s == [0, 30, 60]


ORDINARY = [
    (Conflict(("k",)), "Conflict"),
    (StoreUnavailable("away"), "StoreUnavailable"),
    (NotLeader("lost"), "NotLeader"),
    (CloudError(CloudErrorKind.THROTTLED, "RequestLimitExceeded", "slow down"), "Throttled"),
]


@pytest.mark.parametrize(("error", "reason"), ORDINARY, ids=[reason for _, reason in ORDINARY])
async def test_an_ordinary_failure_is_logged_once_without_a_trace_counted_and_retried(
    error: Exception, reason: str
) -> None:
    passes = 0

    async def reconcile(_: str) -> None:
        nonlocal passes
        passes += 1
        if passes == 1:
            raise error

    world = World(reconcile)
    with capture_logs() as logs:
        async with world.running():
            world.queue.add("Layer/a")
            await asyncio.sleep(10)
    assert passes == 2
    assert world.retries(reason) == 1
    assert [(line["reason"], "exc_info" in line) for line in logs] == [(reason, False)]


async def test_a_crash_is_logged_with_its_trace_and_delays_no_other_key() -> None:
    passed: list[str] = []

    async def reconcile(key: str) -> None:
        if key == "Layer/poisoned":
            raise ZeroDivisionError("bad row")
        passed.append(key)

    world = World(reconcile, workers=1)
    with capture_logs() as logs:
        async with world.running():
            world.queue.add("Layer/poisoned")
            for count in range(10):
                world.queue.add(f"Layer/{count}")
            await asyncio.sleep(0.001)
            assert len(passed) == 10
            await asyncio.sleep(600)
    assert logs[0]["exc_info"].args == ("bad row",)
    retries = world.retries("ZeroDivisionError")
    assert 8 <= retries <= 25, "retried with a growing delay"


async def test_backoff_starts_anew_after_a_success() -> None:
    outcomes: list[Exception | None] = [StoreUnavailable("x")] * 8 + [None, StoreUnavailable("x"), None]
    began_at_s: list[float] = []

    async def reconcile(_: str) -> None:
        began_at_s.append(asyncio.get_running_loop().time())
        outcome = outcomes[len(began_at_s) - 1]
        if outcome is not None:
            raise outcome

    world = World(reconcile)
    async with world.running():
        world.queue.add("Layer/a")
        await asyncio.sleep(1_000)
        world.queue.add("Layer/a")
        await asyncio.sleep(1_000)
    assert len(began_at_s) == 11
    assert began_at_s[8] - began_at_s[7] > 10
    assert began_at_s[10] - began_at_s[9] <= 0.2


async def test_a_hung_pass_is_cut_and_retried_while_others_go_on() -> None:
    hung = 0
    passed: list[str] = []

    async def reconcile(key: str) -> None:
        nonlocal hung
        if key == "Layer/hung" and hung == 0:
            hung += 1
            await asyncio.Event().wait()
        passed.append(key)

    world = World(reconcile, workers=2)
    async with world.running():
        world.queue.add("Layer/hung")
        world.queue.add("Layer/b")
        await asyncio.sleep(59)
        assert passed == ["Layer/b"]
        await asyncio.sleep(2)
        assert passed == ["Layer/b", "Layer/hung"]
    assert world.retries("DeadlineExceeded") == 1


async def test_a_timeout_of_the_pass_itself_is_not_taken_for_the_deadline() -> None:
    passes = 0

    async def reconcile(_: str) -> None:
        nonlocal passes
        passes += 1
        if passes == 1:
            raise TimeoutError

    world = World(reconcile)
    async with world.running():
        world.queue.add("Layer/a")
        await asyncio.sleep(10)
    assert (world.retries("TimeoutError"), world.retries("DeadlineExceeded")) == (1, 0)


async def test_a_cancellation_from_inside_a_pass_does_not_cost_a_worker() -> None:
    passes = 0

    async def reconcile(_: str) -> None:
        nonlocal passes
        passes += 1
        if passes <= 5:
            raise asyncio.CancelledError

    world = World(reconcile, workers=1)
    async with world.running() as task:
        world.queue.add("Layer/a")
        await asyncio.sleep(100)
        assert not task.done()
    assert passes == 6
    assert world.retries("CancelledError") == 5


@pytest.mark.parametrize("ending", ["raises", "returns"])
async def test_a_pass_that_makes_something_else_of_a_cancellation_does_not_keep_the_runner_alive(ending: str) -> None:
    async def reconcile(_: str) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if ending == "raises":
                raise StoreUnavailable("closed under us") from None

    world = World(reconcile)
    async with world.running() as task:
        world.queue.add("Layer/a")
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait({task}, timeout=10)
        assert task.cancelled()
    assert world.queue.depth == 0


async def test_the_runner_ends_when_the_queue_is_closed_and_durations_are_measured() -> None:
    async def reconcile(_: str) -> None:
        await asyncio.sleep(2)

    world = World(reconcile)
    async with world.running() as task:
        world.queue.add("Layer/a")
        await asyncio.sleep(1)
        world.queue.close()
        await asyncio.wait({task}, timeout=10)
        assert task.done()
        assert not task.cancelled()
    assert world.metrics.registry.get_sample_value("strata_pass_duration_seconds_sum", {"kind": "Layer"}) == 2


async def test_passes_that_step_aside_hold_no_other_up() -> None:
    """Many keys of a region that does not answer; one of a region that does."""
    passed: list[str] = []
    answer = asyncio.Event()

    async def reconcile(key: str) -> None:
        if key.startswith("Layer/slow"):
            with world.runner.stepping_aside():
                await answer.wait()
        passed.append(key)

    world = World(reconcile, workers=2)
    async with world.running():
        for number in range(20):
            world.queue.add(f"Layer/slow-{number}")
        world.queue.add("Layer/quick")
        await asyncio.sleep(1)
        assert passed == ["Layer/quick"]
        answer.set()
        await asyncio.sleep(1)
    assert len(passed) == 21


async def test_those_who_stepped_aside_leave_no_more_workers_behind_than_wanted() -> None:
    at_work = most_at_work = 0

    async def reconcile(key: str) -> None:
        nonlocal at_work, most_at_work
        if key.startswith("Layer/slow"):
            with world.runner.stepping_aside():
                await asyncio.sleep(1)
            return
        at_work += 1
        most_at_work = max(most_at_work, at_work)
        await asyncio.sleep(1)
        at_work -= 1

    world = World(reconcile, workers=2)
    async with world.running():
        for number in range(20):
            world.queue.add(f"Layer/slow-{number}")
        await asyncio.sleep(10)
        for number in range(20):
            world.queue.add(f"Layer/plain-{number}")
        await asyncio.sleep(30)
    assert most_at_work == 2
