"""The Instance pass's plan: what one slot does next with its one machine.

The edges, each with what proves it:

    no machine, wanted          -> the launcher takes it, once its backoff is over (requested, start_failed)
    launch sealed               -> wait: only the launcher can say what came of it
    launch dead, or not filled  -> no machine: launch anew
    machine assigned            -> pending -> booting (running) -> online (both status checks passed)
    shutting-down, terminated   -> gone: launch anew, whoever ended it
    absent (proved)             -> gone: likewise
    interrupted (spot)          -> gone, and nobody's failure
    stopped, not asked for      -> terminate, then gone; or start it, once, where healing restarts
    stopped by us               -> start it, once it is to run
    marked by the Layer pass    -> terminate (or stop and start) that very machine
    leaving, its machine gone   -> none is launched any more
    deleted                     -> terminate, wait for terminated, let the object go
    unknown                     -> wait
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from strata.planner.backoff import failed_again, retry_at
from strata.planner.conditions import no, unknown
from strata.planner.facts import Absent, Known, Note, Observed, Unknown
from strata.planner.health import holds
from strata.planner.instance_status import (
    InstanceSnapshot,
    has_machine,
    held_back,
    keep_capacity,
    next_status,
    not_ahead,
    observed_status,
    phase_of,
)
from strata.planner.policy import Policy
from strata.planner.roster import leaves
from strata.planner.template import people_tags
from strata.resources import reasons
from strata.resources.instance import Ec2Status, Failures, HealMark, Instance, InstanceStatus, Phase
from strata.resources.launch import Launch
from strata.resources.machine import GONE_STATES, Machine

_RECLAIMED = "Server.SpotInstanceTermination"  # EC2's StateReason of an interruption
_WAITS = "waits for a machine"  # one message for all of it: a seal is then the only write until there is one

Verb = Literal["terminate", "stop", "start", "tag"]


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do to this slot's own machine, and why."""

    verb: Verb
    instance_id: str
    reason: str
    message: str
    tags: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstancePlan:
    """At most one action, then the status; `finished`: nothing is left, the object may go; `delete`: its deletion
    begins."""

    status: InstanceStatus
    action: Action | None = None
    delete: bool = False
    finished: bool = False
    notes: tuple[Note, ...] = ()
    again_at: datetime | None = None


def assigned(instance: Instance, launch: Launch | None) -> str:
    """The id of the machine that fills this slot; "" if none is known. The Launch record is the only truth; what
    the status remembers stands in where the record is gone."""
    ref = instance.status.launch
    if ref is None:
        return ""
    if launch is None:
        return instance.status.ec2.instance_id if instance.status.ec2 else ""
    own = (a.instance_id for a in launch.status.assignments if a.uid == instance.metadata.uid)
    return next(own, "")


def wants_machine(instance: Instance) -> bool:
    """Whether the launcher should make a machine for this slot, once its backoff is over."""
    wanted = instance.spec.power == "running" and not instance.metadata.deleting and not leaves(instance)
    return wanted and instance.status.launch is None


def plan_instance(snapshot: InstanceSnapshot, policy: Policy) -> InstancePlan:
    """Plan one slot. Total; changes nothing in EC2 while the stack is paused or over Unknown."""
    snapshot = replace(snapshot, instance=not_ahead(snapshot.instance, snapshot.now))
    plan = _plan(snapshot, policy)
    if snapshot.paused:
        return _paused(snapshot, policy, plan)
    return replace(plan, delete=snapshot.owner_gone and not snapshot.instance.metadata.deleting)


def _paused(snapshot: InstanceSnapshot, policy: Policy, plan: InstancePlan) -> InstancePlan:
    """What a paused stack makes of a plan: what is seen is said, nothing is done, nor said to be under way."""
    action, instance, status = plan.action, snapshot.instance, plan.status
    if action is not None and action.verb != "tag" and isinstance(snapshot.fact, Known):
        status = held_back(
            _seen(snapshot, policy, snapshot.fact.value), snapshot, f"no {action.verb}: {action.message}"
        )
    elif not plan.finished and wants_machine(msgspec.structs.replace(instance, status=status)):
        status = held_back(status, snapshot, "no machine is launched")
    return replace(plan, action=None, status=status)


def _seen(snapshot: InstanceSnapshot, policy: Policy, observed: Observed) -> InstanceStatus:
    if observed.machine.state in {"stopping", "stopped"}:
        return observed_status(snapshot, observed, _phase_of_stopped(observed))
    return _alive(snapshot, policy, observed).status


def _plan(snapshot: InstanceSnapshot, policy: Policy) -> InstancePlan:
    status, launch = snapshot.instance.status, snapshot.launch
    if status.launch is None:
        return _without_machine(snapshot, policy)
    if launch is not None and launch.status.state == "sealed":
        return _in_flight(snapshot)
    if launch is not None and not assigned(snapshot.instance, launch):
        return _not_filled(snapshot, launch)
    return _with_machine(snapshot, policy)


def _without_machine(snapshot: InstanceSnapshot, policy: Policy) -> InstancePlan:
    instance, status = snapshot.instance, snapshot.instance.status
    if instance.metadata.deleting:
        return InstancePlan(status=status, finished=True)
    if instance.spec.power == "stopped":
        return InstancePlan(
            status=next_status(snapshot, phase=Phase.STOPPED, launched=no("Launched", reasons.NOT_RUNNING))
        )
    if leaves(instance):  # its machine went before its time was over: the Layer pass lets the slot go
        return InstancePlan(
            status=next_status(snapshot, phase=Phase.TERMINATED, launched=no("Launched", reasons.NOT_RUNNING))
        )
    due = retry_at(status.failures, policy)
    if status.failures is None or due is None or due <= snapshot.now:
        launched = keep_capacity(status, no("Launched", reasons.LAUNCHING, _WAITS))
        return InstancePlan(status=next_status(snapshot, phase=Phase.REQUESTED, launched=launched))
    message = f"failed {status.failures.count} times, next launch at {due:%H:%M:%SZ}: {status.failures.message}"
    launched = no("Launched", reasons.BACKING_OFF, message)
    return InstancePlan(status=next_status(snapshot, phase=Phase.START_FAILED, launched=launched), again_at=due)


def _in_flight(snapshot: InstanceSnapshot) -> InstancePlan:
    launched = keep_capacity(snapshot.instance.status, no("Launched", reasons.LAUNCHING, _WAITS))
    return InstancePlan(status=next_status(snapshot, phase=Phase.REQUESTED, launched=launched))


def _not_filled(snapshot: InstanceSnapshot, launch: Launch) -> InstancePlan:
    """The launch ended without a machine for this slot. Only a refusal that is about this slot counts as a failure."""
    status = snapshot.instance.status
    reason = launch.status.died_because or reasons.CAPACITY
    message = launch.status.message or "EC2 had fewer machines than were asked for"
    failures = status.failures
    if reason not in _NOT_THE_SLOTS_FAULT:
        failures = failed_again(failures, snapshot.now, reason, message)
    cleared = msgspec.structs.replace(status, launch=None, ec2=None, failures=failures)
    verdict = no("Launched", reasons.CAPACITY if reason in _CAPACITY else reasons.LAUNCH_FAILED, message)
    status = next_status(snapshot, phase=Phase.REQUESTED, launched=verdict, base=cleared)
    return InstancePlan(status=status, notes=(Note(verdict.reason, message, warning=True),), again_at=snapshot.now)


_CAPACITY = frozenset({reasons.CAPACITY, "Capacity"})
_NOT_THE_SLOTS_FAULT = _CAPACITY | {"Unauthorized", "ClockSkew", "Unanswered"}


def _with_machine(snapshot: InstanceSnapshot, policy: Policy) -> InstancePlan:
    fact = snapshot.fact
    if isinstance(fact, Absent):
        return _gone(snapshot, policy, _loss(snapshot, "it is in no list of EC2's any more"))
    if isinstance(fact, Unknown):
        return _unseen(snapshot, fact)
    machine = fact.value.machine
    if machine.state in GONE_STATES:
        return _ended(snapshot, policy, machine)
    if snapshot.instance.metadata.deleting:
        action = Action("terminate", machine.instance_id, reasons.DELETING, "the slot is deleted")
        return InstancePlan(status=observed_status(snapshot, fact.value, Phase.SHUTTING_DOWN), action=action)
    if machine.state in {"stopping", "stopped"}:
        return _stopped(snapshot, fact.value)
    return _running(snapshot, policy, fact.value)


def _unseen(snapshot: InstanceSnapshot, fact: Unknown) -> InstancePlan:
    """Keep what was known; say since when nobody knows. A fresh launch that no Describe shows yet is pending."""
    instance = snapshot.instance
    instance_id = assigned(instance, snapshot.launch)
    if instance.status.ec2 is not None or not instance_id:
        return InstancePlan(status=next_status(snapshot, healthy=unknown("Healthy", fact.reason, fact.message)))
    ec2 = Ec2Status(instance_id=instance_id, state="pending")
    base = msgspec.structs.replace(instance.status, ec2=ec2)
    return InstancePlan(status=next_status(snapshot, phase=Phase.PENDING, base=base, launched=has_machine(ec2)))


def _ended(snapshot: InstanceSnapshot, policy: Policy, machine: Machine) -> InstancePlan:
    """Shutting-down or terminated. A deleted slot waits for terminated; any other is free for the next machine."""
    if snapshot.instance.metadata.deleting:
        observed = observed_status(snapshot, Observed(machine, snapshot.now), Phase.SHUTTING_DOWN)
        return InstancePlan(status=observed, finished=machine.state == "terminated")
    return _gone(snapshot, policy, _loss(snapshot, machine.state_reason or f"EC2 reports it {machine.state}"))


@dataclass(frozen=True, slots=True)
class _Loss:
    """Why a machine is gone. `told`: by whoever ended it. `failure`: an early one counts against the slot."""

    reason: str
    message: str
    told: bool = False
    failure: bool = True


def _loss(snapshot: InstanceSnapshot, why: str) -> _Loss:
    instance, status = snapshot.instance, snapshot.instance.status
    instance_id = assigned(instance, snapshot.launch)
    gone = f"{instance_id} is gone"
    if status.heal is not None and status.heal.instance_id == instance_id:
        return _Loss(status.heal.reason, f"{gone}: {status.heal.message}", told=True)
    leave = status.leave
    if leave is not None and leave.drained and leave.instance_id == instance_id:
        return _Loss(leave.reason, f"{gone}: {leave.message}", told=True, failure=False)
    if instance.spec.power == "stopped" and status.ec2 is not None and status.ec2.lifecycle == "spot":
        return _Loss(reasons.NOT_RUNNING, f"{gone}: spec.power is stopped", told=True, failure=False)
    if why == _RECLAIMED:
        return _Loss(reasons.SPOT_INTERRUPTED, f"{gone}: EC2 took the spot machine back", failure=False)
    return _Loss(reasons.TERMINATED_EXTERNALLY, f"{gone}: {why}")


def _gone(snapshot: InstanceSnapshot, policy: Policy, loss: _Loss) -> InstancePlan:
    """The slot is empty again. A machine that was long online leaves no failure behind; an early death is one more."""
    instance, status = snapshot.instance, snapshot.instance.status
    if instance.metadata.deleting:
        return InstancePlan(status=status, finished=True)
    base = msgspec.structs.replace(
        status,
        launch=None,
        ec2=None,
        heal=status.heal if instance.spec.power == "running" else None,  # nobody waits for it to be online
        leave=status.leave if leaves(instance) else None,
        online_since=None,
        restarted="",
        stopped_as_wanted=False,
        failures=_failures_after_loss(snapshot, policy, loss),
    )
    phase, reason = Phase.REQUESTED, reasons.LAUNCHING
    if leaves(instance) or instance.spec.power == "stopped":
        phase, reason = Phase.TERMINATED if leaves(instance) else Phase.STOPPED, reasons.NOT_RUNNING
    status = next_status(snapshot, phase=phase, base=base, launched=no("Launched", reason, loss.message))
    notes = () if loss.told else (Note(loss.reason, loss.message, warning=True),)
    return InstancePlan(status=status, notes=notes, again_at=snapshot.now)


def _failures_after_loss(snapshot: InstanceSnapshot, policy: Policy, loss: _Loss) -> Failures | None:
    before, since = snapshot.instance.status.failures, snapshot.instance.status.online_since
    if since is not None and snapshot.now - since >= timedelta(seconds=policy.stable_after_s):
        return None
    return failed_again(before, snapshot.now, loss.reason, loss.message) if loss.failure else before


def _stopped(snapshot: InstanceSnapshot, observed: Observed) -> InstancePlan:
    """Asked for: stay. Asked to run again, or stopped by us to be restarted: start. Else as healing says."""
    instance, machine = snapshot.instance, observed.machine
    status = observed_status(snapshot, observed, _phase_of_stopped(observed))
    if instance.spec.power == "stopped":
        return InstancePlan(
            status=msgspec.structs.replace(status, stopped_as_wanted=True, heal=None, online_since=None)
        )
    renewing = _renew(snapshot, observed)
    if renewing is not None or machine.state == "stopping":
        return renewing or InstancePlan(status=status)
    if status.stopped_as_wanted and not _marked_for_replacement(instance, machine):
        action = Action("start", machine.instance_id, reasons.LAUNCHING, "starts the stopped machine again")
        return InstancePlan(status=status, action=action)
    return _stopped_externally(snapshot, observed, status)


def _phase_of_stopped(observed: Observed) -> Phase:
    return Phase.STOPPED if observed.machine.state == "stopped" else Phase.STOPPING


def _stopped_externally(snapshot: InstanceSnapshot, observed: Observed, status: InstanceStatus) -> InstancePlan:
    machine, layer = observed.machine, snapshot.layer
    message = f"{machine.instance_id} stopped: {machine.state_reason or 'nobody here asked for it'}"
    if layer is None or not layer.spec.healing.enabled:
        return InstancePlan(status=status)
    restart = layer.spec.healing.action == "restart" and machine.lifecycle != "spot"
    if restart and status.restarted != machine.instance_id:
        status = _restarting(snapshot, status, machine, reasons.STOPPED_EXTERNALLY, message)
        action = Action("start", machine.instance_id, reasons.STOPPED_EXTERNALLY, message)
    else:
        # Marked as ours, so that its end is not told as somebody else's doing; it stopped, so no budget is used up.
        mark = HealMark(
            instance_id=machine.instance_id,
            reason=reasons.STOPPED_EXTERNALLY,
            message=message,
            marked_at=snapshot.now,
        )
        kept = status.heal if _marked_for_replacement(snapshot.instance, machine) else mark
        status = msgspec.structs.replace(status, heal=kept)
        action = Action("terminate", machine.instance_id, reasons.STOPPED_EXTERNALLY, message)
    return InstancePlan(status=status, action=action)


def _restarting(
    snapshot: InstanceSnapshot, status: InstanceStatus, machine: Machine, reason: str, message: str
) -> InstanceStatus:
    """The status of a slot whose machine healing restarts: a failure, and the only restart until the machine has been
    online for long. The stop is ours, until a start of the machine is seen."""
    failures = status.failures
    if status.restarted != machine.instance_id:  # else it is said already, and not yet done
        failures = failed_again(failures, snapshot.now, reason, message)
    return msgspec.structs.replace(
        status, restarted=machine.instance_id, stopped_as_wanted=True, online_since=None, failures=failures
    )


def _marked_for_replacement(instance: Instance, machine: Machine) -> bool:
    heal = instance.status.heal
    return heal is not None and heal.instance_id == machine.instance_id and heal.action == "replace"


def _running(snapshot: InstanceSnapshot, policy: Policy, observed: Observed) -> InstancePlan:
    """Pending or running."""
    machine = observed.machine
    if snapshot.instance.spec.power == "running":
        return _heal(snapshot, observed) or _renew(snapshot, observed) or _alive(snapshot, policy, observed)
    if machine.lifecycle == "spot":  # EC2 does not stop what it sold for one time: it ends, and another one starts
        action = Action("terminate", machine.instance_id, reasons.NOT_RUNNING, "spec.power is stopped, and it is spot")
        return InstancePlan(status=observed_status(snapshot, observed, Phase.SHUTTING_DOWN), action=action)
    if machine.state == "pending":  # EC2 stops what runs
        return _alive(snapshot, policy, observed)
    action = Action("stop", machine.instance_id, reasons.NOT_RUNNING, "spec.power is stopped")
    status = observed_status(snapshot, observed, Phase.STOPPING)
    return InstancePlan(
        status=msgspec.structs.replace(status, stopped_as_wanted=True, online_since=None), action=action
    )


def _heal(snapshot: InstanceSnapshot, observed: Observed) -> InstancePlan | None:
    """Carry out the Layer pass's mark. None: there is none for this machine, or it may not be used now. A mark counts
    as long as its proof does: not after an outage that kept us from using it, nor once healing is off or the layer
    Protected."""
    heal, machine, layer = snapshot.instance.status.heal, observed.machine, snapshot.layer
    if heal is None or layer is None or not layer.spec.healing.enabled or snapshot.shielded:
        return None
    if heal.reason == reasons.STOPPED_EXTERNALLY:  # it was marked as stopped, and runs
        return None
    if not holds(heal, observed, layer.spec.healing, snapshot.now):
        return None
    if heal.action == "replace":
        action = Action("terminate", machine.instance_id, heal.reason, heal.message)
        return InstancePlan(status=observed_status(snapshot, observed, Phase.SHUTTING_DOWN), action=action)
    status = observed_status(snapshot, observed, Phase.STOPPING)
    if status.restarted == machine.instance_id and not status.stopped_as_wanted:
        return None  # it was restarted, and now has its time to come online
    status = _restarting(snapshot, status, machine, heal.reason, heal.message)
    return InstancePlan(status=status, action=Action("stop", machine.instance_id, heal.reason, heal.message))


def _renew(snapshot: InstanceSnapshot, observed: Observed) -> InstancePlan | None:
    """Carry out the Layer pass's order to replace the machine in place, once it has run on for long enough. None:
    there is none for this machine, or the layer is Protected."""
    leave, machine = snapshot.instance.status.leave, observed.machine
    if leave is None or not leave.drained or leave.instance_id != machine.instance_id or snapshot.shielded:
        return None
    action = Action("terminate", machine.instance_id, leave.reason, leave.message)
    return InstancePlan(status=observed_status(snapshot, observed, Phase.SHUTTING_DOWN), action=action)


def _alive(snapshot: InstanceSnapshot, policy: Policy, observed: Observed) -> InstancePlan:
    phase = phase_of(snapshot.instance, observed)
    status = observed_status(snapshot, observed, phase)
    again_at = None
    if phase == Phase.ONLINE:
        since = status.online_since or snapshot.now
        stable_at = since + timedelta(seconds=policy.stable_after_s)
        forgiven = snapshot.now >= stable_at
        again_at = None if forgiven or status.failures is None else stable_at
        status = msgspec.structs.replace(
            status,
            online_since=since,
            heal=None,
            restarted="" if forgiven else status.restarted,
            stopped_as_wanted=status.stopped_as_wanted and not forgiven,
            failures=None if forgiven else status.failures,
        )
    action = _tagging(snapshot, observed)
    return InstancePlan(status=status, action=action, again_at=again_at, notes=_came_back(snapshot.instance, status))


def _came_back(before: Instance, after: InstanceStatus) -> tuple[Note, ...]:
    """Good news that somebody waits for: a slot that had lost its machine works again."""
    replaced = after.attempt > 1 and before.status.online_since is None
    if after.phase != Phase.ONLINE or not replaced or after.ec2 is None:
        return ()
    return (Note(reasons.ONLINE, f"{after.ec2.instance_id} took its place and is online"),)


def _tagging(snapshot: InstanceSnapshot, observed: Observed) -> Action | None:
    wanted = people_tags(snapshot.instance)
    have = observed.machine.tags
    if all(have.get(key) == value for key, value in wanted.items()):
        return None
    return Action("tag", observed.machine.instance_id, reasons.LAUNCHED, "tags it for people", tags=wanted)
