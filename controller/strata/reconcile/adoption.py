"""Takes an orphan in: an Instance and the Launch record that makes the machine its own, in one transaction."""

import random
import uuid

from strata.clock import Clock
from strata.errors import StrataError
from strata.planner.capacity import free_ordinals
from strata.reconcile.objects import Objects
from strata.reconcile.slots import new_slot
from strata.resources import kinds, tags
from strata.resources.cluster import Orphan
from strata.resources.codec import encode
from strata.resources.instance import Ec2Status, Instance, InstanceStatus, LaunchRef, Phase
from strata.resources.launch import Assignment, Launch, LaunchSpec, LaunchStatus, Member
from strata.resources.layer import Layer
from strata.resources.machine import Machine
from strata.resources.meta import API_VERSION, ObjectMeta
from strata.store.repository import Repository, Write


class Refused(StrataError):  # noqa: N818 - an answer for a person, no fault of the program
    """The orphan cannot be adopted as asked; the text says why and what to do."""


class Adoption:
    """Used by the reapers of all regions."""

    def __init__(self, objects: Objects, repository: Repository, *, clock: Clock, rng: random.Random) -> None:
        self._objects = objects
        self._repository = repository
        self._clock = clock
        self._rng = rng

    async def adopt(self, orphan: Orphan, machine: Machine, *, forget: Write) -> str:
        """Make the machine a slot of its layer; the slot's name. `forget` removes the orphan's record along with it.

        Raises Refused, and what a commit raises.
        """
        layer = self._layer(orphan)
        name = self._name(orphan, layer)
        slot = new_slot(layer, name, machine.zone, now=self._clock.now(), rng=self._rng)
        launch_id = orphan.launch_id or uuid.UUID(int=self._rng.getrandbits(128), version=4).hex
        launch = self._launch(slot, launch_id, orphan, machine)
        slot = _filled(slot, launch_id, machine)
        namespace = slot.metadata.namespace
        await self._repository.commit(
            [
                Write(kinds.INSTANCE.key(name, namespace), encode(slot), 0),
                Write(kinds.LAUNCH.key(launch_id, namespace), encode(launch), 0),
                forget,
            ]
        )
        return name

    def _layer(self, orphan: Orphan) -> Layer:
        name = orphan.adopt_into or orphan.layer
        if not name:
            raise Refused("no tag says its layer: name one with --into LAYER")
        stored = self._objects.layer(orphan.stack, name)
        if stored is None or stored.object.metadata.deleting:
            raise Refused(f"there is no layer {name} in stack {orphan.stack or '(none)'}")
        return stored.object

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


def _filled(slot: Instance, launch_id: str, machine: Machine) -> Instance:
    status = InstanceStatus(
        phase=Phase.BOOTING,
        attempt=1,
        launch=LaunchRef(launch_id=launch_id, attempt=1),
        template=machine.tags.get(tags.TEMPLATE, ""),
        ec2=Ec2Status(instance_id=machine.instance_id, state=machine.state, type=machine.type, zone=machine.zone),
    )
    return Instance(api_version=slot.api_version, kind=slot.kind, metadata=slot.metadata, spec=slot.spec, status=status)
