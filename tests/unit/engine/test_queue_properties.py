"""Law 6 begins here: an add is never lost, never run twice at a time, and many are one."""

import asyncio
import random
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.kit.virtual_time import run_virtual

from strata.engine.queue import Priority, WorkQueue
from strata.metrics import DaemonMetrics

KEYS = st.sampled_from("abcd")


@dataclass(frozen=True)
class Step:
    action: str
    key: str
    amount_s: float


STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from(["add", "add", "low", "after", "backoff", "forget", "sleep", "spawn", "cancel"]),
        KEYS,
        st.sampled_from([0.1, 0.7, 1.3, 5.0]),
    ),
    max_size=60,
)


class World:
    """Workers over a queue, and what must be true of them at every moment."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.queue: WorkQueue[str] = WorkQueue("q", metrics=DaemonMetrics("t"), rng=random.Random(seed))
        self.running: set[str] = set()
        self.owed: dict[str, float] = {}  # key -> an add at this time has seen no pass begin since
        self.due: dict[str, float] = {}  # key -> when the first of its delays ends
        self.passes = 0
        self.adds = 0
        self.workers: list[asyncio.Task[None]] = []

    async def work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            key = await self.queue.get()
            try:
                assert key not in self.running, "two workers hold one key"
                self.running.add(key)
                self.passes += 1
                self.settle(loop.time())
                self.owed.pop(key, None)  # this pass begins after the add: it sees what was changed
                await asyncio.sleep(self.rng.choice([0, 0, 0.3, 2.0]))
            finally:
                self.running.discard(key)
                self.queue.done(key)

    def apply(self, step: Step, group: asyncio.TaskGroup) -> None:
        now_s = asyncio.get_running_loop().time()
        if step.action in ("add", "low"):
            self.queue.add(step.key, Priority.LOW if step.action == "low" else Priority.NORMAL)
            self.owe(step.key, now_s)
        elif step.action == "after":
            self.queue.add_after(step.key, step.amount_s)
            self.owe_later(step.key, now_s, now_s + step.amount_s)
        elif step.action == "backoff":
            self.owe_later(step.key, now_s, now_s + self.queue.add_backoff(step.key))
        elif step.action == "forget":
            self.queue.forget(step.key)
        elif step.action == "spawn":
            self.workers.append(group.create_task(self.work()))
        elif step.action == "cancel" and self.workers:
            self.workers.pop().cancel()

    def owe_later(self, key: str, now_s: float, due_s: float) -> None:
        """A pass that begins when the delay is over; of several delays that still run, the first one."""
        self.settle(now_s)
        self.adds += 1
        self.due[key] = min(due_s, self.due.get(key, due_s))

    def settle(self, now_s: float) -> None:
        for key in [key for key, due_s in self.due.items() if due_s <= now_s]:
            self.owe(key, self.due.pop(key))
            self.adds -= 1  # counted when it was made

    def owe(self, key: str, now_s: float) -> None:
        self.adds += 1
        self.owed[key] = now_s


@settings(max_examples=150, deadline=None)
@given(STEPS, st.integers(0, 2**16))
def test_no_add_is_lost_and_no_key_runs_twice_at_a_time(steps: list[Step], seed: int) -> None:
    async def main() -> None:
        world = World(seed)
        async with asyncio.TaskGroup() as group:
            for step in steps:
                if step.action == "sleep":
                    await asyncio.sleep(step.amount_s)
                else:
                    world.apply(step, group)
            world.workers += [group.create_task(world.work()) for _ in range(2)]
            await asyncio.sleep(600)  # beyond every delay, backoff and pass
            assert world.queue.idle
            world.settle(asyncio.get_running_loop().time())
            assert world.owed == {}
            assert world.passes <= world.adds, "more passes than adds: something was not coalesced"
            for worker in world.workers:
                worker.cancel()

    run_virtual(main())


@settings(max_examples=50, deadline=None)
@given(st.lists(KEYS, min_size=1, max_size=50))
def test_adds_before_a_worker_comes_are_one_pass_a_key(keys: list[str]) -> None:
    async def main() -> None:
        queue: WorkQueue[str] = WorkQueue("q", metrics=DaemonMetrics("t"), rng=random.Random(0))
        for key in keys:
            queue.add(key)
        taken = []
        while queue.depth:
            taken.append(await queue.get())
            queue.done(taken[-1])
        assert taken == list(dict.fromkeys(keys)), "each once, in the order of their first add"

    run_virtual(main())
