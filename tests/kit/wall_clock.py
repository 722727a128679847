"""When windows are open, found out the slow way: by walking through time minute by minute with an eye on a wall clock.

An oracle for planner/schedule.py, with which it shares neither code nor method: no fold, no search, no cron library.
Changes of offset must be on whole minutes, which all are since 1972.
"""

from array import array
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from strata.resources.capacity import ScheduleWindow
from strata.resources.duration import parse_duration

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE = timedelta(minutes=1)
_DAY_MINUTES = 1440
_DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_BEFORE = 11 * _DAY_MINUTES  # what opened so long ago is over: no test's window lasts longer


class WallClock:
    """The clock on the wall at every minute from `start` to `end`, and a good while around them."""

    def __init__(self, zone: str, start: datetime, end: datetime) -> None:
        self.minutes = (end - start) // _MINUTE
        self._shown = array("l", _walk(ZoneInfo(zone), start - _BEFORE * _MINUTE, self.minutes + 2 * _BEFORE))

    def open_minutes(self, window: ScheduleWindow) -> bytearray:
        """1 for each minute from `start` at which the window is open."""
        is_open = bytearray(len(self._shown))
        lead = parse_duration(window.lead) // _MINUTE
        for begins, ends in self._by_cron(window) if window.cron else self._by_days(window):
            first, last = max(0, begins - lead), min(ends, len(is_open))
            is_open[first:last] = b"\x01" * max(0, last - first)
        return is_open[_BEFORE : _BEFORE + self.minutes]

    def _by_days(self, window: ScheduleWindow) -> Iterator[tuple[int, int]]:
        opens, closes = _time_of_day(window.from_ or ""), _time_of_day(window.to or "")
        first_day, last_day = self._shown[0] // _DAY_MINUTES, self._shown[-1] // _DAY_MINUTES
        begins = reached = 0
        for day in range(first_day + 2, last_day - 2):
            if (window.days and _weekday(day) not in window.days) or _date(day) in window.except_:
                continue
            begins = self._reaches(day * _DAY_MINUTES + opens, begins)
            until = (day + (closes <= opens)) * _DAY_MINUTES + closes
            reached = self._reaches(until, reached)
            again = [i for i in range(reached, reached + _DAY_MINUTES) if self._shown[i] == until]
            ends = again[-1] if again else reached
            if begins < ends:
                yield begins, ends

    def _reaches(self, wall: int, start: int) -> int:
        """The first minute from `start` on at which the clock shows `wall`, or more."""
        at = start
        while self._shown[at] < wall:
            at += 1
        return at

    def _by_cron(self, window: ScheduleWindow) -> Iterator[tuple[int, int]]:
        duration = parse_duration(window.duration or "") // _MINUTE
        fires = self._whenever_shown if _has_star(window.cron or "") else self._once_each
        for at, wall in fires(_matcher(window.cron or "")):
            if _date(wall // _DAY_MINUTES) not in window.except_:
                yield at, at + duration

    def _whenever_shown(self, matches: Callable[[int], bool]) -> Iterator[tuple[int, int]]:
        return ((at, wall) for at, wall in enumerate(self._shown) if matches(wall))

    def _once_each(self, matches: Callable[[int], bool]) -> Iterator[tuple[int, int]]:
        """What the clock jumps over happens when it jumps; what it shows again does not happen again."""
        latest = self._shown[0] - 1
        for at, wall in enumerate(self._shown):
            for passed in range(latest + 1, wall + 1):
                if matches(passed):
                    yield at, passed
            latest = max(latest, wall)


def _walk(zone: ZoneInfo, start: datetime, minutes: int) -> Iterator[int]:
    """What the clock shows, as minutes since 1970, if every day had 1440."""
    now, since_epoch = start, (start - _EPOCH) // _MINUTE
    for passed in range(minutes):
        offset = now.astimezone(zone).utcoffset() or timedelta()
        yield since_epoch + passed + (offset.days * 86_400 + offset.seconds) // 60
        now += _MINUTE


def _date(day: int) -> date:
    return date(1970, 1, 1) + timedelta(days=day)


def _weekday(day: int) -> str:
    return _DAYS[(day + 3) % 7]  # 1 January 1970 was a Thursday


def _time_of_day(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def _has_star(expression: str) -> bool:
    minute, hour, *_ = expression.split()
    return minute[0] == "*" or hour[0] == "*"


def _matcher(expression: str) -> Callable[[int], bool]:
    """Whether a wall time matches five fields of numbers, ranges, lists, stars and steps."""
    ranges = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)]
    parts = expression.split()
    minutes, hours, days, months, weekdays = [_numbers(part, *r) for part, r in zip(parts, ranges, strict=True)]
    times = {hour * 60 + minute for hour in hours for minute in minutes}
    both = parts[2].startswith("*") or parts[4].startswith("*")
    known: dict[int, bool] = {}

    def day_matches(day: int) -> bool:
        at = _date(day)
        by_day = at.day in days
        by_weekday = at.isoweekday() in weekdays or at.isoweekday() % 7 in weekdays
        return at.month in months and ((by_day and by_weekday) if both else (by_day or by_weekday))

    def matches(wall: int) -> bool:
        day, minute = divmod(wall, _DAY_MINUTES)
        if minute not in times:
            return False
        if day not in known:
            known[day] = day_matches(day)
        return known[day]

    return matches


def _numbers(part: str, low: int, high: int) -> set[int]:
    found: set[int] = set()
    for term in part.split(","):
        span, _, step = term.partition("/")
        first, _, last = (f"{low}-{high}" if span == "*" else span).partition("-")
        end = int(last) if last else high if step else int(first)
        found |= set(range(int(first), end + 1, int(step or 1)))
    return found
