"""Ages, as kubectl writes them."""

from datetime import UTC, datetime, timedelta

import pytest

from strata.server.tables import human_age

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("age", "shown"),
    [
        (timedelta(seconds=0), "0s"),
        (timedelta(seconds=119), "119s"),
        (timedelta(seconds=120), "2m"),
        (timedelta(minutes=3, seconds=20), "3m20s"),
        (timedelta(minutes=10, seconds=5), "10m"),
        (timedelta(minutes=179), "179m"),
        (timedelta(hours=3, minutes=5), "3h5m"),
        (timedelta(hours=8, minutes=5), "8h"),
        (timedelta(hours=47), "47h"),
        (timedelta(days=2, hours=4), "2d4h"),
        (timedelta(days=8, hours=4), "8d"),
        (timedelta(days=729), "729d"),
        (timedelta(days=3 * 365 + 10), "3y10d"),
        (timedelta(days=9 * 365), "9y"),
        (timedelta(seconds=-1), "0s"),
        (timedelta(hours=-1), "<invalid>"),
    ],
)
def test_an_age_is_as_exact_as_it_is_young(age: timedelta, shown: str) -> None:
    assert human_age((NOW - age).isoformat().replace("+00:00", "Z"), NOW) == shown


def test_what_is_no_time_is_unknown() -> None:
    assert human_age("yesterday", NOW) == "<unknown>"
    assert human_age("2026-06-01T11:00:00", NOW) == "<unknown>"
