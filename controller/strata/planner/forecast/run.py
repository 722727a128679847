"""Steps a modelled fleet through plan_layer, from one moment at which something can change to the next."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from strata.planner.facts import SignalFact
from strata.planner.forecast.fleet import ModelFleet
from strata.planner.forecast.steps import steps_of
from strata.planner.forecast.timeline import Decision, Timeline
from strata.planner.layer import plan_layer
from strata.planner.layer_plan import LayerPlan
from strata.planner.policy import Policy
from strata.planner.wanted import load_would_change, wanted
from strata.resources.load import LoadStatus

_LEAST = timedelta(seconds=1)  # between two passes that only time asked for
_PASSES_AT_ONCE = 1_000  # a plan that is never done by itself would be a fault of ours


class Feed(Protocol):
    """What the layer's sources of signals will say."""

    @property
    def next_at(self) -> datetime | None:
        """When there is a new number; None if there is none any more."""
        ...

    def advance(self, now: datetime, fleet: ModelFleet) -> None:
        """Take in the numbers of up to now."""
        ...

    def facts(self, now: datetime, fleet: ModelFleet) -> Mapping[str, SignalFact]:
        """What is known now, by the signal's name."""
        ...


class NoSignals:
    """Nothing is known of the load: it stays what it is."""

    next_at = None

    def advance(self, now: datetime, fleet: ModelFleet) -> None:
        """There is nothing to take in."""

    def facts(self, now: datetime, fleet: ModelFleet) -> Mapping[str, SignalFact]:  # noqa: ARG002 - the port's
        return {}


@dataclass(slots=True)
class Forecaster:
    """One layer's run. Ends at `end` whatever the layer's rules are."""

    fleet: ModelFleet
    feed: Feed
    policy: Policy

    def run(self, start: datetime, end: datetime) -> Timeline:
        """What happens from `start` until just before `end`."""
        timeline = Timeline(start, end, self.fleet.layer.status)
        for _ in self.walk(timeline):
            pass
        return timeline

    def walk(self, timeline: Timeline) -> Iterator[None]:
        """Fill the timeline; yields after each look of the planner, so that whoever has little time can stop."""
        now, again_at, look = timeline.start, None, True
        timeline.runs = self.fleet.runs
        self.feed.advance(now, self.fleet)
        while True:
            if look or self._load_would_change(now):
                again_at = self._passes(timeline, now)
                yield
            upcoming = [at for at in (again_at, self.fleet.next_at, self.feed.next_at) if at is not None]
            following = max(min(upcoming, default=timeline.end), now)
            if following >= timeline.end:
                return
            now = following
            look = self.fleet.advance(now) or (again_at is not None and now >= again_at)
            self.feed.advance(now, self.fleet)

    def _load_would_change(self, now: datetime) -> bool:
        """As the daemon does it: a number that changes nothing costs no pass."""
        layer = self.fleet.layer
        if layer.spec.capacity.load is None:
            return False
        number = wanted(layer, self.fleet.stack, now, self.feed.facts(now, self.fleet))
        return load_would_change(layer, number)

    def _passes(self, timeline: Timeline, now: datetime) -> datetime | None:
        """Plan until there is nothing more to do now; when time alone may change that."""
        for _ in range(_PASSES_AT_ONCE):
            snapshot = replace(self.fleet.snapshot(now), signals=self.feed.facts(now, self.fleet))
            plan = plan_layer(snapshot, self.policy)
            timeline.passes += 1
            timeline.steps += steps_of(snapshot, plan)
            _note_decision(timeline, snapshot.layer.status.load, plan.status.load, now)
            self.fleet.carry_out(plan, now)
            if not (plan.more or _does_something(plan)):  # what it wrote would have it planned again
                break
        if timeline.passes and not timeline.moments:
            timeline.first = self.fleet.layer.status
        moment = self.fleet.moment(now)
        if not timeline.moments or timeline.moments[-1][1:] != moment[1:]:
            timeline.moments.append(moment)
        return None if plan.again_at is None else max(plan.again_at, now + _LEAST)


def _does_something(plan: LayerPlan) -> bool:
    return any((plan.create, plan.delete, plan.leave, plan.stay, plan.power, plan.heal, plan.withdraw))


def _note_decision(timeline: Timeline, before: LoadStatus, after: LoadStatus, now: datetime) -> None:
    if after.sample is not None and after.sample != before.sample:
        timeline.decisions.append(Decision(now, after.sample.change, after.sample.message))
