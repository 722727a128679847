"""How members' numbers come to one, and how long a number is good for."""

from datetime import UTC, datetime, timedelta

import pytest

from strata.planner.facts import Alarm, Known, Series, SignalFact, Unknown
from strata.planner.signals import MemberPoints, averaged, fresh, kept_for, span_of
from strata.resources.signal import AlarmState, AlarmValue, Point

START = datetime(2026, 11, 23, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def member(*values: float | None, counts_from_m: int = 0) -> MemberPoints:
    """One number a minute from START on; None: none."""
    points = [Point(START + n * MINUTE, value) for n, value in enumerate(values) if value is not None]
    return MemberPoints(START + counts_from_m * MINUTE, points)


def values_of(fact: SignalFact) -> list[tuple[int, float]]:
    assert isinstance(fact, Known)
    assert isinstance(fact.value, Series)
    return [((point.at - START) // MINUTE, point.value) for point in fact.value.points]


def test_an_average_is_over_all_members_that_have_a_number() -> None:
    assert values_of(averaged([member(10, 20), member(30, 40)], 60, 60)) == [(0, 20), (1, 30)]


def test_half_of_the_members_are_enough_and_less_is_nothing() -> None:
    fact = averaged(
        [member(10, 10, None), member(20, None, 20), member(None, None, 30), member(None, 40, None)], 60, 60
    )
    assert values_of(fact) == [(0, 15), (1, 25), (2, 25)]
    assert averaged([member(10), member(None), member(None)], 60, 60) == Unknown(
        "TooFewReport", "less than half of 3 machines have a number"
    )


def test_a_machine_counts_only_once_it_has_started() -> None:
    fact = averaged([member(10, 10, 10), member(90, 90, 50, counts_from_m=2)], 60, 60)
    assert values_of(fact) == [(0, 10), (1, 10), (2, 30)]
    assert isinstance(fact, Known)
    assert fact.value.members == 2


def test_a_machine_that_does_not_count_yet_is_not_missed() -> None:
    fact = averaged([member(10, 10), member(counts_from_m=5), member(counts_from_m=5)], 60, 60)
    assert values_of(fact) == [(0, 10), (1, 10)]
    assert isinstance(fact, Known)
    assert fact.value.members == 1


def test_without_any_number_there_is_no_average() -> None:
    assert averaged([member(), member()], 60, 60) == Unknown("NoNumbers", "no machine has a number yet")


@pytest.mark.parametrize(
    ("value", "age_m", "reason"),
    [("ALARM", 0, ""), ("OK", 3, ""), ("OK", 4, "Stale"), ("INSUFFICIENT_DATA", 0, "InsufficientData")],
)
def test_an_alarm_is_known_while_it_is_read_and_says_something(value: AlarmValue, age_m: int, reason: str) -> None:
    fact = Known(Alarm(AlarmState(value, START), START))
    found = fresh(fact, START + age_m * MINUTE)
    assert (found.reason if isinstance(found, Unknown) else "") == reason


def test_numbers_of_the_future_are_of_a_wrong_clock() -> None:
    series = Known(Series(60, (Point(START + timedelta(hours=1), 1.0),)))
    found = fresh(series, START)
    assert isinstance(found, Unknown)
    assert "a clock is wrong" in found.message


@pytest.mark.parametrize(("wanted_m", "period_s", "span_m"), [(5, 60, 5), (1, 60, 2), (5, 300, 10), (11, 300, 15)])
def test_a_window_has_whole_periods_two_at_least(wanted_m: int, period_s: int, span_m: int) -> None:
    assert span_of(period_s, wanted_m * MINUTE) == span_m * MINUTE
    assert kept_for(period_s, 60, wanted_m * MINUTE) > span_m * MINUTE
