"""Ages are what kubectl prints for the same span."""

from datetime import UTC, datetime, timedelta

import pytest

from strata.cli import ages

_NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-2, "<invalid>"),
        (-1.5, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (312, "5m12s"),
        (599, "9m59s"),
        (600, "10m"),
        (179 * 60 + 59, "179m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 7 * 60, "3h7m"),
        (8 * 3600 + 60, "8h"),
        (47 * 3600, "47h"),
        (48 * 3600, "2d"),
        (52 * 3600, "2d4h"),
        (8 * 86_400 + 3600, "8d"),
        (729 * 86_400, "729d"),
        (730 * 86_400, "2y"),
        (740 * 86_400, "2y10d"),
        (9 * 365 * 86_400, "9y"),
    ],
)
def test_a_span_is_said_as_kubectl_says_it(seconds: float, said: str) -> None:
    assert ages.human(seconds) == said


def test_an_age_counts_from_the_time_with_its_zone() -> None:
    assert ages.age("2026-11-23T13:55:00+02:00", _NOW) == "5m"
    assert ages.age("2026-11-23T11:59:15.250000Z", _NOW) == "44s"


@pytest.mark.parametrize("time", [None, "", "yesterday", 5, "2026-11-23T12:00:00"])
def test_what_is_no_moment_has_an_unknown_age(time: object) -> None:
    assert ages.age(time, _NOW) == "<unknown>"


def test_a_clock_one_second_behind_says_zero() -> None:
    assert ages.age((_NOW + timedelta(seconds=1)).isoformat(), _NOW) == "0s"
