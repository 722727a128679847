"""Audit: after a sweep, ends machines of our Launches that no slot is entitled to; now and then removes old records."""

import asyncio
from collections.abc import Callable

import structlog

from strata.clock import Clock
from strata.errors import CloudError, NotLeader, StoreError
from strata.metrics import DaemonMetrics
from strata.planner import launch as protocol
from strata.planner.policy import Policy
from strata.reconcile.mutations import Mutations
from strata.reconcile.objects import Objects
from strata.reconcile.observer import RegionObserver
from strata.resources import tags
from strata.resources.launch import Launch, Member
from strata.store.repository import Repository

_TIDY_EVERY_S = 60.0
_REMOVED_AT_ONCE = 100  # fit one transaction

log = structlog.get_logger(__name__)


class Audit:
    """One a region and leadership."""

    def __init__(
        self,
        *,
        place: tuple[str, str | None],
        observer: RegionObserver,
        mutations: Mutations,
        objects: Objects,
        repository: Repository,
        clock: Clock,
        metrics: DaemonMetrics,
        policy: Policy,
    ) -> None:
        self._place = place
        self._metrics = metrics
        self._observer = observer
        self._mutations = mutations
        self._objects = objects
        self._repository = repository
        self._clock = clock
        self._policy = policy
        self._due = asyncio.Event()

    def swept(self) -> None:
        """A complete sweep has just ended."""
        self._due.set()

    async def run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(_TIDY_EVERY_S):
                    await self._due.wait()
            except TimeoutError:
                pass
            try:
                await self._turn()
            except (StoreError, CloudError, NotLeader) as error:
                log.warning("audit not finished", error=str(error))
            except Exception:  # it is done again after the next sweep, and concerns no launch that is under way
                self._metrics.crashes.labels("Audit").inc()
                log.exception("audit crashed")

    async def _turn(self) -> None:
        if self._due.is_set():
            self._due.clear()
            await self._end_unentitled()
        await self._remove_old_records()

    async def _end_unentitled(self) -> None:
        """Terminate live machines of resolved Launches that no slot is entitled to: surplus, or left behind."""
        for machine in self._observer.machines():
            launch = self._objects.launch(machine.tags.get(tags.STACK, ""), machine.tags.get(tags.LAUNCH, ""))
            if not machine.live or launch is None or launch.object.status.state == "sealed":
                continue
            if self._entitled(launch.object, machine.instance_id) or self._objects.paused(
                launch.object.metadata.namespace
            ):
                continue
            log.warning("surplus machine", machine=machine.instance_id, launch=launch.object.metadata.name)
            try:
                await self._mutations.terminate.submit(machine.instance_id)
            except CloudError as error:  # one that is protected must not hold the others up
                log.warning("surplus machine not ended", machine=machine.instance_id, error=str(error))

    def _entitled(self, launch: Launch, instance_id: str) -> bool:
        uid = next((a.uid for a in launch.status.assignments if a.instance_id == instance_id), None)
        return any(member.uid == uid and self._objects.fills(launch, member) for member in launch.spec.members)

    async def _remove_old_records(self) -> None:
        """Also without a sweep: where EC2 refuses all, there may be none, and a record at every try."""
        now = self._clock.now()
        old = [
            launch.write(None)
            for launch in self._objects.launches()
            if (launch.object.spec.region, launch.object.spec.endpoint) == self._place
            and protocol.removable(launch.object, self._holder_of(launch.object), now, self._policy)
        ]
        for start in range(0, len(old), _REMOVED_AT_ONCE):
            await self._repository.commit(old[start : start + _REMOVED_AT_ONCE])

    def _holder_of(self, launch: Launch) -> Callable[[Member], bool]:
        return lambda member: self._objects.fills(launch, member)
