"""The number of a layer at a moment: its rules, judged by the clock and by what the load asked for."""

from dataclasses import dataclass
from datetime import datetime

from strata.planner import capacity
from strata.planner.facts import Unknown
from strata.planner.schedule import outlook
from strata.resources.layer import Because, Layer, NextChange


@dataclass(frozen=True, slots=True)
class Wanted:
    """`again_at`: the next turn of a window, whether or not it changes the number. `fault`: the rules cannot be judged
    here, so the number stays what it was."""

    count: int
    because: tuple[Because, ...]
    next_change: NextChange | None = None
    again_at: datetime | None = None
    fault: Unknown | None = None


def wanted(layer: Layer, now: datetime, *, extra: int) -> Wanted:
    """How many machines this layer should have at `now`; `extra` is what its load asks for."""
    rules = layer.spec.capacity
    look = outlook(rules.schedule, now)
    if isinstance(look, Unknown):
        return Wanted(layer.status.desired, layer.status.because, fault=look)
    total = capacity.desired(rules, look.open, extra)
    change = capacity.next_change(rules, extra, total, look)
    return Wanted(total.count, total.because, change, look.next_at)
