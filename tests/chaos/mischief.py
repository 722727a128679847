"""What befalls single calls to EC2 beyond the simulator's own faults, and daemons that die between two effects."""

import asyncio
import contextlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from tests.kit.awaits import Await, suspended
from tests.kit.fleet import REGION
from tests.kit.process import Process, ProcessCloud

from strata.cloud.port import Filter
from strata.errors import CloudError
from strata.resources.machine import Machine
from strata_sim.actions import Action
from strata_sim.shapes import Params
from strata_sim.world import World

R = TypeVar("R")


@dataclass(slots=True)
class Mischief:
    """What still has to happen. `hidden_share`: of the machines, those that a Describe leaves out at random."""

    rng: random.Random
    doubled_count: int = 0
    late_s: list[float] = field(default_factory=list)
    hidden_share: float = 0.0
    doomed: dict[str, int] = field(default_factory=dict)  # by process: it dies when so many points more are passed
    awaits: set[Await] = field(default_factory=set)  # where tasks stood when a process died
    outside: frozenset["asyncio.Task[object]"] = frozenset()

    def watch(self, process: Process, _point: str) -> bool:
        left = self.doomed.get(process.name)
        if left is None or process.frozen:
            return False
        self.doomed[process.name] = left - 1
        if left > 0:
            return False
        del self.doomed[process.name]
        self.note_awaits()
        return True

    def note_awaits(self) -> None:
        self.awaits |= suspended(asyncio.all_tasks() - self.outside)

    def end(self) -> None:
        self.doomed.clear()
        self.late_s.clear()
        self.doubled_count = 0
        self.hidden_share = 0.0


class MischievousCloud(ProcessCloud):
    """EC2 as one process reaches it: some requests arrive twice, some replies late, some lists are not whole."""

    def __init__(self, world: World, process: Process, mischief: Mischief) -> None:
        super().__init__(world, REGION, process)
        self._mischief = mischief

    async def describe_instances(self, filters: Sequence[Filter]) -> tuple[Machine, ...]:
        machines = await super().describe_instances(filters)
        share, rng = self._mischief.hidden_share, self._mischief.rng
        return tuple(one for one in machines if rng.random() >= share) if share else machines

    async def _mutate(self, action: Action[R], params: Params) -> R:
        answer = await super()._mutate(action, params)
        if self._mischief.doubled_count:
            self._mischief.doubled_count -= 1
            with contextlib.suppress(CloudError):  # nobody reads the second answer
                await super()._mutate(action, params)
        if self._mischief.late_s:
            await asyncio.sleep(self._mischief.late_s.pop())
        return answer
