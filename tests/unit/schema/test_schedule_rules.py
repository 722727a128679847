"""Which windows are let in, and what is said of the others."""

from typing import Any

import pytest
from tests.kit.documents import layer

from strata.errors import Cause
from strata.resources.schema import definitions, judge_create

OFFICE = {"name": "office", "instances": 4, "from": "08:00", "to": "20:00"}
MONTH_END = {"name": "month-end", "instances": 2, "cron": "0 6 28-31 * *", "duration": "12h"}


def judge(*windows: dict[str, Any]) -> tuple[Cause, ...]:
    verdict = judge_create(definitions()["layers"], layer(capacity={"schedule": list(windows)}))
    assert verdict.unknown == ()
    return verdict.causes


@pytest.mark.parametrize(
    "window",
    [
        OFFICE,
        MONTH_END,
        OFFICE | {"days": ["mon", "fri"], "timeZone": "America/New_York", "lead": "1d", "except": ["2026-12-31"]},
        OFFICE | {"from": "22:00", "to": "06:00", "timeZone": "Australia/Lord_Howe"},
        OFFICE | {"from": "00:00", "to": "00:00", "timeZone": "US/Eastern"},
        MONTH_END | {"cron": "*/20 9-17/4 L * MON-FRI,SUN#2", "duration": "31d"},
    ],
)
def test_a_window_that_can_be_judged_is_let_in(window: dict[str, Any]) -> None:
    assert judge(window) == ()


@pytest.mark.parametrize(
    ("window", "field", "says"),
    [
        (OFFICE | {"cron": "0 6 * * *", "duration": "1h"}, "", "not both"),
        (MONTH_END | {"days": ["mon"]}, "", "not both"),
        ({"name": "w", "instances": 1}, "", "say from and to, such as 08:00 and 20:00; or cron and duration"),
        ({"name": "w", "instances": 1, "from": "08:00"}, ".to", "when the window closes"),
        ({"name": "w", "instances": 1, "days": ["mon"], "to": "08:00"}, ".from", "when the window opens"),
        ({"name": "w", "instances": 1, "cron": "0 6 * * *"}, ".duration", "how long"),
        ({"name": "w", "instances": 1, "duration": "1h"}, ".cron", "without cron, say from and to"),
        (OFFICE | {"from": "8:00"}, ".from", "must match"),
        (OFFICE | {"to": "24:00"}, ".to", "Midnight is `00:00`"),
        (OFFICE | {"to": 1200}, ".to", "must be a string"),
        (OFFICE | {"timeZone": "America/NewYork"}, ".timeZone", "did you mean `America/New_York`?"),
        (OFFICE | {"timeZone": "America"}, ".timeZone", "such as America/New_York"),
        (OFFICE | {"timeZone": "localtime"}, ".timeZone", "must be an IANA time zone"),
        (OFFICE | {"timeZone": "right/Europe/Berlin"}, ".timeZone", "did you mean `Europe/Berlin`?"),
        (OFFICE | {"timeZone": "../../etc/passwd"}, ".timeZone", "must be an IANA time zone"),
        (MONTH_END | {"cron": "0 25 * * *"}, ".cron", "Bad hour"),
        (MONTH_END | {"cron": "0 0 6 * * *"}, ".cron", "must have five fields"),
        (MONTH_END | {"cron": "0 0 30 2 *"}, ".cron", "Bad day-of-month"),
        (MONTH_END | {"cron": "0 0 */20 * 1L"}, ".cron", "never comes true"),
        (MONTH_END | {"duration": "59s"}, ".duration", "from 1m to 31d"),
        (MONTH_END | {"duration": "32d"}, ".duration", "from 1m to 31d"),
        (MONTH_END | {"duration": "99999999999999d"}, ".duration", "from 1m to 31d"),
        (OFFICE | {"lead": "25h"}, ".lead", "at most 1d"),
        (OFFICE | {"except": ["2026-02-30"]}, ".except[0]", "must be a date that exists"),
        (OFFICE | {"except": ["2026-12-31", "20261231"]}, ".except[1]", "such as 2026-12-31"),
        (OFFICE | {"except": ["2026-12-31", "2026-12-31"]}, ".except", "Duplicate value"),
        (OFFICE | {"days": ["monday"]}, ".days[0]", "did you mean `mon`?"),
        (OFFICE | {"days": ["mon", "mon"]}, ".days", "Duplicate value"),
        (OFFICE | {"instances": -1}, ".instances", "must be at least 0"),
        (OFFICE | {"name": "Office Hours"}, ".name", "must match"),
    ],
)
def test_a_wrong_window_is_refused_with_its_field_and_the_fix(window: dict[str, Any], field: str, says: str) -> None:
    (cause,) = judge(window)
    assert cause.field == f"spec.capacity.schedule[0]{field}"
    assert says in cause.message


def test_two_windows_may_not_have_one_name() -> None:
    (cause,) = judge(OFFICE, MONTH_END | {"name": "office"})
    assert cause.field == "spec.capacity.schedule[1].name"
    assert cause.reason == "FieldValueDuplicate"


def test_each_wrong_window_is_reported() -> None:
    causes = judge(OFFICE | {"timeZone": "Mars"}, MONTH_END, MONTH_END | {"name": "x", "cron": "0 0 99 * *"})
    assert [cause.field for cause in causes] == ["spec.capacity.schedule[0].timeZone", "spec.capacity.schedule[2].cron"]
