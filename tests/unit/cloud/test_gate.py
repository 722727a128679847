"""Who goes through the gate, when, and in which order. On virtual time."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from tests.kit.virtual_time import run_virtual

from strata.cloud.gate import CONNECTIONS, Gate

Admission = tuple[str, float]


class Traffic:
    """Calls that each hold their connection for a while; notes when each was let through."""

    def __init__(self, tasks: asyncio.TaskGroup, call_s: float = 0.0) -> None:
        self.admitted: list[Admission] = []
        self.waited: list[str] = []
        self.gate = Gate(self.waited.append)
        self._tasks = tasks
        self._call_s = call_s

    def call(self, lane: str, name: str = "", resources: int = 1) -> "asyncio.Task[None]":
        return self._tasks.create_task(self._call(lane, name or lane, resources))

    async def _call(self, lane: str, name: str, resources: int) -> None:
        await self.gate.admit(lane, resources)
        self.admitted.append((name, asyncio.get_running_loop().time()))
        await asyncio.sleep(self._call_s)
        self.gate.release(lane, resources)

    def times_s(self, name: str) -> list[float]:
        return [at_s for one, at_s in self.admitted if one == name]


def traffic(scene: Callable[[Traffic], Awaitable[None]], call_s: float = 0.0) -> Traffic:
    """Play a scene to its end; no call is left waiting."""

    async def play() -> Traffic:
        async with asyncio.TaskGroup() as tasks:
            calls = Traffic(tasks, call_s)
            await scene(calls)
        return calls

    return run_virtual(play())


def test_launches_go_at_the_published_pace() -> None:
    async def scene(calls: Traffic) -> None:
        for _ in range(15):
            calls.call("RunInstances")

    times_s = traffic(scene).times_s("RunInstances")
    assert times_s == pytest.approx([0] * 5 + [0.5 * n for n in range(1, 11)], abs=0.01)


def test_a_launch_waits_for_a_token_a_machine() -> None:
    async def scene(calls: Traffic) -> None:
        calls.call("RunInstances", "large", 900)
        calls.call("RunInstances", "next", 200)

    played = traffic(scene)
    assert played.times_s("next") == pytest.approx([50], abs=0.01)
    assert played.waited == ["RunInstances"]


def test_small_launches_do_not_starve_a_large_one() -> None:
    async def scene(calls: Traffic) -> None:
        calls.call("RunInstances", "first", 1000)
        await asyncio.sleep(0)
        calls.call("RunInstances", "large", 100)
        for _ in range(3):
            await asyncio.sleep(10)
            calls.call("RunInstances", "small", 1)

    played = traffic(scene)
    assert played.times_s("large") == pytest.approx([50], abs=0.01)
    assert min(played.times_s("small")) > 50


def test_one_action_out_of_tokens_holds_no_other_up() -> None:
    async def scene(calls: Traffic) -> None:
        for _ in range(10):
            calls.call("RunInstances")
        await asyncio.sleep(0)
        calls.call("TerminateInstances")

    assert traffic(scene).times_s("TerminateInstances") == [0]


def test_no_more_calls_run_at_once_than_there_are_connections() -> None:
    async def scene(calls: Traffic) -> None:
        for _ in range(CONNECTIONS * 2):
            calls.call("TerminateInstances")

    times_s = traffic(scene, call_s=3).times_s("TerminateInstances")
    assert times_s == [0] * CONNECTIONS + [3] * CONNECTIONS


def test_reads_that_hang_leave_connections_to_mutating_calls() -> None:
    async def scene(calls: Traffic) -> None:
        for _ in range(40):
            calls.call("DescribeInstances")
        await asyncio.sleep(1)
        calls.call("TerminateInstances")

    assert traffic(scene, call_s=60).times_s("TerminateInstances") == [1]


def test_of_the_calls_that_wait_for_a_connection_healing_goes_first_and_reading_last() -> None:
    async def scene(calls: Traffic) -> None:
        for _ in range(CONNECTIONS):
            calls.call("TerminateInstances", "running")
        await asyncio.sleep(1)
        for lane in ("DescribeInstances", "CreateTags", "RunInstances"):
            calls.call(lane)

    played = traffic(scene, call_s=5)
    assert [name for name, _ in played.admitted[CONNECTIONS:]] == ["RunInstances", "CreateTags", "DescribeInstances"]


def test_tokens_and_connection_are_taken_together() -> None:
    """Tokens that were taken before a wait for a connection would be spent in a burst that EC2 does not know of."""

    async def scene(calls: Traffic) -> None:
        for _ in range(CONNECTIONS):
            calls.call("StopInstances", "running")
        await asyncio.sleep(1)
        for _ in range(30):
            calls.call("RunInstances")

    times_s = traffic(scene, call_s=100).times_s("RunInstances")
    for at_s in times_s:
        assert sum(1 for other_s in times_s if at_s <= other_s < at_s + 1) <= 5 + 2


def test_a_cancelled_wait_sends_nothing_and_takes_nothing() -> None:
    async def scene(calls: Traffic) -> None:
        for _ in range(5):
            calls.call("RunInstances", "first")
        await asyncio.sleep(0.1)
        given_up = calls.call("RunInstances", "given up", 1)
        kept = calls.call("RunInstances", "kept", 1)
        await asyncio.sleep(0.1)
        given_up.cancel()
        await kept

    played = traffic(scene)
    assert played.times_s("given up") == []
    assert played.times_s("kept") == pytest.approx([0.5], abs=0.01)


def test_a_caller_cancelled_in_the_moment_of_its_admission_gives_the_connection_back() -> None:
    async def play() -> None:
        gate = Gate(lambda _: None)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(CONNECTIONS):
                await gate.admit("StopInstances", 1)
            unlucky = tasks.create_task(gate.admit("StopInstances", 1))
            await asyncio.sleep(0)
            gate.release("StopInstances", 1)  # the unlucky one is admitted by this
            unlucky.cancel()
            await asyncio.sleep(1)
            assert unlucky.cancelled()
            async with asyncio.timeout(1):
                await gate.admit("StopInstances", 1)

    run_virtual(play())


def test_after_a_throttle_calls_come_at_half_the_pace() -> None:
    async def scene(calls: Traffic) -> None:
        calls.call("CreateTags", "first")
        await asyncio.sleep(1)
        calls.gate.throttled("CreateTags")
        for _ in range(10):
            calls.call("CreateTags")

    times_s = traffic(scene).times_s("CreateTags")
    assert min(times_s) == pytest.approx(1.2, abs=0.02)
    assert max(times_s) == pytest.approx(3.0, abs=0.1)


async def test_an_account_with_raised_limits_goes_that_much_faster() -> None:
    waited: list[str] = []
    gate = Gate(waited.append, rate=2.0)
    for _ in range(10):  # the published five at once, twice
        await gate.admit("RunInstances", 1)
        gate.release("RunInstances", 1)
    assert waited == []
    async with asyncio.timeout(0.9):  # and one more in a quarter of a second, not in half of one
        await gate.admit("RunInstances", 1)
    assert waited == ["RunInstances"]
