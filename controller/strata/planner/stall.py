"""Whether a rollout stands still, and which machine keeps it: a new one that does not come up, or one that does not
work and is missed.
"""

from datetime import datetime, timedelta

import msgspec

from strata.planner import health
from strata.planner.draining import fact_of
from strata.planner.healing import Healing
from strata.planner.layer_plan import LayerSnapshot, earliest
from strata.planner.policy import Policy
from strata.planner.rollout import Rollout
from strata.planner.roster import Roster
from strata.resources import reasons
from strata.resources.instance import Instance, Phase
from strata.resources.meta import find_condition

_NO_MACHINE = frozenset({reasons.CAPACITY, reasons.LAUNCH_FAILED, reasons.BACKING_OFF})
_FAILED_FOR_GOOD = 2  # failures in a row: the first one may be bad luck, and is tried again at once
Stall = tuple[str, datetime | None]  # ("web-3 does not come up: why", or ""; when time alone may make it one)


def find_stall(snapshot: LayerSnapshot, roster: Roster, rollout: Rollout, healing: Healing, policy: Policy) -> Stall:
    """The first slot that keeps a rollout from going on."""
    if not rollout.rolls or rollout.held or not rollout.outdated:
        return "", None
    missed = [member for member in roster.counted if member.status.phase != Phase.ONLINE]
    new = [member for member in missed if member.metadata.name not in rollout.outdated]
    again_at = None
    for member in new:
        why, look_at = _failure(snapshot, member, healing, policy)
        if why:
            return f"{member.metadata.name} does not come up: {why}", None
        again_at = earliest(again_at, look_at)
    moves = bool(new) or any(member.status.leave is not None for member in roster.counted)
    return ("", again_at) if moves or not rollout.short else _without_enough(snapshot, missed, policy)


def _without_enough(snapshot: LayerSnapshot, missed: list[Instance], policy: Policy) -> Stall:
    """Where nothing new is on its way, and too few work to spare one: the first that does not."""
    for name in sorted(snapshot.unreadable):
        return f"nobody can read {name}, and too few others work to renew one", None
    again_at = None
    for member in missed:
        healthy = find_condition(member.status.conditions, "Healthy")
        due = snapshot.now if healthy is None else healthy.last_transition_time + _stalled_after(policy)
        if snapshot.now >= due:
            phase = member.status.phase.value.replace("_", " ")
            return f"{member.metadata.name} does not work ({phase}), and too few others do to renew one", None
        again_at = earliest(again_at, due)
    return "", again_at


def _failure(snapshot: LayerSnapshot, member: Instance, healing: Healing, policy: Policy) -> Stall:
    status, proof = member.status, healing.proofs.get(member.metadata.name)
    if proof is not None:
        return proof.message, None
    if status.heal is not None:
        return status.heal.message, None
    if status.failures is not None and status.failures.count >= _FAILED_FOR_GOOD:
        return status.failures.message or status.failures.reason, None
    return _without_machine(snapshot, member, policy) if status.ec2 is None else _late(snapshot, member)


def _without_machine(snapshot: LayerSnapshot, member: Instance, policy: Policy) -> Stall:
    """A refusal may be over a moment later, elsewhere: it counts once it has lasted."""
    launched = find_condition(member.status.conditions, "Launched")
    if launched is None or launched.reason not in _NO_MACHINE:
        return "", None
    due = launched.last_transition_time + _stalled_after(policy)
    return (launched.message, None) if snapshot.now >= due else ("", due)


def _late(snapshot: LayerSnapshot, member: Instance) -> Stall:
    """A machine that is late counts also where nothing is healed."""
    judged = msgspec.structs.replace(snapshot.layer.spec.healing, enabled=True)
    verdict = health.judge(member, fact_of(snapshot, member), judged, snapshot.now)
    return (verdict.proof.message, None) if verdict.proof is not None else ("", verdict.look_again_at)


def _stalled_after(policy: Policy) -> timedelta:
    return timedelta(seconds=policy.stalled_after_s)
