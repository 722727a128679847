"""Takes an orphan in: an Instance and the Launch record that makes the machine its own, in one transaction.

The record is always a new one. Under the id that the machine's tag has, it would speak for the machines that were
launched together with it as well, and the audit would end them as surplus.
"""

import random
import uuid
from collections.abc import Callable
from datetime import datetime

import msgspec

from strata.clock import Clock
from strata.errors import StrataError
from strata.planner.capacity import free_ordinals
from strata.reconcile.objects import Objects, Stored
from strata.reconcile.slots import new_slot
from strata.resources import kinds, tags
from strata.resources.cluster import Orphan
from strata.resources.codec import encode
from strata.resources.instance import Ec2Status, Instance, InstanceStatus, LaunchRef, Phase
from strata.resources.launch import Assignment, Launch, LaunchSpec, LaunchStatus, Member
from strata.resources.layer import Layer
from strata.resources.machine import CheckState, Machine, Market
from strata.resources.meta import API_VERSION, ObjectMeta
from strata.store.port import ModRevisionIs
from strata.store.repository import Repository, Write


class Refused(StrataError):  # noqa: N818 - an answer for a person, no fault of the program
    """The orphan cannot be adopted as asked; the text says why and what to do."""


class NotYet(StrataError):  # noqa: N818 - likewise
    """The cache is older than what was done last; ask again in a moment."""


class Adoption:
    """Used by the reapers of all regions."""

    def __init__(
        self,
        objects: Objects,
        repository: Repository,
        *,
        revision: Callable[[], int],
        clock: Clock,
        rng: random.Random,
    ) -> None:
        """`revision` is the cache's."""
        self._objects = objects
        self._repository = repository
        self._revision = revision
        self._adopted_at = 0  # the revision of the last adoption: a cache before it does not know its slot
        self._clock = clock
        self._rng = rng

    async def adopt(self, orphan: Orphan, machine: Machine, checks: CheckState | None, *, forget: Write) -> str:
        """Make the machine a slot of its layer; the slot's name. `forget` removes the orphan's record along with it.

        Raises Refused, NotYet, and what a commit raises.
        """
        if self._revision() < self._adopted_at:
            raise NotYet
        if not machine.live:
            raise Refused(f"it is {machine.state}")
        stored = self._layer(orphan)
        layer = stored.object
        self._require_room(layer)
        name = self._name(orphan, layer)
        now = self._clock.now()
        market: Market = "spot" if machine.lifecycle == "spot" else "on-demand"
        slot = new_slot(layer, name, machine.zone, market, now=now, rng=self._rng)
        launch_id = uuid.UUID(int=self._rng.getrandbits(128), version=4).hex
        launch = self._launch(slot, launch_id, orphan, machine)
        slot = _filled(slot, launch_id, machine, online_since=now if _works(machine, checks) else None)
        namespace = slot.metadata.namespace
        self._adopted_at = await self._repository.commit(
            [
                Write(kinds.INSTANCE.key(name, namespace), encode(slot), 0),
                Write(kinds.LAUNCH.key(launch_id, namespace), encode(launch), 0),
                forget,
            ],
            guards=[ModRevisionIs(stored.key, stored.mod_revision)],  # a pass that fills the layer moves it on
        )
        return name

    def _require_room(self, layer: Layer) -> None:
        """A slot too many would be removed again at once, and the one adopted first: it has the highest ordinal."""
        namespace, name = layer.metadata.namespace, layer.metadata.name
        if layer.status.observed_generation != layer.metadata.generation:
            raise NotYet
        members = (stored.object for stored in self._objects.members(namespace, name))
        slots = sum(m.spec.availability == "layer" and not m.metadata.deleting for m in members)
        slots += len(self._objects.unreadable(namespace, name))
        if slots >= layer.status.desired:
            raise Refused(
                f"layer {name} has all of its {layer.status.desired} slots, and would end one again: "
                f"`strata pause stack/{namespace}`, raise the layer's capacity, adopt, and `strata resume` then"
            )

    def _layer(self, orphan: Orphan) -> Stored[Layer]:
        name = orphan.adopt_into or orphan.layer
        if not name:
            raise Refused("no tag says its layer: name one with --into LAYER")
        stored = self._objects.layer(orphan.stack, name)
        if stored is None or stored.object.metadata.deleting:
            raise Refused(f"there is no layer {name} in stack {orphan.stack or '(none)'}")
        return stored

    def _name(self, orphan: Orphan, layer: Layer) -> str:
        """Its old name if that is free and of this layer, else the lowest free one."""
        namespace, prefix = layer.metadata.namespace, layer.metadata.name
        taken = {stored.object.metadata.name for stored in self._objects.instances(namespace)}
        taken |= self._objects.unreadable(namespace, prefix)
        if orphan.name.startswith(f"{prefix}-") and orphan.name not in taken:
            return orphan.name
        return f"{prefix}-{next(free_ordinals(prefix, taken))}"

    def _launch(self, slot: Instance, launch_id: str, orphan: Orphan, machine: Machine) -> Launch:
        now = self._clock.now()
        member = Member(name=slot.metadata.name, uid=slot.metadata.uid, attempt=1, layer=slot.spec.layers[0])
        return Launch(
            api_version=API_VERSION,
            kind="Launch",
            metadata=ObjectMeta(
                name=launch_id,
                namespace=slot.metadata.namespace,
                uid=launch_id,
                generation=1,
                creation_timestamp=now.replace(microsecond=0),
            ),
            spec=LaunchSpec(
                region=orphan.region,
                endpoint=orphan.endpoint,
                type=machine.type,
                zone=machine.zone,
                market=slot.spec.market,
                template=machine.tags.get(tags.TEMPLATE, ""),
                parameters={},  # it is resolved from the start: never sent
                members=(member,),
            ),
            status=LaunchStatus(
                state="assigned",
                sent_at=now,
                resolved_at=now,
                assignments=(Assignment(uid=slot.metadata.uid, instance_id=machine.instance_id),),
                message="adopted",
            ),
        )


def _works(machine: Machine, checks: CheckState | None) -> bool:
    """A machine that runs came online once, as far as anybody can tell: it is no start that can be late."""
    return machine.state == "running" and checks != "impaired"


def _filled(slot: Instance, launch_id: str, machine: Machine, *, online_since: datetime | None) -> Instance:
    status = InstanceStatus(
        phase=Phase.BOOTING,
        attempt=1,
        launch=LaunchRef(launch_id=launch_id, attempt=1),
        template=machine.tags.get(tags.TEMPLATE, ""),
        online_since=online_since,
        stopped_as_wanted=machine.state in {"stopping", "stopped"},  # it is started, not taken for failed
        ec2=Ec2Status(instance_id=machine.instance_id, state=machine.state, type=machine.type, zone=machine.zone),
    )
    return msgspec.structs.replace(slot, status=status)
