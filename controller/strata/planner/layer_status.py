"""What a layer's status says of it: its numbers and its conditions."""

from collections import Counter

import msgspec

from strata.planner.conditions import Verdict, conditions, no, some, unknown, yes
from strata.planner.facts import Known, Unknown
from strata.planner.healing import Healing
from strata.planner.layer_plan import LAYER_LABEL, LayerSnapshot
from strata.planner.rollout import drifted
from strata.planner.template import effective, missing_fields
from strata.planner.wanted import Wanted
from strata.resources import reasons
from strata.resources.instance import Instance, Phase
from strata.resources.layer import LayerStatus
from strata.resources.meta import Condition


def layer_status(
    snapshot: LayerSnapshot,
    number: Wanted,
    healing: Healing,
    blocked: Verdict | None,
    slots: tuple[Instance, ...],
) -> LayerStatus:
    layer = snapshot.layer
    return msgspec.structs.replace(
        layer.status,
        observed_generation=layer.metadata.generation,
        desired=number.count,
        replicas=len(slots),
        selector=f"{LAYER_LABEL}={layer.metadata.name}",
        because=number.because,
        next_change=number.next_change,
        load=number.load.status,
        instances=phases(snapshot.members),
        image=snapshot.image.value if isinstance(snapshot.image, Known) else layer.status.image,
        protected_below_since=healing.breaker.below_since,
        conditions=layer_conditions(
            snapshot,
            (
                _ready(snapshot, number, blocked, slots),
                _progressing(slots, number.count),
                _protected(healing),
                *number.load.verdicts,
                _up_to_date(snapshot),
            ),
        ),
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


def _ready(snapshot: LayerSnapshot, number: Wanted, blocked: Verdict | None, slots: tuple[Instance, ...]) -> Verdict:
    if number.fault is not None:
        return no("Ready", number.fault.reason, f"{number.fault.message}; the number stays as it is")
    online = _online(slots)
    if online == number.count == len(slots):
        return yes("Ready", reasons.READY, f"{online} of {number.count} online")
    if blocked is not None:
        return blocked
    fault = template_fault(snapshot)
    return fault or no("Ready", reasons.CONVERGING, f"{online} of {number.count} online")


def _progressing(slots: tuple[Instance, ...], wanted: int) -> Verdict:
    if len(slots) == wanted and _online(slots) == wanted:
        return no("Progressing", reasons.CONVERGED)
    return yes("Progressing", reasons.CONVERGING)


def _protected(healing: Healing) -> Verdict:
    limit = f"{healing.failing} failing, {healing.allowed} may be repaired at once"
    if not healing.breaker.open:
        return no("Protected", reasons.WITHIN_BUDGET)
    if healing.breaker.below_since is not None:
        return yes("Protected", reasons.SETTLING, limit)
    return yes("Protected", reasons.TOO_MANY_UNHEALTHY, f"{limit}: machines that still run are left alone")


def _up_to_date(snapshot: LayerSnapshot) -> Verdict:
    if not isinstance(snapshot.image, Known):
        return unknown("UpToDate", snapshot.image.reason)
    names = drifted(snapshot)
    if names:
        return no("UpToDate", reasons.TEMPLATE_DRIFT, f"{len(names)} made from an older template: {some(names)}")
    return yes("UpToDate", reasons.UP_TO_DATE)
