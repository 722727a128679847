"""The Stack pass: rolls its layers and instances up, and deletes them in order when it goes."""

from strata.clock import Clock
from strata.planner.facts import Unknown
from strata.planner.policy import Policy
from strata.planner.stack import StackPlan, StackSnapshot, plan_stack
from strata.reconcile.events import EventRecorder
from strata.reconcile.objects import Objects, Stored, marked_deleted, released
from strata.reconcile.regions import Region, Regions
from strata.resources.codec import with_status
from strata.resources.instance import Instance
from strata.resources.kinds import ObjectKey
from strata.resources.layer import Layer
from strata.resources.stack import Stack
from strata.store.repository import Repository

_RECHECK_S = 60.0  # subnets and reachability change without a word to us


class StackPass:
    """Reconciles one Stack at a time; keeps no state."""

    def __init__(
        self,
        objects: Objects,
        regions: Regions,
        repository: Repository,
        events: EventRecorder,
        *,
        clock: Clock,
        policy: Policy,
    ) -> None:
        self._objects = objects
        self._regions = regions
        self._repository = repository
        self._events = events
        self._clock = clock
        self._policy = policy

    async def reconcile(self, key: ObjectKey) -> float | None:
        """One pass; in how many seconds to look again. Raises what the store raised."""
        stored = self._objects.stack(key.name)
        if stored is None:
            return None
        region = self._regions.of(stored)
        subnets = region if isinstance(region, Unknown) else await region.subnets.read(stored.object)
        layers, instances = self._objects.layers(key.name), self._objects.instances(key.name)
        snapshot = StackSnapshot(
            now=self._clock.now(),
            stack=stored.object,
            layers=tuple(layer.object for layer in layers),
            instances=tuple(instance.object for instance in instances),
            open_launches=len(self._objects.open_launches(key.name)),
            poll=region.observer.poll_state() if isinstance(region, Region) else region,
            subnets=subnets,
            unreadable=self._objects.unreadable_in(key.name),
            orphans_held=region.reaper.held_count(key.name) if isinstance(region, Region) else 0,
        )
        plan = plan_stack(snapshot, changes_per_pass=self._policy.changes_per_pass)
        more = await self._commit(stored, [*layers, *instances], plan)
        for note in plan.notes:
            self._events.record(key, stored.object.metadata.uid, note)
        return 0.0 if more else _RECHECK_S

    async def _commit(
        self, stored: Stored[Stack], children: list[Stored[Layer] | Stored[Instance]], plan: StackPlan
    ) -> bool:
        """Write what the plan says; whether there is more to mark at once."""
        if plan.finished:
            await self._repository.commit([released(stored)])
            return False
        now = self._clock.now()
        doomed = {child.metadata.uid for child in plan.delete}
        writes = [marked_deleted(child, now) for child in children if child.object.metadata.uid in doomed]
        if plan.status != stored.object.status:
            writes.append(stored.write(with_status(stored.value, plan.status)))
        if writes:
            await self._repository.commit(writes)
        return bool(doomed)
