"""The life of a modelled machine, as an Instance's status and what EC2 would say of it. Launches succeed, machines boot
in their time, and nothing breaks: a forecast is of what we do, not of what happens to us."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from strata.planner.facts import Known, MachineFact, Observed, Unknown
from strata.planner.layer_plan import LAYER_LABEL, NewSlot
from strata.resources import reasons
from strata.resources.instance import Ec2Status, Instance, InstanceSpec, InstanceStatus, LaunchRef, Phase
from strata.resources.layer import Layer
from strata.resources.machine import CheckState, Machine, MachineState
from strata.resources.meta import API_VERSION, FINALIZER, ObjectMeta, find_condition

_LAUNCH = "forecast"  # there are no Launch records here: a slot with a machine only names one


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """How long a machine takes from its launch, or its start, until it is online; and until it has ended or stopped."""

    boot: timedelta = timedelta(seconds=120)
    warm_boot: timedelta = timedelta(seconds=60)
    end: timedelta = timedelta(seconds=60)
    stop: timedelta = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Make:
    """How new machines are made now: the template's digest and the type that is asked for first."""

    template: str
    type: str


def slot_of(layer: Layer, new: NewSlot, now: datetime) -> Instance:
    """A new slot of this layer, without a machine."""
    name = new.name
    metadata = ObjectMeta(
        name=name,
        namespace=layer.metadata.namespace,
        uid=f"{name}-{now:%s}",
        generation=1,
        creation_timestamp=now,
        finalizers=(FINALIZER,),
        labels={LAYER_LABEL: layer.metadata.name},
    )
    spec = InstanceSpec(layers=(layer.metadata.name,), zone=new.zone, market=new.market, availability="layer")
    return Instance(api_version=API_VERSION, kind="Instance", metadata=metadata, spec=spec)


def launched(slot: Instance, make: Make, instance_id: str, now: datetime) -> Instance:
    """The slot with a new machine, which boots."""
    attempt = slot.status.attempt + 1
    ec2 = Ec2Status(
        instance_id=instance_id,
        state="pending",
        type=make.type,
        zone=slot.spec.zone or "",
        lifecycle=slot.spec.market,
        launched_at=now,
    )
    return _with(
        slot,
        phase=Phase.PENDING,
        attempt=attempt,
        launch=LaunchRef(launch_id=_LAUNCH, attempt=attempt),
        template=make.template,
        ec2=ec2,
        online_since=None,
        failures=None,
    )


def online(slot: Instance, now: datetime) -> Instance:
    """The slot whose machine has booted. What was to be healed is healed."""
    return _with(_in_state(slot, "running"), phase=Phase.ONLINE, online_since=now, heal=None, failures=None)


def starting(slot: Instance, now: datetime) -> Instance:
    """The slot whose stopped machine starts; EC2 moves its launch time."""
    slot = _with(_in_state(slot, "pending", launched_at=now), phase=Phase.PENDING, online_since=None, leave=None)
    return msgspec.structs.replace(slot, spec=msgspec.structs.replace(slot.spec, power="running"))


def stopping(slot: Instance) -> Instance:
    """The slot whose machine is being stopped, as is wanted."""
    slot = _with(
        _in_state(slot, "stopping"), phase=Phase.STOPPING, online_since=None, leave=None, stopped_as_wanted=True
    )
    return msgspec.structs.replace(slot, spec=msgspec.structs.replace(slot.spec, power="stopped"))


def stopped(slot: Instance) -> Instance:
    return _with(_in_state(slot, "stopped"), phase=Phase.STOPPED)


def deleting(slot: Instance, now: datetime) -> Instance:
    """The slot that goes, with its machine."""
    metadata = msgspec.structs.replace(slot.metadata, deletion_timestamp=now)
    return _with(msgspec.structs.replace(slot, metadata=metadata), phase=Phase.SHUTTING_DOWN)


def serves(slot: Instance) -> bool:
    """Whether it does the layer's work: online, and not on its way out."""
    return slot.status.phase == Phase.ONLINE and slot.status.leave is None and not slot.metadata.deleting


def status_with(slot: Instance, **changes: object) -> Instance:
    """The slot with these fields of its status changed."""
    return _with(slot, **changes)


def _with(slot: Instance, **changes: object) -> Instance:
    status: InstanceStatus = msgspec.structs.replace(slot.status, **changes)
    return msgspec.structs.replace(slot, status=status)


def _in_state(slot: Instance, state: MachineState, **changes: object) -> Instance:
    ec2 = slot.status.ec2
    return slot if ec2 is None else _with(slot, ec2=msgspec.structs.replace(ec2, state=state, **changes))


def fact_of(slot: Instance, now: datetime) -> MachineFact:
    """What EC2 would say of the slot's machine."""
    ec2 = slot.status.ec2
    if ec2 is None or slot.metadata.deleting:
        return Unknown(reasons.UNKNOWN)
    machine = Machine(
        instance_id=ec2.instance_id,
        state=_STATES.get(slot.status.phase, "running"),
        type=ec2.type,
        zone=ec2.zone,
        subnet_id="",
        image_id=ec2.image_id,
        launched_at=ec2.launched_at or now,
        lifecycle=ec2.lifecycle,
    )
    checks = _CHECKS.get(slot.status.phase)
    impaired_since = _lost_since(slot) or now if checks == "impaired" else None
    return Known(Observed(machine, machine.launched_at, checks, impaired_since))


_STATES: dict[Phase, MachineState] = {
    Phase.PENDING: "pending",
    Phase.STOPPING: "stopping",
    Phase.STOPPED: "stopped",
    Phase.SHUTTING_DOWN: "shutting-down",
    Phase.TERMINATED: "terminated",
}
_CHECKS: dict[Phase, CheckState] = {
    Phase.ONLINE: "ok",
    Phase.BOOTING: "initializing",
    Phase.CONNECTION_LOST: "impaired",
}


def _lost_since(slot: Instance) -> datetime | None:
    healthy = find_condition(slot.status.conditions, "Healthy")
    return None if healthy is None else healthy.last_transition_time
