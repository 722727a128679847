"""The launcher of one region: the only one that makes machines. See planner/launch.py for what it obeys.

    intake    wanting Instances -> groups of equal parameters -> sealed Launch records, members in the same transaction
    sending   a sealed record -> RunInstances, again and again with the same bytes, until its fate is known
    audit     after a sweep: machines of our Launches that no slot is entitled to are ended; old records go

Whatever dies on whatever line, the record says what was about to be asked for, and the token makes asking again safe.
"""

import asyncio
from collections.abc import Callable, Iterable

from strata.reconcile.gate import Gate
from strata.reconcile.launch_audit import Audit
from strata.reconcile.launch_intake import Intake
from strata.reconcile.launch_sending import Sending
from strata.reconcile.objects import Objects, Stored
from strata.resources.launch import Launch
from strata.resources.stack import Stack

_IDLE_S = 30.0
_RETRY_S = 1.0


class Launcher:
    """One a region and leadership. `place` is the region and its endpoint's name; `stacks` are those there."""

    def __init__(
        self,
        *,
        place: tuple[str, str | None],
        intake: Intake,
        sending: Sending,
        audit: Audit,
        gate: Gate,
        objects: Objects,
        stacks: Callable[[], Iterable[Stored[Stack]]],
        window_s: float,
    ) -> None:
        self._place = place
        self._intake = intake
        self._sending = sending
        self._audit = audit
        self._gate = gate
        self._objects = objects
        self._stacks = stacks
        self._window_s = window_s
        self._wake = asyncio.Event()
        self._driving: set[str] = set()
        self._written: dict[str, int] = {}  # launch id -> revision last written here: an older cache is no news

    def poke(self) -> None:
        """Something may want a machine, or a launch may be open."""
        self._wake.set()

    def swept(self) -> None:
        """A complete sweep ended: audit, and resolve what only sweeps can."""
        self._audit.swept()
        self._wake.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._audit.run())
            while True:
                await self._sleep(await self._turn(group))
                await asyncio.sleep(self._window_s)  # gather what comes together

    async def _turn(self, group: asyncio.TaskGroup) -> float:
        """Seal what is due and drive what is open; in how many seconds to look again if nobody pokes."""
        self._wake.clear()
        self._forget_resolved()
        next_in_s = _IDLE_S
        for launch in self._objects.open_launches_in(*self._place):
            if not self._objects.paused(launch.object.metadata.namespace):
                self._drive_in(group, launch, inherited=True)
        for stack in self._stacks():
            next_in_s = min(next_in_s, await self._take_in(group, stack))
        return next_in_s

    async def _take_in(self, group: asyncio.TaskGroup, stack: Stored[Stack]) -> float:
        if stack.object.metadata.deleting or stack.object.spec.paused:
            return _IDLE_S
        if self._gate.opens_in_s() > 0:
            return self._gate.opens_in_s()
        sealed, next_in_s = await self._intake.seal_due(stack)
        for launch in sealed:
            self._drive_in(group, launch, inherited=False)
        return _IDLE_S if next_in_s is None else next_in_s

    def _drive_in(self, group: asyncio.TaskGroup, launch: Stored[Launch], *, inherited: bool) -> None:
        launch_id = launch.object.metadata.name
        if launch_id not in self._driving and launch.mod_revision >= self._written.get(launch_id, 0):
            self._driving.add(launch_id)
            group.create_task(self._drive(launch, inherited=inherited))

    async def _drive(self, launch: Stored[Launch], *, inherited: bool) -> None:
        launch_id = launch.object.metadata.name
        try:
            self._written[launch_id] = await self._sending.drive(launch, inherited=inherited)
        finally:
            self._driving.discard(launch_id)
            asyncio.get_running_loop().call_later(_RETRY_S, self._wake.set)

    def _forget_resolved(self) -> None:
        """Once the cache shows a launch resolved, it can never be driven again."""
        still_open = {launch.object.metadata.name for launch in self._objects.open_launches_in(*self._place)}
        for launch_id in [i for i in self._written if i not in self._driving and i not in still_open]:
            del self._written[launch_id]

    async def _sleep(self, delay_s: float) -> None:
        try:
            async with asyncio.timeout(delay_s):
                await self._wake.wait()
        except TimeoutError:
            pass
