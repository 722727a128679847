import asyncio
from datetime import timedelta

import pytest
from tests.kit.virtual_time import EPOCH, Deadlock, TimeLimit, VirtualClock, run_virtual, virtual_loop


def test_a_day_passes_at_once_and_timers_fire_in_order() -> None:
    async def main() -> list[tuple[str, float]]:
        loop = asyncio.get_running_loop()
        woken: list[tuple[str, float]] = []

        async def sleeper(name: str, delay_s: float) -> None:
            await asyncio.sleep(delay_s)
            woken.append((name, loop.time()))

        async with asyncio.TaskGroup() as group:
            for name, delay_s in (("day", 86_400.0), ("soon", 0.001), ("hour", 3_600.0)):
                group.create_task(sleeper(name, delay_s))
        return woken

    assert run_virtual(main()) == [("soon", 0.001), ("hour", 3_600.0), ("day", 86_400.0)]


def test_waiting_for_what_nobody_will_do_fails_at_once() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Deadlock):
        run_virtual(main())


def test_waiting_behind_an_endless_ticker_ends_at_the_limit() -> None:
    async def main() -> None:
        for _ in range(10_000):
            await asyncio.sleep(86_400)

    with pytest.raises(TimeLimit):
        run_virtual(main())


def test_threads_are_refused() -> None:
    async def main() -> None:
        await asyncio.to_thread(int)

    with pytest.raises(RuntimeError, match="threads"):
        run_virtual(main())


def test_the_clock_follows_the_loop_and_only_its_wall_can_be_wrong() -> None:
    async def main() -> None:
        right, wrong = VirtualClock(), VirtualClock(offset_s=-3600)
        await asyncio.sleep(90)
        assert right.now() == EPOCH + timedelta(seconds=90)
        assert wrong.now() == right.now() - timedelta(hours=1)
        assert wrong.monotonic_s() == right.monotonic_s() == 90

    run_virtual(main())


def test_a_stall_lets_time_pass_without_a_turn() -> None:
    async def main() -> None:
        loop = virtual_loop()
        fired_at_s: list[float] = []
        loop.call_later(1, lambda: fired_at_s.append(loop.time()))
        loop.stall(30)
        assert fired_at_s == []
        await asyncio.sleep(0.001)
        assert fired_at_s == [30]

    run_virtual(main())
