"""The Instance pass: carries one slot's plan out on its own machine.

What is meant is written before it is done: who dies between the two leaves an order that was not carried out yet, and
never a deed that looks as if somebody else had done it.
"""

import msgspec

from strata.clock import Clock
from strata.errors import CloudError, CloudErrorKind
from strata.planner.facts import Note, Unknown
from strata.planner.instance import Action, InstancePlan, plan_instance
from strata.planner.instance_status import InstanceSnapshot, stalled, still_stalled
from strata.planner.policy import Policy
from strata.reconcile.events import EventRecorder
from strata.reconcile.layer_metrics import LayerTally
from strata.reconcile.objects import Objects, Stored, marked_deleted, released
from strata.reconcile.regions import Region, Regions, fact_of
from strata.resources import kinds, reasons
from strata.resources.codec import with_status
from strata.resources.instance import Instance, InstanceStatus
from strata.resources.kinds import ObjectKey
from strata.store.repository import Repository

_HEALS = frozenset({reasons.IMPAIRED, reasons.START_DEADLINE, reasons.STOPPED_EXTERNALLY})
_REPEAT_AFTER_S = 30.0  # a verb that was accepted shows its effect sooner than this, or is asked for again


class InstancePass:
    """Reconciles one Instance at a time; no state but which verbs were accepted a moment ago."""

    def __init__(
        self,
        objects: Objects,
        regions: Regions,
        repository: Repository,
        events: EventRecorder,
        tally: LayerTally,
        *,
        clock: Clock,
        policy: Policy,
    ) -> None:
        self._objects = objects
        self._regions = regions
        self._repository = repository
        self._events = events
        self._tally = tally
        self._clock = clock
        self._policy = policy
        self._accepted_s: dict[tuple[str, str], float] = {}

    async def reconcile(self, key: ObjectKey) -> float | None:
        """One pass; in how many seconds time alone may change its plan. Raises what EC2 or the store raised."""
        stored = self._objects.instance(key.namespace, key.name)
        if stored is None:
            return None
        snapshot, region = self._observe(stored)
        plan = plan_instance(snapshot, self._policy)
        if plan.finished:
            await self._repository.commit([released(stored)])
            self._record(stored, plan)
            return None
        if plan.delete:
            await self._repository.commit([marked_deleted(stored, snapshot.now)])
            return None
        acts = plan.action is not None and plan.action.verb != "tag"
        written = await self._write(stored, still_stalled(plan.status, snapshot) if acts else plan.status)
        if written is not stored:
            self._record(stored, plan)
        if plan.action is not None and isinstance(region, Region):
            status, error = await self._act(plan, plan.action, snapshot, region)
            await self._write(written, status)
            if error is not None:
                raise error
        return self._seconds_until(plan)

    def _observe(self, stored: Stored[Instance]) -> tuple[InstanceSnapshot, Region | Unknown]:
        instance = stored.object
        namespace, ref = instance.metadata.namespace, instance.status.launch
        stack = self._objects.stack(namespace)
        layer = self._objects.layer(namespace, instance.spec.layers[0])
        launch = self._objects.launch(namespace, ref.launch_id) if ref is not None else None
        region = self._regions.of(stack, launch)
        snapshot = InstanceSnapshot(
            now=self._clock.now(),
            instance=instance,
            layer=layer.object if layer else None,
            stack=stack.object if stack else None,
            launch=launch.object if launch else None,
            fact=fact_of(region, instance, launch.object if launch else None),
            paused=self._objects.paused(namespace),
            shielded=any(self._objects.protected(namespace, name) for name in instance.spec.layers),
            owner_gone=self._objects.owner_gone(instance.metadata),
        )
        return snapshot, region

    async def _act(
        self, plan: InstancePlan, action: Action, snapshot: InstanceSnapshot, region: Region
    ) -> tuple[InstanceStatus, CloudError | None]:
        """Carry the action out; the status that says how it went, and the error that has it tried again."""
        if action.verb == "tag":
            region.mutations.want_tags(action.instance_id, action.tags or {})
            return plan.status, None
        done = (action.instance_id, action.verb)
        now_s = self._clock.monotonic_s()
        if now_s - self._accepted_s.get(done, -_REPEAT_AFTER_S) < _REPEAT_AFTER_S:
            return still_stalled(plan.status, snapshot), None
        try:
            await getattr(region.mutations, action.verb).submit(action.instance_id)
        except CloudError as error:
            return self._refused(plan, snapshot, error), error
        self._accept(done, now_s)
        self._note_action(snapshot.instance, action)
        if action.reason in _HEALS:  # it failed; nobody asked for its end, or its restart
            self._count_heal(snapshot.instance, action.reason)
        return plan.status, None

    def _refused(self, plan: InstancePlan, snapshot: InstanceSnapshot, error: CloudError) -> InstanceStatus:
        protected = error.kind is CloudErrorKind.TERMINATION_PROTECTED
        reason = reasons.TERMINATION_PROTECTED if protected else error.kind.value
        return stalled(plan.status, snapshot, reason, f"{error.action}: {error.message}")

    def _accept(self, done: tuple[str, str], now_s: float) -> None:
        self._accepted_s[done] = now_s
        if len(self._accepted_s) > 1024:  # noqa: PLR2004 - a bound on memory, of no meaning
            recent = {d: at for d, at in self._accepted_s.items() if now_s - at < _REPEAT_AFTER_S}
            self._accepted_s = recent

    async def _write(self, stored: Stored[Instance], status: InstanceStatus) -> Stored[Instance]:
        """Write the status if its meaning changed; the object as it is then stored."""
        if status == stored.object.status:
            return stored
        value = with_status(stored.value, status)
        revision = await self._repository.commit([stored.write(value)])
        for condition in status.conditions:
            if condition.type == "Stalled" and condition not in stored.object.status.conditions:
                self._note(stored.object, Note(condition.reason, condition.message, warning=True))
        return Stored(stored.key, value, revision, msgspec.structs.replace(stored.object, status=status))

    def _record(self, stored: Stored[Instance], plan: InstancePlan) -> None:
        for note in plan.notes:
            self._note(stored.object, note)
            if note.reason == reasons.TERMINATED_EXTERNALLY:
                self._count_heal(stored.object, note.reason)
            if note.reason == reasons.SPOT_INTERRUPTED and stored.object.status.leave is None:
                self._tally.spot.unannounced(stored.object.metadata.namespace, stored.object.spec.layers[0])

    def _note_action(self, instance: Instance, action: Action) -> None:
        text = f"{action.verb} {action.instance_id}: {action.message}"
        self._note(instance, Note(action.reason, text, warning=action.reason in _HEALS))

    def _count_heal(self, instance: Instance, reason: str) -> None:
        namespace, layer = instance.metadata.namespace, instance.spec.layers[0]
        if self._objects.layer(namespace, layer) is not None:  # the series of one that is gone have ended
            self._tally.heals[namespace, layer, reason] += 1

    def _note(self, instance: Instance, note: Note) -> None:
        key = ObjectKey(kinds.INSTANCE, instance.metadata.name, instance.metadata.namespace)
        self._events.record(key, instance.metadata.uid, note)

    def _seconds_until(self, plan: InstancePlan) -> float | None:
        if plan.again_at is None:
            return None
        wait_s = (plan.again_at - self._clock.now()).total_seconds()
        return wait_s if wait_s > 0 else None
