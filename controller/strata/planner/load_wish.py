"""What one direction of a layer's load rules asks for: by thresholds, or by a target in their place."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from strata.planner.facts import Alarm, Series, SignalFact, Unknown
from strata.planner.signals import window
from strata.resources.duration import parse_duration
from strata.resources.load import CPU_PERCENT, Load, SampleValue, Signal, Target

_TOLERANCE = 0.1  # of a target: what is so near to it is at it
_ROUNDING = 1e-9  # 3 x 20 / 60 is one machine, also in floating point
_MOST = 1e6  # no max is as high: what asks for more, if only by a number without bound, asks for this

Facts = Mapping[str, SignalFact]


@dataclass(frozen=True, slots=True)
class Vote:
    """What one signal says. `sample` None: it asks for no change (yet: see `again_at`)."""

    sample: SampleValue | None = None
    at: datetime | None = None
    again_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """One direction's wish for `count` machines in all, and how each signal voted."""

    up: bool
    count: int
    votes: tuple[Vote, ...]

    @property
    def samples(self) -> tuple[SampleValue, ...]:
        return tuple(vote.sample for vote in self.votes if vote.sample is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """`current` machines are there by all rules; `after` the last action. `facts` are fresh, or Unknown."""

    load: Load
    facts: Facts
    now: datetime
    after: datetime | None
    current: int


_SILENT = Vote()


def wish(question: Question, *, up: bool) -> Wish:
    """The wish of one direction; of the current number where there is none."""
    if question.load.target is not None:
        return _tracked(question, question.load.target, up=up)
    rule = question.load.up if up else question.load.down
    votes = tuple(_votes(question, parse_duration(rule.for_), up=up))
    agreeing = sum(vote.sample is not None for vote in votes)
    agreed = agreeing > 0 and (rule.match == "any" or agreeing == len(votes))
    step = rule.step if up else -rule.step
    return Wish(up, question.current + (step if agreed else 0), votes)


# -- by thresholds -------------------------------------------------------------------------------------------


def _votes(question: Question, span: timedelta, *, up: bool) -> Iterator[Vote]:
    """One for each signal that has a say in this direction; one that is Unknown asks for nothing."""
    load = question.load
    cpu = load.up.cpu_percent if up else load.down.cpu_percent
    if cpu is not None:
        yield _vote(question, CPU_PERCENT, cpu, span, up=up)
    for signal in load.signals:
        threshold = signal.up if up else signal.down
        if signal.cloudwatch_alarm is not None:
            if signal.scales == "up" or not up:
                yield _alarm_vote(question, signal, span, up=up)
        elif threshold is not None:
            yield _vote(question, signal.name, threshold, span, up=up)


def _vote(question: Question, name: str, threshold: float, span: timedelta, *, up: bool) -> Vote:
    series = _series(question, name)
    if series is None or not _beyond(series.points[-1].value, threshold, up=up):
        return _SILENT
    values = [point.value for point in window(series, span, question.after)]
    if not values:
        return _SILENT
    nearest = min(values) if up else max(values)
    if not _beyond(nearest, threshold, up=up):
        return _SILENT
    return Vote(SampleValue(signal=name, value=nearest, threshold=threshold), series.points[-1].at)


def _beyond(value: float, threshold: float, *, up: bool) -> bool:
    return value >= threshold if up else value <= threshold


def _alarm_vote(question: Question, signal: Signal, span: timedelta, *, up: bool) -> Vote:
    """An alarm has no points: it has been in its state since its own time stamp, or since our last action."""
    fact = question.facts[signal.name]
    if isinstance(fact, Unknown) or not isinstance(fact.value, Alarm):
        return _SILENT
    state = fact.value.state
    if state.value != ("ALARM" if up is (signal.scales == "up") else "OK"):
        return _SILENT
    due_at = (state.since if question.after is None else max(state.since, question.after)) + span
    if question.now < due_at:
        return Vote(again_at=due_at)
    return Vote(SampleValue(signal=signal.name), question.now)


# -- by a target ---------------------------------------------------------------------------------------------


def _tracked(question: Question, target: Target, *, up: bool) -> Wish:
    """Out by the smallest, in by the largest number that any point of the window wants: a peak decides nothing."""
    rule = question.load.up if up else question.load.down
    series = _series(question, target.signal)
    points = () if series is None else window(series, parse_duration(rule.for_), question.after)
    if series is None or not points:
        return Wish(up, question.current, (_SILENT,))
    wanted = [(_wanted(point.value, target, series.members, question.current), point.value) for point in points]
    count, value = min(wanted) if up else max(wanted)
    if count == question.current or (count > question.current) is not up:
        return Wish(up, question.current, (_SILENT,))
    sample = SampleValue(signal=target.signal, value=value, threshold=target.value)
    return Wish(up, count, (Vote(sample, points[-1].at),))


def _wanted(value: float, target: Target, members: int, current: int) -> int:
    """How many machines would bring this value to the target."""
    if target.per_instance:
        machines, at_target = value / target.value, float(current)
    else:
        counted = members or current
        machines, at_target = counted * value / target.value, float(counted)
    if abs(machines - at_target) <= _TOLERANCE * at_target:
        return current
    return math.ceil(min(max(0.0, machines), _MOST) - _ROUNDING)


def _series(question: Question, name: str) -> Series | None:
    fact = question.facts[name]
    return None if isinstance(fact, Unknown) or not isinstance(fact.value, Series) else fact.value
