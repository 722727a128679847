import asyncio
import random

from tests.kit.virtual_time import virtual_loop

from strata.engine.loop_watch import LoopWatch
from strata.engine.queue import WorkQueue
from strata.engine.resync import Resync
from strata.metrics import DaemonMetrics


async def test_all_keys_come_again_in_every_interval_behind_what_changed(
    metrics: DaemonMetrics, rng: random.Random
) -> None:
    queue: WorkQueue[str] = WorkQueue("q", metrics=metrics, rng=rng)
    keys = [f"k{count}" for count in range(1_200)]
    seen: list[str] = []
    resync = Resync(queue, lambda: keys, interval_s=300, rng=rng)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(resync.run())
        await asyncio.sleep(331)
        queue.add("changed")
        while queue.depth:
            seen.append(await queue.get())
            queue.done(seen[-1])
        assert seen == ["changed", *keys]
        keys[:] = ["new"]
        await asyncio.sleep(331)
        assert await asyncio.wait_for(queue.get(), 1) == "new"
        task.cancel()


async def test_a_stalled_loop_is_measured_and_an_idle_one_is_not(metrics: DaemonMetrics) -> None:
    watch = LoopWatch(metrics)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(watch.run())
        await asyncio.sleep(10)
        assert watch.worst_s < 0.001
        virtual_loop().stall(3)
        await asyncio.sleep(1)
        task.cancel()
    assert 2.8 <= watch.worst_s <= 3
    read = metrics.registry.get_sample_value
    counts = {le: read("strata_event_loop_stall_seconds_bucket", {"le": le}) for le in ("1.0", "+Inf")}
    assert counts["+Inf"] is not None
    assert counts["1.0"] == counts["+Inf"] - 1
