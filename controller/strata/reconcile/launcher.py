"""The launcher of one region: the only one that makes machines. See planner/launch.py for what it obeys.

    intake    wanting Instances -> groups of equal parameters -> sealed Launch records, members in the same transaction
    sending   a sealed record -> RunInstances, again and again with the same bytes, until its fate is known
    audit     after a sweep: machines of our Launches that no slot is entitled to are ended; old records go

Whatever dies on whatever line, the record says what was about to be asked for, and the token makes asking again safe.
"""

import asyncio
import random
from collections.abc import Callable, Iterable

import structlog

from strata.clock import Clock
from strata.errors import StrataError
from strata.metrics import DaemonMetrics
from strata.reconcile.gate import Gate
from strata.reconcile.launch_audit import Audit
from strata.reconcile.launch_intake import Intake
from strata.reconcile.launch_sending import Sending
from strata.reconcile.objects import Objects, Stored
from strata.reconcile.own_images import OwnImages
from strata.reconcile.resting import Resting
from strata.resources.launch import Launch
from strata.resources.stack import Stack

log = structlog.get_logger(__name__)

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
        own_images: OwnImages,
        clock: Clock,
        rng: random.Random,
        metrics: DaemonMetrics,
        window_s: float,
    ) -> None:
        self._own_images = own_images
        self._metrics = metrics
        self._resting: Resting[str] = Resting(clock, rng)  # launches by id, stacks by store key
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
            group.create_task(self._own_images.run(self.poke))
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
            rests_s = self._resting.left_s(stack.key)
            next_in_s = min(next_in_s, rests_s or await self._take_in(group, stack))
        return next_in_s

    async def _take_in(self, group: asyncio.TaskGroup, stack: Stored[Stack]) -> float:
        if stack.object.metadata.deleting or stack.object.spec.paused:
            return _IDLE_S
        if self._gate.opens_in_s() > 0:
            return self._gate.opens_in_s()
        try:
            sealed, next_in_s = await self._intake.seal_due(stack)
        except Exception as error:  # noqa: BLE001 - whatever it is, it concerns neither other stacks nor what is driven
            return self._failed(stack.key, error)
        self._resting.recovered(stack.key)
        for launch in sealed:
            self._drive_in(group, launch, inherited=False)
        return _IDLE_S if next_in_s is None else next_in_s

    def _drive_in(self, group: asyncio.TaskGroup, launch: Stored[Launch], *, inherited: bool) -> None:
        launch_id = launch.object.metadata.name
        if launch_id in self._driving or self._resting.left_s(launch_id) > 0:
            return
        if launch.mod_revision >= self._written.get(launch_id, 0):
            self._driving.add(launch_id)
            group.create_task(self._drive(launch, inherited=inherited))

    async def _drive(self, launch: Stored[Launch], *, inherited: bool) -> None:
        launch_id, again_s = launch.object.metadata.name, _RETRY_S
        try:
            self._written[launch_id] = await self._sending.drive(launch, inherited=inherited)
            self._resting.recovered(launch_id)
        except Exception as error:  # noqa: BLE001 - whatever it is, it concerns no other launch
            again_s = self._failed(launch_id, error)
        finally:
            self._driving.discard(launch_id)
            asyncio.get_running_loop().call_later(again_s, self._wake.set)

    def _failed(self, what: str, error: Exception) -> float:
        """Have it rest, and say so; in how many seconds it is tried again."""
        rest_s = self._resting.failed(what)
        say = log.bind(what=what, retry_s=round(rest_s, 3))
        if isinstance(error, StrataError):  # the world's fault: a trace would say nothing
            say.warning("launcher failed", reason=type(error).__name__, error=str(error))
        else:
            self._metrics.crashes.labels("Launch").inc()
            say.error("launcher crashed", exc_info=error)
        return rest_s

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
