"""Audit: after a sweep, ends machines of our Launches that no slot is entitled to, and removes old records."""

import asyncio
from collections.abc import Callable

import structlog

from strata.clock import Clock
from strata.errors import CloudError, StoreError
from strata.planner import launch as protocol
from strata.planner.policy import Policy
from strata.reconcile.mutations import Mutations
from strata.reconcile.objects import Objects
from strata.reconcile.observer import RegionObserver
from strata.resources import tags
from strata.resources.launch import Launch, Member
from strata.store.repository import Repository

log = structlog.get_logger(__name__)


class Audit:
    """One a region and leadership."""

    def __init__(
        self,
        *,
        observer: RegionObserver,
        mutations: Mutations,
        objects: Objects,
        repository: Repository,
        clock: Clock,
        policy: Policy,
    ) -> None:
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
            await self._due.wait()
            self._due.clear()
            try:
                await self._end_unentitled()
                await self._remove_old_records()
            except (StoreError, CloudError) as error:
                log.warning("audit not finished", error=str(error))

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
        now = self._clock.now()
        for stack in {stored.object.metadata.namespace for stored in self._objects.launches()}:
            for launch in self._objects.launches(stack):
                if protocol.removable(launch.object, self._holder_of(launch.object), now, self._policy):
                    await self._repository.commit([launch.write(None)])

    def _holder_of(self, launch: Launch) -> Callable[[Member], bool]:
        return lambda member: self._objects.fills(launch, member)
