"""Replays one layer of one policy, and counts what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from strata.planner.forecast.fleet import ModelFleet
from strata.planner.forecast.machines import Assumptions
from strata.planner.forecast.run import Forecaster
from strata.planner.forecast.timeline import Timeline
from strata.planner.forecast.trace import Trace, TraceFeed
from strata.planner.load import signals_of
from strata.planner.policy import Policy as Numbers
from strata.resources.layer import Layer
from strata.resources.load import CPU_PERCENT, Load
from strata.resources.signal import Point
from strata.resources.stack import Stack
from strata.simulate.prices import Prices

_HOUR = timedelta(hours=1)
_NUMBERS = Numbers(cluster_id="simulate")


@dataclass(frozen=True, slots=True)
class Breach:
    """How long a signal was at or beyond a threshold, as the machines saw it."""

    signal: str
    up: bool
    threshold: float
    lasted: timedelta

    @property
    def label(self) -> str:
        return f"{self.signal} {'>=' if self.up else '<='} {self.threshold:g}"


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of one layer. `seen` are its signals as the machines saw them; `missing` those that nobody gave."""

    policy: str
    layer: Layer
    timeline: Timeline
    seen: Mapping[str, Sequence[Point]]
    missing: tuple[str, ...]
    breaches: tuple[Breach, ...]
    cost: float | None

    @property
    def machine_hours(self) -> float:
        return self.timeline.running_for() / _HOUR

    @property
    def mean_running(self) -> float:
        return self.timeline.running_for() / (self.timeline.end - self.timeline.start)

    @property
    def peak_running(self) -> int:
        return max((moment.running for moment in self.timeline.moments), default=0)

    @property
    def short_for(self) -> timedelta:
        """How long fewer machines were online than desired: while they boot."""
        moments = self.timeline.moments
        ends = [moment.at for moment in moments[1:]] + [self.timeline.end]
        spans = (end - m.at for m, end in zip(moments, ends, strict=True) if m.online - m.leaving < m.desired)
        return sum(spans, timedelta())

    def count(self, verb: str) -> int:
        """How many slots that was done to."""
        return sum(len(step.instances) for step in self.timeline.steps if step.verb == verb)

    @property
    def scaled_out(self) -> int:
        """Decisions of the load to add."""
        return sum(decision.change > 0 for decision in self.timeline.decisions)

    @property
    def scaled_in(self) -> int:
        return sum(decision.change < 0 for decision in self.timeline.decisions)


def replay(
    policy: str,
    stack: Stack,
    layer: Layer,
    traces: Mapping[str, Trace],
    *,
    start: datetime,
    end: datetime,
    assumptions: Assumptions,
    lag: timedelta,
    prices: Prices | None,
) -> Replay:
    """Replay the time from `start` to `end`; there are no machines in the beginning."""
    load = layer.spec.capacity.load
    within = {name: _within(trace, start, end) for name, trace in traces.items()}
    feed = TraceFeed(load, within, lag=lag)
    fleet = ModelFleet(stack, layer, assumptions)
    timeline = Forecaster(fleet, feed, _NUMBERS).run(start, end)
    names = [] if load is None else signals_of(load)
    seen = {name: feed.seen(name) for name in names if name in within}
    return Replay(
        policy=policy,
        layer=layer,
        timeline=timeline,
        seen=seen,
        missing=feed.missing,
        breaches=tuple(_breaches(load, seen, within)) if load else (),
        cost=None if prices is None else prices.cost(timeline),
    )


def _within(trace: Trace, start: datetime, end: datetime) -> Trace:
    points = tuple(point for point in trace.points if start <= point.at < end)
    return Trace(points, trace.period_s, trace.kind)


def thresholds(load: Load, name: str) -> tuple[float | None, float | None]:
    """A signal's thresholds, up and down; those of a target are the target."""
    if load.target is not None:
        value = load.target.value if load.target.signal == name and not load.target.per_instance else None
        return value, None
    if name == CPU_PERCENT:
        return load.up.cpu_percent, load.down.cpu_percent
    return next(((one.up, one.down) for one in load.signals if one.name == name), (None, None))


def _breaches(load: Load, seen: Mapping[str, Sequence[Point]], traces: Mapping[str, Trace]) -> list[Breach]:
    found = []
    for name, points in seen.items():
        period = timedelta(seconds=traces[name].period_s)
        up, down = thresholds(load, name)
        if up is not None:
            found.append(Breach(name, True, up, period * sum(point.value >= up for point in points)))  # noqa: FBT003 - up
        if down is not None:
            found.append(Breach(name, False, down, period * sum(point.value <= down for point in points)))  # noqa: FBT003 - down
    return found
