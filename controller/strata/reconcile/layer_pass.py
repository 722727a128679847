"""The Layer pass: adds, removes and marks slots in one transaction that also compares the Layer. Never calls EC2 to
change anything: others carry out what it decides."""

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec

from strata.clock import Clock
from strata.planner.facts import Known, Unknown
from strata.planner.instance import plan_instance
from strata.planner.instance_status import InstanceSnapshot
from strata.planner.layer import LayerPlan, LayerSnapshot, plan_layer
from strata.planner.policy import Policy
from strata.planner.template import effective, image_key
from strata.reconcile.events import EventRecorder
from strata.reconcile.layer_metrics import LayerTally
from strata.reconcile.objects import Objects, Stored, marked_deleted, released, wished
from strata.reconcile.regions import Region, Regions, fact_of
from strata.reconcile.revisions import revision_writes
from strata.reconcile.signals import Signals
from strata.reconcile.slots import new_slot
from strata.resources import kinds, reasons
from strata.resources.codec import encode, with_power, with_status
from strata.resources.instance import Instance, InstanceStatus
from strata.resources.kinds import ObjectKey
from strata.resources.layer import Layer, ResolvedImage
from strata.resources.revision import LayerRevision
from strata.resources.stack import Stack
from strata.store.repository import Repository, Write

_CHANGE_BYTES = 4096  # what an order adds to a slot, or a new slot takes


class LayerPass:
    """Reconciles one Layer at a time; keeps no state."""

    def __init__(
        self,
        objects: Objects,
        regions: Regions,
        signals: Signals,
        repository: Repository,
        events: EventRecorder,
        tally: LayerTally,
        *,
        clock: Clock,
        rng: random.Random,
        policy: Policy,
    ) -> None:
        self._objects = objects
        self._regions = regions
        self._repository = repository
        self._events = events
        self._signals = signals
        self._tally = tally
        self._clock = clock
        self._rng = rng
        self._policy = policy

    async def reconcile(self, key: ObjectKey) -> float | None:
        """One pass; in how many seconds time alone may change its plan. Raises what the store raised."""
        stored = self._objects.layer(key.namespace, key.name)
        if stored is None:
            return None
        stack = self._objects.stack(key.namespace)
        region = self._regions.of(stack)
        image = await self._image(stored.object, stack, region)
        fresh = self._objects.layer(key.namespace, key.name)
        if fresh is None or fresh.mod_revision != stored.mod_revision:
            return 0.0  # it changed while the image was read: begin again
        members = self._objects.members(key.namespace, key.name)
        plan = plan_layer(self._snapshot(stored, stack, members, region, image), self._as_fits(members))
        await self._commit(stored, stack, members, plan)
        self._tally.decided(stored.object, plan.status.load)
        self._tally.spot.planned(key.namespace, key.name, plan)
        for note in plan.notes:
            self._events.record(key, stored.object.metadata.uid, note)
        return self._next_in_s(plan)

    async def _image(
        self, layer: Layer, stack: Stored[Stack] | None, region: Region | Unknown
    ) -> Known[ResolvedImage] | Unknown:
        """The image that the layer's machines are made from: frozen in the status, or read now."""
        if stack is None:
            return Unknown(reasons.STACK_NOT_FOUND)
        source = effective(stack.object, layer).image
        if source is None:
            return Unknown(reasons.TEMPLATE_INCOMPLETE, "neither the layer nor its stack says spec.instance.image")
        frozen = layer.status.image
        if frozen is not None and frozen.source == image_key(source):
            return Known(frozen)
        return region if isinstance(region, Unknown) else await region.images.resolve(source)

    def _snapshot(
        self,
        stored: Stored[Layer],
        stack: Stored[Stack] | None,
        members: list[Stored[Instance]],
        region: Region | Unknown,
        image: Known[ResolvedImage] | Unknown,
    ) -> LayerSnapshot:
        namespace = stored.object.metadata.namespace
        facts = {}
        for member in members:
            ref = member.object.status.launch
            launch = self._objects.launch(namespace, ref.launch_id) if ref else None
            fact = fact_of(region, member.object, launch.object if launch else None)
            facts[member.object.metadata.name] = fact
        return LayerSnapshot(
            now=self._clock.now(),
            layer=stored.object,
            stack=stack.object if stack else None,
            members=tuple(member.object for member in members),
            facts=facts,
            image=image,
            protected=self._protected(namespace, members),
            unreadable=self._objects.unreadable(namespace, stored.object.metadata.name),
            signals=self._signals.facts(stored.object),
            revisions=tuple(self._revisions(stored.object)),
        )

    def _as_fits(self, members: list[Stored[Instance]]) -> Policy:
        """The policy, with no more changes than one transaction takes if each is of the largest slot: people may write
        annotations of any number of slots."""
        largest_bytes = max((len(member.value) for member in members), default=0) + _CHANGE_BYTES
        fits = max(1, self._policy.bytes_per_launch // largest_bytes)
        return replace(self._policy, changes_per_pass=min(fits, self._policy.changes_per_pass))

    def _revisions(self, layer: Layer) -> Iterator[LayerRevision]:
        """This layer's own: another one of its name may have left some that are not gone yet."""
        for stored in self._objects.revisions(layer.metadata.namespace, layer.metadata.name):
            if not self._objects.owner_gone(stored.object.metadata):
                yield stored.object

    def _protected(self, namespace: str, members: list[Stored[Instance]]) -> frozenset[str]:
        """The members' other layers whose breaker is open."""
        others = {name for member in members for name in member.object.spec.layers[1:]}
        return frozenset(name for name in others if self._objects.protected(namespace, name))

    async def _commit(
        self, stored: Stored[Layer], stack: Stored[Stack] | None, members: list[Stored[Instance]], plan: LayerPlan
    ) -> None:
        """One transaction: all slots and the Layer. Whoever saw an older Layer loses it, so budgets cannot race."""
        if plan.finished:
            await self._repository.commit([released(stored)])
            return
        by_name = {member.object.metadata.name: member for member in members}
        writes = self._writes(stored.object, stack.object if stack else None, by_name, plan)
        if not writes and plan.status == stored.object.status:
            return
        writes.append(stored.write(with_status(stored.value, plan.status)))
        await self._repository.commit(writes, within=wished(stack) if stack and len(writes) > 1 else None)

    def _writes(
        self, layer: Layer, stack: Stack | None, members: dict[str, Stored[Instance]], plan: LayerPlan
    ) -> list[Write]:
        now, namespace = self._clock.now(), layer.metadata.namespace
        writes = []
        for slot in plan.create:
            new = new_slot(layer, slot.name, slot.zone, slot.market, now=now, rng=self._rng)
            made = self._first_status(new, layer, stack)
            writes.append(Write(kinds.INSTANCE.key(slot.name, namespace), encode(made), 0))
        writes += [marked_deleted(members[victim.metadata.name], now) for victim in plan.delete]
        writes += [_with_status(members, one.instance, heal=one.mark) for one in plan.heal]
        writes += [_with_status(members, one, heal=None) for one in plan.withdraw]
        writes += [_with_status(members, one.instance, leave=one.leave) for one in plan.leave]
        writes += [_with_status(members, one, leave=None) for one in plan.stay]
        for powered in plan.power:
            member = members[powered.instance.metadata.name]
            status: InstanceStatus = msgspec.structs.replace(member.object.status, leave=None)
            writes.append(member.write(with_power(member.value, powered.power, status)))
        writes += revision_writes(layer, plan.revisions, self._objects, now=now, rng=self._rng)
        return writes

    def _first_status(self, slot: Instance, layer: Layer, stack: Stack | None) -> Instance:
        """What the slot's own first pass would write: without it that write would race with the launch's seal."""
        snapshot = InstanceSnapshot(
            now=self._clock.now(),
            instance=slot,
            layer=layer,
            stack=stack,
            launch=None,
            fact=Unknown(reasons.UNKNOWN),
        )
        return msgspec.structs.replace(slot, status=plan_instance(snapshot, self._policy).status)

    def _next_in_s(self, plan: LayerPlan) -> float | None:
        if plan.more:
            return 0.0
        if plan.again_at is None:
            return None
        return max(0.0, (plan.again_at - self._clock.now()).total_seconds())


def _with_status(members: dict[str, Stored[Instance]], instance: Instance, **changes: Any) -> Write:  # noqa: ANN401 - a field's value
    member = members[instance.metadata.name]
    status: InstanceStatus = msgspec.structs.replace(member.object.status, **changes)
    return member.write(with_status(member.value, status))
