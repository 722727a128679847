"""What a signal's history is good for: whether it is fresh, whether it fills a window without a gap; and how members'
histories come to one."""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter

from strata.planner.facts import Alarm, Known, Series, SignalFact, Unknown
from strata.resources import reasons
from strata.resources.signal import Point

WARM_UP = timedelta(minutes=2)  # what a machine does as it starts is no load
NO_MEMBERS = Unknown(reasons.NO_MEMBERS, "no machine has been online for two minutes yet")
NO_NUMBERS = Unknown(reasons.NO_POINTS, "the source has no numbers")

_ALARM_AGE = timedelta(minutes=3)  # alarms are read once a minute
_SKEW = timedelta(minutes=2)  # a source's clock may be so much ahead of ours
_MIN_PERIODS = 2
_time_of = attrgetter("at")


def fresh(fact: SignalFact, now: datetime) -> SignalFact:
    """The fact, or Unknown if it is too old, or of a time that has not come."""
    if isinstance(fact, Unknown):
        return fact
    return (
        _fresh_alarm(fact, fact.value, now) if isinstance(fact.value, Alarm) else _fresh_series(fact, fact.value, now)
    )


def _fresh_alarm(fact: SignalFact, alarm: Alarm, now: datetime) -> SignalFact:
    if now - alarm.read_at > _ALARM_AGE:
        return Unknown(reasons.STALE, f"not read since {_at(alarm.read_at)}")
    if alarm.state.value == "INSUFFICIENT_DATA":
        return Unknown(reasons.INSUFFICIENT_DATA, "the alarm has insufficient data")
    return fact


def _fresh_series(fact: SignalFact, series: Series, now: datetime) -> SignalFact:
    if not series.points:
        return NO_NUMBERS
    newest = series.points[-1].at
    if now - newest > stale_after(series.period_s, series.late_s):
        return Unknown(reasons.STALE, f"the newest number is of {_at(newest)}")
    if newest - now > _SKEW + timedelta(seconds=series.period_s):
        return Unknown(reasons.STALE, "the newest number is of the future: a clock is wrong")
    return fact


def stale_after(period_s: int, late_s: int) -> timedelta:
    """How old the newest point may be."""
    return timedelta(seconds=2 * period_s + late_s)


def kept_for(period_s: int, late_s: int, wanted: timedelta) -> timedelta:
    """How much of a history may be needed for a window of `wanted`."""
    return span_of(period_s, wanted) + stale_after(period_s, late_s)


def span_of(period_s: int, wanted: timedelta) -> timedelta:
    """How long a window of such points is: `wanted`, rounded up to whole periods, two at least."""
    period = timedelta(seconds=period_s)
    return max(_MIN_PERIODS, -(-wanted // period)) * period


def window(series: Series, wanted: timedelta, after: datetime | None) -> tuple[Point, ...]:
    """The points of the newest window of this span; () if it lacks one, or begins before `after`."""
    points = series.points
    span = span_of(series.period_s, wanted)
    begins = points[-1].at - span
    if after is not None and begins < after:
        return ()
    first = bisect_right(points, begins, key=_time_of)
    complete = (len(points) - first) * series.period_s >= span.total_seconds()  # a Series has one point a period
    return points[first:] if complete else ()


def _at(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"


# -- averages over members -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MemberPoints:
    """One member's numbers, oldest first; those before `counts_from` are of a machine that was still starting."""

    counts_from: datetime
    points: Sequence[Point]


def averaged(members: Sequence[MemberPoints], period_s: int, late_s: int) -> Known[Series] | Unknown:
    """The average at each moment for which at least half of the members that count by then have a number."""
    counts_from = sorted(member.counts_from for member in members)
    sums: dict[datetime, float] = defaultdict(float)
    reporting: Counter[datetime] = Counter()
    for member in members:
        for at, value in member.points:
            if at >= member.counts_from:
                sums[at] += value
                reporting[at] += 1
    points, counted = [], 0
    for at in sorted(sums):
        counted = bisect_right(counts_from, at)
        if reporting[at] * 2 >= counted:
            points.append(Point(at, sums[at] / reporting[at]))
    if points:
        return Known(Series(period_s, tuple(points), bisect_right(counts_from, points[-1].at), late_s))
    if counted:
        return Unknown(reasons.TOO_FEW_REPORT, f"less than half of {counted} machines have a number")
    return Unknown(reasons.NO_POINTS, "no machine has a number yet")
