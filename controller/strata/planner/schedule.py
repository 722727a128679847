"""When a layer's windows are open. A function of the window and the time alone: nothing is remembered, so an outage
over a boundary changes nothing but lateness.

A window is a row of openings [start, end), in ascending order of both; openings that touch are one run. The runs of a
UTC day are worked out once and looked up from then on: results of a pure function may be kept.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from strata.planner.facts import Unknown
from strata.resources import reasons
from strata.resources.capacity import ScheduleWindow
from strata.resources.duration import parse_duration
from strata.resources.zones import find_zone

_DAY = timedelta(days=1)
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LOOK_AHEAD = timedelta(days=400)  # further openings are not in sight
_MERGED_AHEAD = 60  # openings that touch: beyond so many nobody is told when the run ends
_LARGEST_FOLD = timedelta(hours=3)  # no zone puts its clock back further

_Run = tuple[datetime, datetime | None]
_Opening = tuple[datetime, datetime]


class OpenWindow(NamedTuple):
    """What an open window adds, and until when; None where its end is not in sight."""

    name: str
    instances: int
    until: datetime | None


class Outlook(NamedTuple):
    """The windows that are open, and the next moment at which any opens or closes; None if none is in sight."""

    open: tuple[OpenWindow, ...] = ()
    next_at: datetime | None = None


def outlook(windows: tuple[ScheduleWindow, ...], now: datetime) -> Outlook | Unknown:
    """What of these windows is open at `now` (aware, UTC). Unknown: one of them cannot be judged here, so nothing may
    be decided."""
    day = _day(windows, now.date())
    return day if isinstance(day, Unknown) else day.outlooks[bisect_right(day.starts, now) - 1]


class _Day(NamedTuple):
    """Each outlook holds from its start to the next one's."""

    starts: tuple[datetime, ...]
    outlooks: tuple[Outlook, ...]


@lru_cache(maxsize=16_384)  # layers times days; a cycle that does not fit would hit nothing
def _day(windows: tuple[ScheduleWindow, ...], day: date) -> _Day | Unknown:
    begins = datetime.combine(day, time(), UTC)
    turns = {begins}
    rows: list[tuple[_Run, ...]] = []
    for window in windows:
        runs = _runs(window, day)
        if isinstance(runs, Unknown):
            return runs
        rows.append(runs)
        turns |= {at for run in runs for at in run if at is not None and begins < at < begins + _DAY}
    starts = tuple(sorted(turns))
    return _Day(starts, tuple(_look(windows, rows, at) for at in starts))


def _look(windows: tuple[ScheduleWindow, ...], rows: list[tuple[_Run, ...]], now: datetime) -> Outlook:
    opened: list[OpenWindow] = []
    turns: list[datetime] = []
    for window, runs in zip(windows, rows, strict=True):
        start, end = next(((s, e) for s, e in runs if e is None or now < e), (None, None))
        is_open = start is not None and start <= now
        if is_open:
            opened.append(OpenWindow(window.name, window.instances, end))
        turn = end if is_open else start
        turns += [] if turn is None else [turn]
    return Outlook(tuple(opened), min(turns, default=None))


@lru_cache(maxsize=16_384)  # many layers have the same windows
def _runs(window: ScheduleWindow, day: date) -> tuple[_Run, ...] | Unknown:
    """The runs that touch this UTC day, and the first one after it."""
    zone = find_zone(window.time_zone)
    if zone is None:
        return Unknown(reasons.SCHEDULE_INVALID, f"window {window.name}: no time zone {window.time_zone} on this host")
    begins = datetime.combine(day, time(), UTC)
    try:
        return tuple(_merged(_openings(window, zone, begins), begins))
    except (CronSimError, ValueError, OverflowError) as error:  # admitted by another version
        return Unknown(reasons.SCHEDULE_INVALID, f"window {window.name}: {error}")


def _merged(openings: Iterator[_Opening], begins: datetime) -> Iterator[_Run]:
    """Openings that touch, as one; the last begins after the day. A run that goes on for long has no end in sight."""
    ends, horizon = begins + _DAY, begins + _LOOK_AHEAD
    run: _Opening | None = None
    ahead = 0
    for start, end in openings:
        if end <= begins:
            continue
        if run is not None and start <= run[1]:
            ahead += start >= ends
            if ahead > _MERGED_AHEAD or start > horizon:
                yield run[0], None
                return
            run = run[0], max(run[1], end)
        else:
            if run is not None:
                yield run
            run = (start, end) if start <= horizon else None
        if run is None or run[0] >= ends:  # of a later day: when it begins is all that is asked
            break
    if run is not None:
        yield run


def _openings(window: ScheduleWindow, zone: ZoneInfo, begins: datetime) -> Iterator[_Opening]:
    """The openings from the last one that can still be open when the day begins."""
    lead = parse_duration(window.lead)
    nominal = _by_cron(window, zone, begins + lead) if window.cron else _by_days(window, zone, begins + lead)
    return ((start - lead, end) for start, end in nominal)


# -- by days and times of day ---------------------------------------------------------------------------------------


def _by_days(window: ScheduleWindow, zone: ZoneInfo, begins: datetime) -> Iterator[_Opening]:
    opens, closes = time.fromisoformat(window.from_ or ""), time.fromisoformat(window.to or "")
    over_midnight = timedelta(days=closes <= opens)
    excepted = frozenset(window.except_)
    # No opening lasts much longer than a day; and a clock that was put back over midnight shows yesterday again.
    first = begins.astimezone(zone).date() - timedelta(days=3)
    for day in (first + timedelta(days=n) for n in range(_LOOK_AHEAD.days + 8)):
        if (window.days and _DAYS[day.weekday()] not in window.days) or day in excepted:
            continue
        start = first_instant(zone, datetime.combine(day, opens))
        end = last_instant(zone, datetime.combine(day + over_midnight, closes))
        if start < end:  # not wholly inside of an hour that never comes
            yield start, end


def first_instant(zone: ZoneInfo, wall: datetime) -> datetime:
    """The first instant at which the clocks of this zone show `wall` or more."""
    instant = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    return instant if _shows(zone, instant, wall) else _change(zone, wall)


def last_instant(zone: ZoneInfo, wall: datetime) -> datetime:
    """The last instant at which they show `wall`; the change that left it out, if they never do."""
    instant = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return instant if _shows(zone, instant, wall) else _change(zone, wall)


def _shows(zone: ZoneInfo, instant: datetime, wall: datetime) -> bool:
    return instant.astimezone(zone).replace(tzinfo=None, fold=0) == wall


def _change(zone: ZoneInfo, wall: datetime) -> datetime:
    """The instant of the change that left out `wall`."""
    before = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)  # by the offset after the change: too early
    after = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    new_offset = after.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == new_offset:
            after = middle
        else:
            before = middle
    return after


# -- by cron --------------------------------------------------------------------------------------------------------


def _by_cron(window: ScheduleWindow, zone: ZoneInfo, begins: datetime) -> Iterator[_Opening]:
    expression = window.cron or ""
    lasts = parse_duration(window.duration or "")
    excepted = frozenset(window.except_)
    wall = begins.astimezone(zone).replace(tzinfo=None, fold=0)
    start = _last_fire(expression, excepted, wall - _LARGEST_FOLD, wall - lasts - _DAY)
    for fire in _instants(expression, excepted, zone, start):
        yield fire, fire + lasts


def _last_fire(expression: str, excepted: frozenset[date], before: datetime, bound: datetime) -> datetime:
    """The wall time of the last fire before this one; `bound` if there is none after it."""
    while before > bound:
        fire = next(CronSim(expression, before, reverse=True), bound)
        if fire.date() not in excepted:
            return max(fire, bound)
        before = datetime.combine(fire.date(), time())
    return bound


def _instants(expression: str, excepted: frozenset[date], zone: ZoneInfo, start: datetime) -> Iterator[datetime]:
    """When it fires from this wall time on, as Debian's cron does: a fixed time that never comes fires at the change,
    one that comes twice fires once; where minute or hour is a star, it fires whenever the clocks show it."""
    fixed = not any(part.startswith("*") for part in expression.split()[:2])
    again: deque[datetime] = deque()  # fires of an hour that comes twice, for its second time
    for wall in _walls(expression, excepted, start):
        fire = first_instant(zone, wall)
        if not fixed and not _shows(zone, fire, wall):
            continue
        while again and again[0] < fire:
            yield again.popleft()
        yield fire
        if not fixed and (second := last_instant(zone, wall)) != fire:
            again.append(second)
    yield from again


def _walls(expression: str, excepted: frozenset[date], start: datetime) -> Iterator[datetime]:
    """The wall times at which it fires, from `start` on; it jumps over dates that are left out."""
    fires = CronSim(expression, start - timedelta(seconds=1))
    while (wall := next(fires, None)) is not None:
        if wall.date() in excepted:
            fires = CronSim(expression, datetime.combine(wall.date(), time.max))
        else:
            yield wall
