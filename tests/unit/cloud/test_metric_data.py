"""How GetMetricData is asked, and what its pages come to when something of them is missing."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from strata.cloud.metric_data import MetricRequest, alarm_states
from strata.cloud.port import MetricQuery
from strata.errors import CloudError, CloudErrorKind
from strata.resources.signal import AlarmState, Point

NOW = datetime(2026, 3, 1, 12, 3, 20, tzinfo=UTC)
FINE = MetricQuery("AWS/EC2", "CPUUtilization", (("InstanceId", "i-1"),), 60)
COARSE = MetricQuery("AWS/EC2", "CPUUtilization", (("InstanceId", "i-2"),), 300)


def request(*queries: MetricQuery, minutes: int = 10) -> MetricRequest:
    return MetricRequest(queries, NOW - timedelta(minutes=minutes), NOW)


def result(name: str, *minutes: int, status: str = "Complete") -> dict[str, Any]:
    """Points stamped so many minutes before noon, each with that number."""
    noon = NOW.replace(minute=0, second=0)
    times = [noon - timedelta(minutes=minute) for minute in minutes]
    return {"Id": name, "Timestamps": times, "Values": [float(m) for m in minutes], "StatusCode": status}


def page(*results: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"MetricDataResults": list(results)} | more


def test_times_are_aligned_to_the_widest_period_and_the_minute() -> None:
    asked = request(FINE, COARSE).parameters
    assert asked["StartTime"] == NOW.replace(minute=50, second=0) - timedelta(hours=1)
    assert asked["EndTime"] == NOW.replace(second=0)


def test_a_query_is_asked_once_however_often_it_is_named() -> None:
    assert len(request(FINE, FINE, COARSE).parameters["MetricDataQueries"]) == 2


def test_pages_come_together_in_order_and_twice_told_points_once() -> None:
    one = request(FINE)
    one.gather(page(result("q0", 5, 4, status="PartialData"), NextToken="x"))
    one.gather(page(result("q0", 4, 3)))
    noon = NOW.replace(minute=0, second=0)
    assert one.answer()[FINE] == tuple(Point(noon - timedelta(minutes=m - 1), float(m)) for m in (5, 4, 3))


def test_periods_that_are_not_whole_within_what_was_asked_are_left_out() -> None:
    one = request(COARSE, minutes=10)  # 11:53:20 to 12:03:20
    one.gather(page(result("q0", 10, 5, 0)))
    assert [point.value for point in one.answer()[COARSE]] == [5.0]


@pytest.mark.parametrize("status", ["InternalError", "PartialData", "Forbidden"])
def test_a_query_that_was_not_answered_to_its_end_is_left_out_and_others_are_not(status: str) -> None:
    one = request(FINE, COARSE)
    one.gather(page(result("q0", 5, status=status), result("q1", 10)))
    assert set(one.answer()) == {COARSE}


def test_a_query_that_no_page_speaks_of_is_left_out() -> None:
    one = request(FINE, COARSE)
    one.gather(page(result("q1", 10)))
    assert set(one.answer()) == {COARSE}


def test_an_answer_that_says_that_something_is_missing_is_no_answer() -> None:
    with pytest.raises(CloudError, match="MaxMetricsExceeded: too many") as caught:
        request(FINE).gather(page(result("q0", 5), Messages=[{"Code": "MaxMetricsExceeded", "Value": "too many"}]))
    assert caught.value.kind is CloudErrorKind.UNKNOWN_RESULT


def test_times_come_in_utc_whatever_zone_boto3_gives_them_in() -> None:
    one = request(FINE)
    local = result("q0", 5)
    local["Timestamps"] = [at.astimezone() for at in local["Timestamps"]]
    one.gather(page(local))
    assert one.answer()[FINE][0].at.utcoffset() == timedelta(0)


def test_an_alarm_is_in_its_state_since_its_transition_not_since_its_last_update() -> None:
    row = {
        "AlarmName": "a",
        "StateValue": "ALARM",
        "StateUpdatedTimestamp": NOW,
        "StateTransitionedTimestamp": NOW - timedelta(hours=1),
    }
    assert alarm_states({"MetricAlarms": [row]}, ["a"]) == {"a": AlarmState("ALARM", NOW - timedelta(hours=1))}
    del row["StateTransitionedTimestamp"]
    assert alarm_states({"CompositeAlarms": [row]}, ["a"]) == {"a": AlarmState("ALARM", NOW)}
    assert alarm_states({"MetricAlarms": [row]}, ["b"]) == {}
