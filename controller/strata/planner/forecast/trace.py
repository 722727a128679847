"""Signals that were recorded, told again to a modelled fleet as their sources would have told them.

A total (requests, CPU of the whole fleet) is shared by the machines that are online at its moment, so that what is
replayed answers to what the rules do.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from strata.planner.facts import Alarm, Known, Series, SignalFact, Unknown
from strata.planner.forecast.fleet import ModelFleet
from strata.planner.load import history_of, signals_of
from strata.planner.signals import NO_MEMBERS, NO_NUMBERS, WARM_UP, span_of
from strata.resources import reasons
from strata.resources.load import CPU_PERCENT, Load
from strata.resources.signal import AlarmState, Point

_BUSY = 100.0  # percent: no machine does more
_NOT_GIVEN = Unknown(reasons.NO_POINTS, "no numbers are given for it")


@dataclass(frozen=True, slots=True)
class Trace:
    """A signal's numbers, oldest first, one a period. `kind`: each the signal's own value, the whole fleet's total, or
    an alarm's state (1: in ALARM, 0: in OK)."""

    points: tuple[Point, ...]
    period_s: int
    kind: Literal["value", "total", "alarm"] = "value"


@dataclass(slots=True)
class _Told:
    """What of a trace was told so far: the history that rules look at, and all of it. `next` is the point to come."""

    trace: Trace
    history: deque[Point]
    seen: list[Point] = field(default_factory=list)
    next: int = 0


class TraceFeed:
    """The traces of one layer's signals. `lag`: how long after its moment a number is known."""

    def __init__(self, load: Load | None, traces: Mapping[str, Trace], *, lag: timedelta = timedelta()) -> None:
        names = [] if load is None else signals_of(load)
        self.missing = tuple(name for name in names if name not in traces)
        self._names = names
        self._lag = lag
        looks_back = timedelta() if load is None else history_of(load)
        self._told = {
            name: _Told(traces[name], deque(maxlen=_kept(traces[name].period_s, looks_back)))
            for name in names
            if name in traces
        }
        self._alarms = {name: AlarmState("INSUFFICIENT_DATA", datetime.min.replace(tzinfo=UTC)) for name in self._told}

    @property
    def next_at(self) -> datetime | None:
        return min(
            (t.trace.points[t.next].at + self._lag for t in self._told.values() if t.next < len(t.trace.points)),
            default=None,
        )

    def seen(self, name: str) -> list[Point]:
        """What was told of a signal so far, as the machines saw it."""
        return self._told[name].seen if name in self._told else []

    def advance(self, now: datetime, fleet: ModelFleet) -> None:
        known_until = now - self._lag
        for name, told in self._told.items():
            points = told.trace.points
            while told.next < len(points) and points[told.next].at <= known_until:
                self._tell(name, told, points[told.next], fleet)
                told.next += 1

    def facts(self, now: datetime, fleet: ModelFleet) -> Mapping[str, SignalFact]:
        return {name: self._fact(name, now, fleet) for name in self._names}

    def _tell(self, name: str, told: _Told, point: Point, fleet: ModelFleet) -> None:
        if told.trace.kind == "total":
            machines = fleet.serving_count(point.at)
            if not machines:
                return  # nobody is there to have it
            share = point.value / machines
            point = Point(point.at, min(_BUSY, share) if name == CPU_PERCENT else share)
        if told.trace.kind == "alarm":
            state: Literal["ALARM", "OK"] = "ALARM" if point.value else "OK"
            if self._alarms[name].value != state:
                self._alarms[name] = AlarmState(state, point.at)
        told.history.append(point)
        told.seen.append(point)

    def _fact(self, name: str, now: datetime, fleet: ModelFleet) -> SignalFact:
        told = self._told.get(name)
        if told is None:
            return _NOT_GIVEN
        if not told.history:
            return NO_NUMBERS
        if told.trace.kind == "alarm":
            return Known(Alarm(self._alarms[name], told.history[-1].at))
        members = fleet.serving_count(now, for_at_least=WARM_UP) if name == CPU_PERCENT else 0
        if name == CPU_PERCENT and not members:
            return NO_MEMBERS
        return Known(Series(told.trace.period_s, tuple(told.history), members))


def _kept(period_s: int, looks_back: timedelta) -> int:
    """How many points the rules can look at; one more, since windows begin after a point."""
    return span_of(period_s, looks_back) // timedelta(seconds=period_s) + 1
