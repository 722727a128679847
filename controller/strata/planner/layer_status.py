"""What a layer's status says of it: its numbers and its conditions."""

from collections import Counter
from dataclasses import dataclass

import msgspec

from strata.planner.conditions import Verdict, conditions, no, some, unknown, yes
from strata.planner.facts import Known, Unknown
from strata.planner.healing import Healing
from strata.planner.layer_plan import LAYER_LABEL, LayerSnapshot
from strata.planner.market import spot_status
from strata.planner.outdated import Outdated
from strata.planner.rollout import Rollout
from strata.planner.roster import Roster
from strata.planner.template import effective, missing_fields, spot_share
from strata.planner.wanted import Wanted
from strata.resources import reasons
from strata.resources.instance import Instance, Phase
from strata.resources.layer import LayerStatus
from strata.resources.meta import Condition
from strata.resources.stack import SpotShare
from strata.resources.update import RolloutStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a pass found out about its layer, apart from what it does."""

    number: Wanted
    roster: Roster
    healing: Healing
    outdated: Outdated
    rollout: Rollout
    stall: str
    revision: int
    blocked: Verdict | None


def layer_status(snapshot: LayerSnapshot, found: Findings) -> LayerStatus:
    layer, number = snapshot.layer, found.number
    return msgspec.structs.replace(
        layer.status,
        observed_generation=layer.metadata.generation,
        desired=number.count,
        replicas=len(found.roster.counted),
        selector=f"{LAYER_LABEL}={layer.metadata.name}",
        because=number.because,
        next_change=number.next_change,
        load=number.load.status,
        spot=spot_status(_share(snapshot), found.roster.counted, number.count),
        instances=phases(snapshot.members),
        leaving=len(found.roster.leaving),
        warm=len(found.roster.warm),
        rollout=_rollout(snapshot, found),
        image=snapshot.image.value if isinstance(snapshot.image, Known) else layer.status.image,
        protected_below_since=found.healing.breaker.below_since,
        conditions=layer_conditions(
            snapshot,
            (
                _ready(snapshot, found),
                _progressing(found),
                _protected(found.healing),
                *number.load.verdicts,
                _up_to_date(snapshot, found),
            ),
        ),
    )


def _share(snapshot: LayerSnapshot) -> SpotShare | None:
    return spot_share(snapshot.stack, snapshot.layer) if snapshot.stack is not None else None


def _rollout(snapshot: LayerSnapshot, found: Findings) -> RolloutStatus | None:
    """Of an unknown template nothing can be said: then what was said stays."""
    before, template = snapshot.layer.status.rollout, found.outdated.template
    if not template:
        return before
    counted, stale = found.roster.counted, found.rollout.outdated
    current = (m for m in counted if m.status.ec2 is not None and m.metadata.name not in stale)
    same = before is not None and before.template == template and (before.outdated > 0 or not stale)
    return RolloutStatus(
        template=template,
        revision=found.revision,
        updated=sum(1 for _ in current),
        outdated=len(stale),
        total=len(counted),
        since=before.since if before is not None and same else snapshot.now.replace(microsecond=0),
        message=found.stall or (found.rollout.held if stale else ""),
    )


def layer_conditions(snapshot: LayerSnapshot, verdicts: tuple[Verdict, ...]) -> tuple[Condition, ...]:
    metadata = snapshot.layer.metadata
    return conditions(snapshot.layer.status.conditions, verdicts, generation=metadata.generation, now=snapshot.now)


def template_fault(snapshot: LayerSnapshot) -> Verdict | None:
    if snapshot.stack is None:
        return None
    missing = missing_fields(effective(snapshot.stack, snapshot.layer))
    if missing:
        fields = ", ".join(f"spec.instance.{name}" for name in missing)
        return no("Ready", reasons.TEMPLATE_INCOMPLETE, f"neither the layer nor its stack says {fields}")
    if isinstance(snapshot.image, Unknown):
        return no("Ready", snapshot.image.reason, snapshot.image.message)
    return None


def phases(members: tuple[Instance, ...]) -> dict[str, int]:
    """How many members are in each phase, in the phases' order of life."""
    counted = Counter(m.status.phase for m in members)
    return {phase.value: counted[phase] for phase in Phase if counted[phase]}


def _online(slots: tuple[Instance, ...]) -> int:
    return sum(slot.status.phase == Phase.ONLINE for slot in slots)


def _has_enough(found: Findings) -> bool:
    return _online(found.roster.counted) >= found.number.count


def _ready(snapshot: LayerSnapshot, found: Findings) -> Verdict:
    fault, wanted = found.number.fault, found.number.count
    if fault is not None:
        return no("Ready", fault.reason, f"{fault.message}; the number stays as it is")
    online = f"{min(_online(found.roster.counted), wanted)} of {wanted} online"
    if _has_enough(found):
        return yes("Ready", reasons.READY, online)
    return found.blocked or template_fault(snapshot) or no("Ready", reasons.CONVERGING, online)


def _progressing(found: Findings) -> Verdict:
    rollout, counted = found.rollout, len(found.roster.counted)
    if found.stall:
        return no("Progressing", reasons.ROLLOUT_STALLED, found.stall)
    if rollout.rolls and rollout.outdated and not rollout.held:
        message = f"{counted - len(rollout.outdated)} of {counted} are renewed"
        return yes("Progressing", reasons.ROLLING_UPDATE, message)
    if not _has_enough(found) or counted > rollout.target:
        return yes("Progressing", reasons.CONVERGING)
    if rollout.outdated and rollout.held:
        return no("Progressing", reasons.ROLLOUT_PAUSED, f"{len(rollout.outdated)} outdated: {rollout.held}")
    if found.roster.leaving:
        names = some([member.metadata.name for member in found.roster.leaving])
        return yes("Progressing", reasons.LEAVING, f"{len(found.roster.leaving)} on their way out: {names}")
    return no("Progressing", reasons.CONVERGED)


def _protected(healing: Healing) -> Verdict:
    limit = f"{healing.failing} failing, {healing.allowed} may be repaired at once"
    if not healing.breaker.open:
        return no("Protected", reasons.WITHIN_BUDGET)
    if healing.breaker.below_since is not None:
        return yes("Protected", reasons.SETTLING, limit)
    return yes("Protected", reasons.TOO_MANY_UNHEALTHY, f"{limit}: machines that still run are left alone")


def _up_to_date(snapshot: LayerSnapshot, found: Findings) -> Verdict:
    names = [name for name in found.outdated.why if name in found.rollout.outdated]
    if names:
        why = found.outdated.why[names[0]]
        return no("UpToDate", why.reason, f"{len(names)} {why.message}: {some(names)}")
    if isinstance(snapshot.image, Unknown):
        return unknown("UpToDate", snapshot.image.reason)
    return yes("UpToDate", reasons.UP_TO_DATE)
