"""The number of a layer at a moment: its rules, judged by the clock and by its load."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from strata.planner import capacity
from strata.planner.conditions import Verdict, no
from strata.planner.facts import Note, SignalFact, Unknown
from strata.planner.load import LoadDecision, LoadSnapshot, decide
from strata.planner.schedule import OpenWindow, outlook
from strata.resources import explain_sum, reasons
from strata.resources.layer import Because, Layer, LayerStatus, NextChange
from strata.resources.load import LoadStatus
from strata.resources.meta import find_condition
from strata.resources.stack import Stack


@dataclass(frozen=True, slots=True)
class Wanted:
    """`again_at`: when time alone may change something of this, such as the next turn of a window. `fault`: the rules
    cannot be judged here, so the number stays what it was."""

    count: int
    because: tuple[Because, ...]
    load: LoadDecision
    next_change: NextChange | None = None
    again_at: datetime | None = None
    fault: Unknown | None = None


def wanted(layer: Layer, stack: Stack | None, now: datetime, signals: Mapping[str, SignalFact]) -> Wanted:
    """How many machines this layer should have at `now`."""
    rules = layer.spec.capacity
    look = outlook(rules.schedule, now)
    if isinstance(look, Unknown):
        return Wanted(layer.status.desired, layer.status.because, LoadDecision(status=layer.status.load), fault=look)
    load = _by_load(layer, stack, now, signals, look.open)
    total = capacity.desired(rules, look.open, load.status.extra)
    change = capacity.next_change(rules, load.status.extra, total, look)
    again_at = min(filter(None, (look.next_at, load.again_at)), default=None)
    return Wanted(total.count, total.because, load, change, again_at)


def number_notes(before: LayerStatus, number: Wanted) -> tuple[Note, ...]:
    """What is told of the number: that it is another one, with its sum."""
    if number.count == before.desired or not before.observed_generation:
        return ()
    said = explain_sum.change_of(before.desired, number.count, number.because)
    return (Note(reasons.DESIRED_CHANGED, said),)


def blocked_by(stack: Stack | None, name: str) -> Verdict | None:
    """Why nothing may be added, removed or healed now; None: nothing stands in the way."""
    if stack is None:
        return no("Ready", reasons.STACK_NOT_FOUND, f"there is no Stack {name}")
    if stack.metadata.deleting:
        return no("Ready", reasons.DELETING, "the stack is being deleted")
    if stack.spec.paused:
        return no("Ready", reasons.PAUSED, "the stack is paused: nothing is changed in EC2")
    return None


def _by_load(
    layer: Layer,
    stack: Stack | None,
    now: datetime,
    signals: Mapping[str, SignalFact],
    windows: tuple[OpenWindow, ...],
) -> LoadDecision:
    rules = layer.spec.capacity
    if rules.load is None:
        return LoadDecision(status=LoadStatus())
    base = rules.always + sum(window.instances for window in windows)
    return decide(
        LoadSnapshot(
            now=now,
            load=rules.load,
            status=layer.status.load,
            base=base,
            min=rules.min,
            max=base if rules.max is None else rules.max,  # admission asks for one; without it nothing is added
            signals=signals,
            blocked=blocked_by(stack, layer.metadata.namespace),
        )
    )


def load_would_change(layer: Layer, number: Wanted) -> bool:
    """Whether a pass would change what is decided, or said, of the layer's load."""
    return number.load.status != layer.status.load or any(
        verdict.status is not None and not _said(layer, verdict) for verdict in number.load.verdicts
    )


def _said(layer: Layer, verdict: Verdict) -> bool:
    said = find_condition(layer.status.conditions, verdict.type)
    now = (verdict.status, verdict.reason, verdict.message)
    return said is not None and (said.status, said.reason, said.message) == now
