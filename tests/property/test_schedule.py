"""Desired is exactly the sum of its rules at every minute, whatever the clocks do; and never outside [min, max]."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.kit.wall_clock import WallClock

from strata.planner import capacity
from strata.planner.facts import Unknown
from strata.planner.schedule import OpenWindow, Outlook, outlook
from strata.planner.wanted import Wanted, wanted
from strata.resources.capacity import Capacity, Day, ScheduleWindow
from strata.resources.layer import Because, Layer, LayerSpec, LayerStatus
from strata.resources.load import Load, LoadStatus
from strata.resources.meta import API_VERSION, ObjectMeta
from strata.resources.stack import Stack, StackSpec

MINUTE = timedelta(minutes=1)
STACK = Stack(
    api_version=API_VERSION,
    kind="Stack",
    metadata=ObjectMeta(name="todo"),
    spec=StackSpec(region="us-east-1", vpc_id="vpc-0"),
)
ZONES = (
    "UTC",
    "America/New_York",
    "America/Sao_Paulo",
    "America/Santiago",  # changes at midnight
    "Africa/Cairo",  # likewise, on other days
    "Africa/Casablanca",  # an hour less in Ramadan
    "Antarctica/Troll",  # by two hours
    "Asia/Kolkata",
    "Australia/Lord_Howe",  # by half an hour
    "Pacific/Chatham",  # changes at a quarter to three
)


def window(name: str = "w", instances: int = 1, *, zone: str = "UTC", lead: str = "0s", **said: Any) -> ScheduleWindow:
    """`from_` and `except_` are the fields whose names Python keeps for itself."""
    plain = {field.rstrip("_"): value for field, value in said.items()}
    document = {"name": name, "instances": instances, "timeZone": zone, "lead": lead, **plain}
    return msgspec.convert(document, ScheduleWindow)


def nightly(zone: str) -> tuple[ScheduleWindow, ...]:
    """Windows whose edges are where clocks are changed."""
    return (
        window("night", 4, zone=zone, lead="20m", from_="23:15", to="02:30", except_=["2025-03-08"]),
        window("missing", 2, zone=zone, days=["fri", "sat", "sun"], from_="00:10", to="02:50"),
        window("by-cron", 1, zone=zone, cron="10,50 0-3 * * *", duration="25m", lead="5m"),
    )


@pytest.mark.slow
@pytest.mark.parametrize("zone", ZONES)
def test_desired_is_exactly_the_sum_at_every_minute_of_three_years(zone: str) -> None:
    start, end = datetime(2025, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)
    rules = Capacity(always=1, min=2, max=7, schedule=nightly(zone))
    assert_the_sum(rules, WallClock(zone, start, end), start)


def assert_the_sum(rules: Capacity, clock: WallClock, start: datetime) -> None:
    opened = [clock.open_minutes(one) for one in rules.schedule]
    weights = [one.instances for one in rules.schedule]
    totals = [rules.always] * clock.minutes
    for weight, is_open in zip(weights, opened, strict=True):
        totals = [total + weight * state for total, state in zip(totals, is_open, strict=True)]
    now, look, count = start, Outlook(), -1
    for total in totals:
        seen = outlook(rules.schedule, now)
        if seen != look or count < 0:  # desired is a function of what is open: asked when that changes
            assert not isinstance(seen, Unknown)
            look, count = seen, capacity.desired(rules, seen.open, 0).count
        if count != min(max(total, rules.min), 10**9 if rules.max is None else rules.max):
            pytest.fail(f"{count} at {now}: {look}, not {total}")
        now += MINUTE


TIMES = st.builds(lambda h, m: f"{h:02}:{m:02}", st.integers(0, 23), st.sampled_from([0, 1, 15, 30, 45, 59]))
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
CRONS = st.sampled_from(
    ["30 2 * * *", "*/40 * * * *", "0 */2 * * *", "15 * * * *", "* 2 * * *", "0 1,2,3 1-7 * 0", "59 23 * * 6,0"]
)
# A day on which the clocks of each zone were, or will be, changed, and what is odd about it.
CHANGES = (
    ("America/New_York", date(2026, 3, 8)),
    ("America/New_York", date(2026, 11, 1)),
    ("Europe/Dublin", date(2026, 3, 29)),  # winter time is the one that is saved
    ("Australia/Lord_Howe", date(2026, 4, 5)),
    ("Australia/Lord_Howe", date(2026, 10, 4)),
    ("America/Sao_Paulo", date(2018, 2, 18)),  # midnight twice
    ("America/Sao_Paulo", date(2018, 11, 4)),  # no midnight
    ("America/St_Johns", date(2010, 11, 7)),  # a minute past midnight: yesterday again
    ("Antarctica/Troll", date(2026, 10, 25)),
    ("Africa/Casablanca", date(2026, 3, 22)),
    ("Pacific/Apia", date(2011, 12, 30)),  # a day that never was
    ("Asia/Pyongyang", date(2018, 5, 5)),
    ("Pacific/Kwajalein", date(1993, 8, 21)),
)


@st.composite
def windows(draw: st.DrawFn, zone: str, near: date) -> ScheduleWindow:
    dates = st.dates(near - timedelta(days=3), near + timedelta(days=3)).map(date.isoformat)
    said: dict[str, Any] = {"except": draw(st.lists(dates, max_size=2, unique=True))}
    if draw(st.booleans()):
        said |= {"from": draw(TIMES), "to": draw(TIMES), "days": draw(st.lists(st.sampled_from(DAYS), unique=True))}
    else:
        said |= {"cron": draw(CRONS), "duration": draw(st.sampled_from(["1m", "30m", "2h", "26h", "8d"]))}
    lead = draw(st.sampled_from(["0s", "10m", "3h", "1d"]))
    return window("w", draw(st.integers(0, 5)), zone=zone, lead=lead, **said)


@st.composite
def near_a_change(draw: st.DrawFn) -> tuple[Capacity, str, datetime]:
    zone, day = draw(st.sampled_from(CHANGES))
    schedule = [draw(windows(zone, day)) for _ in range(draw(st.integers(1, 3)))]
    named = tuple(msgspec.structs.replace(one, name=f"w{at}") for at, one in enumerate(schedule))
    rules = Capacity(always=draw(st.integers(0, 3)), min=draw(st.integers(0, 4)), max=9, schedule=named)
    return rules, zone, datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(days=2)


@settings(max_examples=40, deadline=None)
@given(near_a_change())
def test_any_windows_are_open_as_the_wall_clock_shows_it_around_any_change(
    case: tuple[Capacity, str, datetime],
) -> None:
    rules, zone, start = case
    assert_the_sum(rules, WallClock(zone, start, start + timedelta(days=4)), start)


def layer_of(rules: Capacity, status: LayerStatus) -> Layer:
    spec = LayerSpec(capacity=rules)
    return Layer(api_version=API_VERSION, kind="Layer", metadata=ObjectMeta(name="web"), spec=spec, status=status)


def decided(rules: Capacity, load: LoadStatus, now: datetime) -> Wanted:
    """What a pass decides where the load asks for nothing new."""
    return wanted(layer_of(rules, LayerStatus(load=load)), STACK, now, {})


@settings(max_examples=60, deadline=None)
@given(near_a_change(), st.integers(0, 4 * 1440), st.integers(0, 5))
def test_the_next_change_is_the_next_one(case: tuple[Capacity, str, datetime], minute: int, extra: int) -> None:
    """Until then the number stays, then it is the one that was said; if none is in sight, it stays for days."""
    plain, _, start = case
    rules = msgspec.structs.replace(plain, load=Load())
    now = start + minute * MINUTE
    first = number = decided(rules, LoadStatus(extra=extra), now)
    change = number.next_change
    later = now
    while later < min(change.at if change else now + timedelta(days=3), now + timedelta(days=12)):
        number = decided(rules, number.load.status, later)
        assert number.count == first.count
        later += 7 * MINUTE
    if change is None:
        return
    assert first.again_at is not None
    assert now < first.again_at <= change.at
    before = decided(rules, number.load.status, change.at - timedelta(microseconds=1))
    after = decided(rules, before.load.status, change.at)
    assert before.count == first.count
    assert after.count == change.desired != first.count
    assert change.rule in {one.rule for one in (*before.because, *after.because)}


OPEN = st.builds(OpenWindow, st.text("abc", min_size=1), st.integers(0, 50), st.none())


@given(
    st.integers(0, 50),
    st.integers(0, 50),
    st.none() | st.integers(0, 60),
    st.lists(OPEN, max_size=5),
    st.integers(0, 99),
)
def test_desired_is_within_its_limits_and_the_sum_of_its_reasons(
    always: int, low: int, high: int | None, opened: list[OpenWindow], extra: int
) -> None:
    rules = Capacity(always=always, min=min(low, high if high is not None else low), max=high)
    total = capacity.desired(rules, opened, extra)
    assert rules.min <= total.count
    assert high is None or total.count <= high
    assert sum(one.instances for one in total.because) == total.count
    by_load = sum(one.instances for one in total.because if one.rule == "load")
    room = extra if high is None else high - always - sum(one.instances for one in opened)
    assert by_load == max(0, min(extra, room))


def spans(one: ScheduleWindow, day: date, days: int = 2) -> list[str]:
    """When the window turns, in UTC, on this day and the next ones."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    now = start
    turns: list[str] = []
    while True:
        look = outlook((one,), now)
        assert not isinstance(look, Unknown)
        if look.next_at is None or look.next_at >= start + timedelta(days=days):
            return turns
        now = look.next_at
        after = outlook((one,), now)
        assert not isinstance(after, Unknown)
        turns.append(f"{'opens' if after.open else 'closes'} {now:%d %H:%M}")


NEW_YORK = "America/New_York"
SPRING, AUTUMN = date(2026, 3, 8), date(2026, 11, 1)  # in New York: 02:00 becomes 03:00, 02:00 becomes 01:00


def test_a_window_in_the_hour_that_happens_twice_covers_it_both_times() -> None:
    one = window(zone=NEW_YORK, from_="01:00", to="02:00")
    assert spans(one, AUTUMN, 1) == ["opens 01 05:00", "closes 01 07:00"]


def test_a_window_that_ends_inside_of_it_ends_the_second_time() -> None:
    one = window(zone=NEW_YORK, from_="00:30", to="01:30")
    assert spans(one, AUTUMN, 1) == ["opens 01 04:30", "closes 01 06:30"]


def test_a_window_that_begins_inside_of_it_begins_the_first_time() -> None:
    one = window(zone=NEW_YORK, from_="01:30", to="03:00")
    assert spans(one, AUTUMN, 1) == ["opens 01 05:30", "closes 01 08:00"]


def test_a_window_inside_of_the_hour_that_never_comes_does_not_open() -> None:
    one = window(zone=NEW_YORK, lead="1h", from_="02:10", to="02:50")
    assert spans(one, SPRING, 1) == []
    assert spans(one, SPRING - timedelta(days=1), 1) == ["opens 07 06:10", "closes 07 07:50"]


def test_a_window_that_begins_or_ends_in_it_does_so_at_the_change() -> None:
    assert spans(window(zone=NEW_YORK, from_="02:30", to="04:00"), SPRING, 1) == [
        "opens 08 07:00",
        "closes 08 08:00",
    ]
    assert spans(window(zone=NEW_YORK, from_="01:00", to="02:30"), SPRING, 1) == [
        "opens 08 06:00",
        "closes 08 07:00",
    ]


def test_a_lead_is_elapsed_time_also_over_the_change() -> None:
    one = window(zone=NEW_YORK, lead="90m", from_="03:30", to="05:00")
    assert spans(one, SPRING, 1) == ["opens 08 06:00", "closes 08 09:00"]  # 01:00, an hour and a half before 03:30
    assert spans(one, AUTUMN, 1) == ["opens 01 07:00", "closes 01 10:00"]


def test_a_night_over_the_change_is_an_hour_shorter_or_longer() -> None:
    one = window(zone=NEW_YORK, days=["sat"], from_="22:00", to="06:00")
    assert spans(one, SPRING, 1) == ["opens 08 03:00", "closes 08 10:00"]
    assert spans(one, AUTUMN, 1) == ["opens 01 02:00", "closes 01 11:00"]


def test_equal_times_are_a_whole_day_of_the_wall_clock() -> None:
    one = window(zone=NEW_YORK, days=["sun"], from_="00:00", to="00:00")
    assert spans(one, SPRING) == ["opens 08 05:00", "closes 09 04:00"]
    assert spans(one, AUTUMN) == ["opens 01 04:00", "closes 02 05:00"]


def test_whole_days_on_all_days_never_close() -> None:
    now = datetime(2026, 3, 8, 7, tzinfo=UTC)
    look = outlook((window(zone=NEW_YORK, from_="08:00", to="08:00"),), now)
    assert look == Outlook((OpenWindow("w", 1, None),), None)


def test_a_date_left_out_is_that_of_the_opening() -> None:
    one = window(lead="3h", from_="22:00", to="06:00", except_=["2026-12-31"])
    assert spans(one, date(2026, 12, 31), 2) == ["closes 31 06:00", "opens 01 19:00"]
    early = window(zone="Asia/Tokyo", lead="2h", from_="01:00", to="03:00", except_=["2026-12-31"])
    assert spans(early, date(2026, 12, 30), 2) == ["opens 31 14:00", "closes 31 18:00"]


def test_cron_at_a_time_that_never_comes_fires_at_the_change_and_at_one_that_comes_twice_once() -> None:
    one = window(zone=NEW_YORK, cron="30 2 * * *", duration="10m")
    assert spans(one, SPRING, 1) == ["opens 08 07:00", "closes 08 07:10"]
    twice = window(zone=NEW_YORK, cron="30 1 * * *", duration="10m")
    assert spans(twice, AUTUMN, 1) == ["opens 01 05:30", "closes 01 05:40"]


def test_cron_of_every_hour_fires_in_each_hour_there_is() -> None:
    one = window(zone=NEW_YORK, cron="30 * * * *", duration="10m")
    opens = [turn for turn in spans(one, AUTUMN, 1) if turn.startswith("opens")]
    assert opens == [f"opens 01 {hour:02}:30" for hour in range(24)]


def test_cron_on_month_ends_stays_open_for_its_duration_of_elapsed_time() -> None:
    one = window(cron="0 6 28-31 * *", duration="12h", except_=["2026-12-31"])
    assert spans(one, date(2026, 12, 30), 3) == ["opens 30 06:00", "closes 30 18:00"]


def test_a_long_outage_over_a_boundary_changes_nothing_but_lateness() -> None:
    """What is open is no memory: asked at any time, in any order, the answer is the same."""
    rules = nightly(NEW_YORK)
    moments = [datetime(2026, 11, 1, tzinfo=UTC) + n * 37 * MINUTE for n in range(100)]
    in_order = [outlook(rules, now) for now in moments]
    assert [outlook(rules, now) for now in reversed(moments)] == in_order[::-1]


def test_a_zone_that_this_host_does_not_know_keeps_the_number_as_it_is() -> None:
    rules = Capacity(always=1, schedule=(window(zone="Mars/Olympus", from_="08:00", to="20:00"),))
    status = LayerStatus(desired=5, because=(Because(rule="always", instances=5),))
    number = wanted(layer_of(rules, status), STACK, datetime(2026, 1, 1, tzinfo=UTC), {})
    assert (number.count, number.because) == (5, status.because)
    assert number.fault is not None
    assert "Mars/Olympus" in number.fault.message
