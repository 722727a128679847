"""What an Instance's status says next: its phase, its conditions, and what EC2 shows of its machine."""

from dataclasses import dataclass, replace
from datetime import datetime

import msgspec

from strata.planner.conditions import Verdict, conditions, no, yes
from strata.planner.facts import MachineFact, Observed
from strata.resources import reasons
from strata.resources.instance import Ec2Status, Instance, InstanceStatus, LaunchRef, Phase
from strata.resources.launch import Launch
from strata.resources.layer import Layer
from strata.resources.machine import Machine
from strata.resources.meta import find_condition
from strata.resources.stack import Stack


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceSnapshot:
    """`launch` is the record that status.launch names, if the cache has it. `fact` is about `assigned(...)`, or where
    the record is lost about its launch's tag. `paused`: nothing may be changed in EC2. `shielded`: the breaker of one
    of the slot's layers is, or may be, open. `owner_gone`: the layer that made this slot is no more, for certain."""

    now: datetime
    instance: Instance
    layer: Layer | None
    stack: Stack | None
    launch: Launch | None
    fact: MachineFact
    paused: bool = False
    shielded: bool = False
    owner_gone: bool = False


def next_status(
    snapshot: InstanceSnapshot,
    *,
    phase: Phase | None = None,
    launched: Verdict | None = None,
    healthy: Verdict | None = None,
    base: InstanceStatus | None = None,
) -> InstanceStatus:
    """The next status: `base` (else the present one) with this phase and these conditions."""
    before = snapshot.instance.status
    status = base or before
    generation = snapshot.instance.metadata.generation
    without_machine = status.launch is None
    verdicts = (
        launched or Verdict("Launched", None, ""),
        healthy or (no("Healthy", reasons.NOT_RUNNING) if without_machine else Verdict("Healthy", None, "")),
        *_missing_parents(snapshot),
    )
    return msgspec.structs.replace(
        status,
        observed_generation=generation,
        phase=phase or status.phase,
        conditions=conditions(before.conditions, verdicts, generation=generation, now=snapshot.now),
    )


def observed_status(snapshot: InstanceSnapshot, observed: Observed, phase: Phase) -> InstanceStatus:
    """The status with what EC2 says of the machine now."""
    machine = observed.machine
    ec2 = Ec2Status(
        instance_id=machine.instance_id,
        state=machine.state,
        type=machine.type,
        zone=machine.zone,
        image_id=machine.image_id,
        lifecycle=machine.lifecycle,
        fallback=snapshot.instance.spec.market == "spot" and machine.lifecycle != "spot",
        private_ip=machine.private_ip,
        public_ip=machine.public_ip,
        launched_at=machine.launched_at,
    )
    template = snapshot.launch.spec.template if snapshot.launch else snapshot.instance.status.template
    before = snapshot.instance.status
    wanted_stop = before.stopped_as_wanted and not _started_since(before.ec2, machine)
    base = msgspec.structs.replace(before, ec2=ec2, template=template, stopped_as_wanted=wanted_stop)
    healthy = _healthy(phase, observed)
    return next_status(snapshot, phase=phase, base=base, launched=has_machine(ec2), healthy=healthy)


def _started_since(before: Ec2Status | None, machine: Machine) -> bool:
    """Whether the machine was started again since the status was written: each start moves its LaunchTime."""
    if before is None or before.instance_id != machine.instance_id:
        return False
    return before.launched_at is not None and machine.launched_at > before.launched_at


def phase_of(instance: Instance, observed: Observed) -> Phase:
    """Online needs passed checks; once online, only bad news changes it: unread checks are no news."""
    was_online = instance.status.phase in {Phase.ONLINE, Phase.CONNECTION_LOST}
    if observed.machine.state == "pending":
        return Phase.PENDING
    if observed.checks == "ok" or (observed.checks is None and instance.status.phase == Phase.ONLINE):
        return Phase.ONLINE
    if was_online and observed.checks in {"impaired", None}:
        return Phase.CONNECTION_LOST
    if was_online and observed.checks == "insufficient-data":
        return instance.status.phase
    return Phase.BOOTING


def _healthy(phase: Phase, observed: Observed) -> Verdict:
    if phase == Phase.ONLINE:
        return yes("Healthy", reasons.CHECKS_OK)
    if observed.checks == "impaired":
        return no("Healthy", reasons.IMPAIRED, "EC2's status checks fail")
    if phase in {Phase.PENDING, Phase.BOOTING}:
        return no("Healthy", reasons.BOOTING)
    if phase == Phase.SHUTTING_DOWN:
        return no("Healthy", reasons.TERMINATING)
    if phase == Phase.CONNECTION_LOST:
        return Verdict("Healthy", None, reasons.UNKNOWN)
    return no("Healthy", reasons.NOT_RUNNING)


def has_machine(ec2: Ec2Status) -> Verdict:
    return yes("Launched", reasons.LAUNCHED, ec2.instance_id)


def _missing_parents(snapshot: InstanceSnapshot) -> tuple[Verdict, ...]:
    if snapshot.stack is None:
        return (no("Ready", reasons.STACK_NOT_FOUND, "the namespace's Stack does not exist"),)
    if snapshot.layer is None:
        first = snapshot.instance.spec.layers[0]
        return (no("Ready", reasons.LAYER_NOT_FOUND, f"there is no layer {first}"),)
    return ()


def not_ahead(instance: Instance, now: datetime) -> Instance:
    """The slot without times that have not come yet. A clock that ran ahead wrote them; what waits from them on waits
    from now on instead, so that it never waits longer than it is meant to."""
    status = instance.status
    failures, heal, leave, online_since = status.failures, status.heal, status.leave, status.online_since
    if failures is not None and failures.last_at > now:
        failures = msgspec.structs.replace(failures, last_at=now)
    if heal is not None and heal.marked_at > now:
        heal = msgspec.structs.replace(heal, marked_at=now)
    if leave is not None and leave.marked_at > now:
        leave = msgspec.structs.replace(leave, marked_at=now)
    if online_since is not None and online_since > now:
        online_since = now
    status = msgspec.structs.replace(status, failures=failures, heal=heal, leave=leave, online_since=online_since)
    return msgspec.structs.replace(instance, status=status)


def keep_capacity(status: InstanceStatus, verdict: Verdict) -> Verdict:
    """A capacity error stays to be seen until a launch succeeds."""
    for condition in status.conditions:
        if condition.type == "Launched" and condition.reason == reasons.CAPACITY:
            return replace(verdict, reason=condition.reason, message=condition.message)
    return verdict


def sealed_status(status: InstanceStatus, launch_id: str) -> InstanceStatus:
    """The status of a member at the seal of its launch: the next attempt begins."""
    attempt = status.attempt + 1
    return msgspec.structs.replace(status, launch=LaunchRef(launch_id=launch_id, attempt=attempt), attempt=attempt)


def stalled(planned: InstanceStatus, snapshot: InstanceSnapshot, reason: str, message: str) -> InstanceStatus:
    """The planned status when its action failed: the machine stays, and the object says why."""
    verdict = yes("Stalled", reason, message)
    before = snapshot.instance.status.conditions
    generation = snapshot.instance.metadata.generation
    extra = conditions(before, (verdict,), generation=generation, now=snapshot.now)
    return msgspec.structs.replace(planned, conditions=(*planned.conditions, *extra))


def held_back(planned: InstanceStatus, snapshot: InstanceSnapshot, what: str) -> InstanceStatus:
    """The planned status where the stack's pause keeps something from being done."""
    verdict = no("Ready", reasons.PAUSED, f"the stack is paused: {what}")
    others = tuple(condition for condition in planned.conditions if condition.type != verdict.type)
    generation = snapshot.instance.metadata.generation
    extra = conditions(snapshot.instance.status.conditions, (verdict,), generation=generation, now=snapshot.now)
    return msgspec.structs.replace(planned, conditions=(*others, *extra))


def still_stalled(planned: InstanceStatus, snapshot: InstanceSnapshot) -> InstanceStatus:
    """The planned status until it is known how its action goes."""
    old = find_condition(snapshot.instance.status.conditions, "Stalled")
    return planned if old is None else msgspec.structs.replace(planned, conditions=(*planned.conditions, old))
