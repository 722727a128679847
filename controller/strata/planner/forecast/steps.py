"""What a plan does, as steps that people read: what becomes of which slots, and why."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from strata.planner.forecast.timeline import Step, Verb
from strata.planner.layer_plan import LayerPlan, LayerSnapshot
from strata.planner.outdated import find_outdated
from strata.resources import explain_sum, reasons
from strata.resources.instance import Instance, Leave

_Part = tuple[Verb, str, str, str]  # verb, slot's name, reason, why


def steps_of(snapshot: LayerSnapshot, plan: LayerPlan) -> list[Step]:
    """One step for each (verb, reason, why), with the names of its slots."""
    grouped: dict[tuple[Verb, str, str], list[str]] = {}
    for verb, name, reason, why in _parts(snapshot, plan):
        grouped.setdefault((verb, reason, why), []).append(name)
    return [_step(snapshot.now, key, names) for key, names in grouped.items()]


def _step(now: datetime, key: tuple[Verb, str, str], names: Iterable[str]) -> Step:
    verb, reason, why = key
    return Step(now, verb, tuple(names), reason, why)


def _parts(snapshot: LayerSnapshot, plan: LayerPlan) -> Iterator[_Part]:
    number = f"wanted: {explain_sum.sum_of(plan.status.desired, plan.status.because)}"
    why_more = _why_more(snapshot, plan, number)
    for new in plan.create:
        yield "make", new.name, *why_more
    for member in plan.stay:
        if member.status.leave is not None and member.status.leave.then != "replace":
            yield "take back", member.metadata.name, *why_more
    for powered in plan.power:
        name = powered.instance.metadata.name
        if powered.power == "running":
            yield "start", name, *why_more
        else:
            yield "stop", name, *_why_less(powered.instance.status.leave, number)
    for leaving in plan.leave:
        verb: Verb = "replace" if leaving.leave.drained else "drain"
        yield verb, leaving.instance.metadata.name, *_why_less(leaving.leave, number)
    for member in plan.delete:
        yield "end", member.metadata.name, *_why_gone(snapshot, member, number)
    for marked in plan.heal:
        yield "replace", marked.instance.metadata.name, marked.mark.reason, marked.mark.message


def _why_more(snapshot: LayerSnapshot, plan: LayerPlan, number: str) -> tuple[str, str]:
    """More slots than are wanted are added only by a rollout."""
    rollout, before = plan.status.rollout, snapshot.layer.status
    if rollout is not None and rollout.outdated and before.replicas >= plan.status.desired:
        return reasons.ROLLING_UPDATE, f"in the place of outdated ones ({rollout.outdated})"
    return reasons.SCALED_OUT, number


def _why_less(leave: Leave | None, number: str) -> tuple[str, str]:
    if leave is None or leave.reason == reasons.SCALED_IN:
        return reasons.SCALED_IN, number
    return leave.reason, leave.message


def _why_gone(snapshot: LayerSnapshot, member: Instance, number: str) -> tuple[str, str]:
    """One that had nothing to finish goes without an order to leave."""
    if member.spec.power == "stopped":
        return reasons.SCALED_IN, "kept warm, and of no use to a scale-out any more"
    outdated = find_outdated(snapshot).why.get(member.metadata.name) if member.status.leave is None else None
    return (outdated.reason, outdated.message) if outdated else _why_less(member.status.leave, number)
