"""The Instance pass's plan: what one slot does next with its one machine.

The edges, each with what proves it:

    no machine, wanted          -> the launcher takes it, once its backoff is over (requested, start_failed)
    launch sealed               -> wait: only the launcher can say what came of it
    launch dead, or not filled  -> no machine: launch anew
    machine assigned            -> pending -> booting (running) -> online (both status checks passed)
    shutting-down, terminated   -> gone: launch anew, whoever ended it
    absent (proved)             -> gone: likewise
    stopped, not asked for      -> terminate, then gone; or start it, where healing restarts
    marked by the Layer pass    -> terminate (or stop and start) that very machine
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
from strata.planner.facts import Absent, Note, Observed, Unknown
from strata.planner.instance_status import (
    InstanceSnapshot,
    has_machine,
    keep_capacity,
    next_status,
    observed_status,
    phase_of,
)
from strata.planner.policy import Policy
from strata.planner.template import people_tags
from strata.resources import reasons
from strata.resources.instance import Ec2Status, Failures, HealMark, Instance, InstanceStatus, Phase
from strata.resources.launch import Launch
from strata.resources.machine import GONE_STATES, Machine

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
    status = instance.status
    return status.launch is None and instance.spec.power == "running" and not instance.metadata.deleting


def plan_instance(snapshot: InstanceSnapshot, policy: Policy) -> InstancePlan:
    """Plan one slot. Total; changes nothing in EC2 while the stack is paused or over Unknown."""
    plan = _plan(snapshot, policy)
    abandoned = snapshot.owner_gone and not snapshot.instance.metadata.deleting
    return replace(plan, action=None) if snapshot.paused else replace(plan, delete=abandoned)


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
        return _gone(snapshot, policy, "it is in no list of EC2's any more")
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
    return _gone(snapshot, policy, machine.state_reason or f"EC2 reports it {machine.state}")


def _gone(snapshot: InstanceSnapshot, policy: Policy, why: str) -> InstancePlan:
    """The slot is empty again. A machine that was long online leaves no failure behind; an early death is one more."""
    instance, status = snapshot.instance, snapshot.instance.status
    if instance.metadata.deleting:
        return InstancePlan(status=status, finished=True)
    instance_id = assigned(instance, snapshot.launch)
    ours = status.heal is not None and status.heal.instance_id == instance_id
    reason = status.heal.reason if ours and status.heal else reasons.TERMINATED_EXTERNALLY
    message = f"{instance_id} is gone: {status.heal.message if ours and status.heal else why}"
    base = msgspec.structs.replace(
        status,
        launch=None,
        ec2=None,
        online_since=None,
        restarted="",
        stopped_as_wanted=False,
        failures=_failures_after_loss(snapshot, policy, reason, message),
    )
    phase = Phase.STOPPED if instance.spec.power == "stopped" else Phase.REQUESTED
    status = next_status(snapshot, phase=phase, base=base, launched=no("Launched", reasons.LAUNCHING, message))
    notes = () if ours else (Note(reason, message, warning=True),)
    return InstancePlan(status=status, notes=notes, again_at=snapshot.now)


def _failures_after_loss(snapshot: InstanceSnapshot, policy: Policy, reason: str, message: str) -> Failures | None:
    since = snapshot.instance.status.online_since
    if since is not None and snapshot.now - since >= timedelta(seconds=policy.stable_after_s):
        return None
    return failed_again(snapshot.instance.status.failures, snapshot.now, reason, message)


def _stopped(snapshot: InstanceSnapshot, observed: Observed) -> InstancePlan:
    """Asked for: stay. Asked to run again, or restarted by healing: start. Behind our back: end it, if healing may."""
    instance, machine = snapshot.instance, observed.machine
    stopped = machine.state == "stopped"
    phase = Phase.STOPPED if stopped else Phase.STOPPING
    if instance.spec.power == "stopped":
        status = msgspec.structs.replace(observed_status(snapshot, observed, phase), stopped_as_wanted=True)
        return InstancePlan(status=status)
    if not stopped:
        return InstancePlan(status=observed_status(snapshot, observed, phase))
    ours = instance.status.stopped_as_wanted or instance.status.restarted == machine.instance_id
    if ours and not _marked_for_replacement(instance, machine):
        action = Action("start", machine.instance_id, reasons.LAUNCHING, "starts the stopped machine again")
        return InstancePlan(status=observed_status(snapshot, observed, phase), action=action)
    return _stopped_externally(snapshot, observed)


def _stopped_externally(snapshot: InstanceSnapshot, observed: Observed) -> InstancePlan:
    machine, layer = observed.machine, snapshot.layer
    message = f"{machine.instance_id} stopped: {machine.state_reason or 'nobody here asked for it'}"
    status = observed_status(snapshot, observed, Phase.STOPPED)
    if layer is None or not layer.spec.healing.enabled:
        return InstancePlan(status=status)
    if layer.spec.healing.action == "restart" and status.restarted != machine.instance_id:
        status = msgspec.structs.replace(status, restarted=machine.instance_id)
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


def _marked_for_replacement(instance: Instance, machine: Machine) -> bool:
    heal = instance.status.heal
    return heal is not None and heal.instance_id == machine.instance_id and heal.action == "replace"


def _running(snapshot: InstanceSnapshot, policy: Policy, observed: Observed) -> InstancePlan:
    """Pending or running."""
    instance, machine = snapshot.instance, observed.machine
    heal = instance.status.heal
    if heal is not None and heal.instance_id == machine.instance_id:
        healing = _heal(snapshot, observed)
        if healing is not None:
            return healing
    if instance.spec.power == "stopped" and machine.state == "running":
        action = Action("stop", machine.instance_id, reasons.NOT_RUNNING, "spec.power is stopped")
        status = msgspec.structs.replace(observed_status(snapshot, observed, Phase.STOPPING), stopped_as_wanted=True)
        return InstancePlan(status=status, action=action)
    return _alive(snapshot, policy, observed)


def _heal(snapshot: InstanceSnapshot, observed: Observed) -> InstancePlan | None:
    """Carry out the Layer pass's mark. None: this machine was restarted, and now has its time to come online; or it
    works again: a proof counts when it is used, and not after the outage that kept us from using it."""
    heal, machine = snapshot.instance.status.heal, observed.machine
    if machine.state == "running" and observed.checks in {"ok", None}:  # well, or not read yet: no proof now
        return None
    if heal is None or heal.reason == reasons.STOPPED_EXTERNALLY:  # it was marked as stopped, and runs
        return None
    if heal.action == "restart" and snapshot.instance.status.restarted == machine.instance_id:
        return None
    if heal.action == "replace":
        action = Action("terminate", machine.instance_id, heal.reason, heal.message)
        return InstancePlan(status=observed_status(snapshot, observed, Phase.SHUTTING_DOWN), action=action)
    status = msgspec.structs.replace(
        observed_status(snapshot, observed, Phase.STOPPING), restarted=machine.instance_id, online_since=None
    )
    return InstancePlan(status=status, action=Action("stop", machine.instance_id, heal.reason, heal.message))


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
