"""GetMetricData and DescribeAlarms: what is asked, and how the pages of an answer become points. No I/O, no boto3.

One query a metric, and no SEARCH expressions: the series that these find count against the same 500 a call, so that
they save none; a new machine's metric is not found for up to 15 minutes; and what exceeds a limit is left out.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from strata.cloud.port import MAX_METRIC_QUERIES, MetricQuery
from strata.errors import CloudError, CloudErrorKind
from strata.resources.signal import AlarmState, Point

ACTION: Final = "GetMetricData"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class MetricRequest:
    """One GetMetricData call and its pages. Gather every page, then take the points."""

    def __init__(self, queries: Sequence[MetricQuery], start_at: datetime, end_at: datetime) -> None:
        """Raises CloudError INVALID for more than a call takes."""
        self._queries = {f"q{number}": query for number, query in enumerate(dict.fromkeys(queries))}
        if len(self._queries) > MAX_METRIC_QUERIES:
            message = f"{len(self._queries)} queries in a call that takes {MAX_METRIC_QUERIES}"
            raise CloudError(CloudErrorKind.INVALID, "TooManyQueries", message, action=ACTION)
        self._start_at, self._end_at = start_at, end_at
        self._points: dict[str, list[Point]] = {name: [] for name in self._queries}
        self._status: dict[str, str] = {}

    @property
    def empty(self) -> bool:
        """Whether there is nothing to ask for; CloudWatch refuses a time range of no minute."""
        return not self._queries or _floor(self._end_at, 60) <= self._start_at

    @property
    def parameters(self) -> dict[str, Any]:
        """As boto3's get_metric_data takes them. The times are aligned: CloudWatch counts periods from the start."""
        widest_s = max((query.period_s for query in self._queries.values()), default=60)
        return {
            "MetricDataQueries": [_query(name, query) for name, query in self._queries.items()],
            "StartTime": _floor(self._start_at, widest_s),
            "EndTime": _floor(self._end_at, 60),
            "ScanBy": "TimestampAscending",
        }

    def gather(self, page: Mapping[str, Any]) -> None:
        """Take in a page. Raises CloudError if it says that something of the whole call is missing."""
        if messages := page.get("Messages"):
            text = "; ".join(f"{one.get('Code', '')}: {one.get('Value', '')}" for one in messages)
            raise CloudError(CloudErrorKind.UNKNOWN_RESULT, "UnusableAnswer", text, action=ACTION)
        for result in page["MetricDataResults"]:
            query = self._queries[result["Id"]]
            covers = timedelta(seconds=query.period_s)
            stamped = zip(result["Timestamps"], result["Values"], strict=True)
            self._points[result["Id"]] += [Point(_utc(at) + covers, float(value)) for at, value in stamped]
            self._status[result["Id"]] = result["StatusCode"]

    def answer(self) -> dict[MetricQuery, tuple[Point, ...]]:
        """The points of every query that CloudWatch answered to its end."""
        if self.empty:
            return dict.fromkeys(self._queries.values(), ())
        return {
            query: self._within(self._points[name], query)
            for name, query in self._queries.items()
            if self._status.get(name) == "Complete"
        }

    def _within(self, points: list[Point], query: MetricQuery) -> tuple[Point, ...]:
        covers = timedelta(seconds=query.period_s)
        whole = {at: value for at, value in points if self._start_at <= at - covers and at <= self._end_at}
        return tuple(Point(at, whole[at]) for at in sorted(whole))


def alarm_states(page: Mapping[str, Any], names: Sequence[str]) -> dict[str, AlarmState]:
    """The states that a page of DescribeAlarms tells, of these alarms only."""
    rows = [*page.get("MetricAlarms", ()), *page.get("CompositeAlarms", ())]
    return {row["AlarmName"]: AlarmState(row["StateValue"], _since(row)) for row in rows if row["AlarmName"] in names}


def _since(row: Mapping[str, Any]) -> datetime:
    return _utc(row.get("StateTransitionedTimestamp") or row["StateUpdatedTimestamp"])


def _query(name: str, query: MetricQuery) -> dict[str, Any]:
    dimensions = [{"Name": key, "Value": value} for key, value in query.dimensions]
    metric = {"Namespace": query.namespace, "MetricName": query.metric, "Dimensions": dimensions}
    return {"Id": name, "MetricStat": {"Metric": metric, "Period": query.period_s, "Stat": "Average"}}


def _floor(at: datetime, step_s: int) -> datetime:
    return at - (at - _EPOCH) % timedelta(seconds=step_s)


def _utc(at: datetime) -> datetime:
    """boto3 gives the machine's own zone."""
    return at.astimezone(UTC)
