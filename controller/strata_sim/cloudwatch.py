"""CloudWatch's actions: what EC2 publishes of its machines, and alarms. No other metric exists, no expressions.

A point is stamped with the beginning of what it covers, as CloudWatch has it. An answer that has more points than
MaxDatapoints goes on in another page, in the middle of a metric as well.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from strata_sim.calls import Trace
from strata_sim.errors import Ec2Error
from strata_sim.paging import numbered_page
from strata_sim.region import Region
from strata_sim.shapes import INTEGER, STRING, TIMESTAMP, Many, Params, Shape, Struct
from strata_sim.telemetry import Alarm

MAX_QUERIES: Final = 500
MAX_POINTS: Final = 100_800
MAX_ALARM_NAMES: Final = 100
_ALARM_TYPES: Final = frozenset({"MetricAlarm", "CompositeAlarm"})
_STATISTICS: Final = frozenset({"Average"})
_PERIOD_S: Final = 60
_ID: Final = re.compile(r"[a-z]\w*", re.ASCII)


def _struct(required: tuple[str, ...], **fields: Shape) -> Struct:
    return Struct({name: (name, shape) for name, shape in fields.items()}, required)


_METRIC = _struct(
    ("Namespace", "MetricName"),
    Namespace=STRING,
    MetricName=STRING,
    Dimensions=Many(_struct(("Name", "Value"), Name=STRING, Value=STRING)),
)
_QUERY = _struct(
    ("Id", "MetricStat"),
    Id=STRING,
    MetricStat=_struct(("Metric", "Period", "Stat"), Metric=_METRIC, Period=INTEGER, Stat=STRING),
)
GET_METRIC_DATA = _struct(
    ("MetricDataQueries", "StartTime", "EndTime"),
    MetricDataQueries=Many(_QUERY),
    StartTime=TIMESTAMP,
    EndTime=TIMESTAMP,
    NextToken=STRING,
    ScanBy=STRING,
    MaxDatapoints=INTEGER,
)
DESCRIBE_ALARMS = _struct((), AlarmNames=Many(STRING), AlarmTypes=Many(STRING), MaxRecords=INTEGER, NextToken=STRING)


@dataclass(slots=True)
class MetricResult:
    """The points of one query in one page."""

    id: str
    label: str
    points: list[tuple[int, float]]
    complete: bool = True


class MetricPage(NamedTuple):
    results: list[MetricResult]
    next_token: str = ""


class AlarmRow(NamedTuple):
    name: str
    alarm: Alarm


class AlarmPage(NamedTuple):
    rows: list[AlarmRow]
    next_token: str = ""


def get_metric_data(region: Region, params: Params, _trace: Trace) -> MetricPage:
    _check(params)
    limit = params.get("MaxDatapoints", MAX_POINTS)
    start = int(params.get("NextToken") or 0) if str(params.get("NextToken", "0")).isdecimal() else -1
    if start < 0:
        raise Ec2Error("InvalidNextToken", "The token is invalid.")
    results: list[MetricResult] = []
    seen = 0
    for query in params["MetricDataQueries"]:
        points = list(_points(region, query["MetricStat"], params["StartTime"], params["EndTime"]))
        if params.get("ScanBy", "TimestampDescending") == "TimestampDescending":
            points.reverse()
        seen += len(points)
        if seen < start or (seen == start and points):
            continue  # told in an earlier page
        told = points[max(0, len(points) - (seen - start)) :]
        room = limit - sum(len(result.points) for result in results)
        results.append(MetricResult(query["Id"], _label(query["MetricStat"]), told[:room], len(told) <= room))
        if len(told) > room:
            return MetricPage(results, str(start + limit))
    return MetricPage(results)


def _check(params: Params) -> None:
    queries = params["MetricDataQueries"]
    if not 1 <= len(queries) <= MAX_QUERIES:
        raise _invalid(f"The collection MetricDataQueries must have between 1 and {MAX_QUERIES} members.")
    ids = [query["Id"] for query in queries]
    if len(set(ids)) != len(ids) or not all(_ID.fullmatch(one) for one in ids):
        raise _invalid("The values for parameter id in MetricDataQueries are not unique, or not lowercase names.")
    if params["StartTime"] >= params["EndTime"]:
        raise _invalid("The parameter StartTime must be less than the parameter EndTime.")
    if not 1 <= params.get("MaxDatapoints", MAX_POINTS) <= MAX_POINTS:
        raise _invalid(f"The parameter MaxDatapoints must be between 1 and {MAX_POINTS}.")
    for query in queries:
        stat = query["MetricStat"]
        if stat["Period"] < _PERIOD_S or stat["Period"] % _PERIOD_S:
            raise _invalid(f"The parameter Period must be a multiple of {_PERIOD_S}.")
        if stat["Stat"] not in _STATISTICS:
            raise _invalid(f"The statistic {stat['Stat']} is not simulated.")


def _invalid(message: str) -> Ec2Error:
    return Ec2Error("ValidationError", message)


def _points(region: Region, stat: Mapping[str, Any], start: datetime, end: datetime) -> Iterator[tuple[int, float]]:
    """The averages of what was published in each period; of a metric that does not exist, none."""
    metric, period_s = stat["Metric"], stat["Period"]
    dimensions = {one["Name"]: one["Value"] for one in metric.get("Dimensions", ())}
    instance = region.instances.get(dimensions.get("InstanceId", ""))
    if (metric["Namespace"], metric["MetricName"]) != ("AWS/EC2", "CPUUtilization") or len(dimensions) != 1:
        return
    if instance is None:
        return
    began_s, values = 0, list[float]()
    published = region.telemetry.cpu(instance, start.timestamp(), end.timestamp(), region.now().timestamp())
    for stamp_s, value in published:
        if stamp_s // period_s * period_s != began_s and values:
            yield began_s, sum(values) / len(values)
            values = []
        began_s = stamp_s // period_s * period_s
        values.append(value)
    if values:
        yield began_s, sum(values) / len(values)


def _label(stat: Mapping[str, Any]) -> str:
    return str(stat["Metric"]["MetricName"])


def describe_alarms(region: Region, params: Params, _trace: Trace) -> AlarmPage:
    names, types = params.get("AlarmNames"), params.get("AlarmTypes", ["MetricAlarm"])
    if names is not None and len(names) > MAX_ALARM_NAMES:
        raise _invalid(f"The collection AlarmNames must not have more than {MAX_ALARM_NAMES} members.")
    if not set(types) <= _ALARM_TYPES:
        raise _invalid(f"AlarmTypes are among {', '.join(sorted(_ALARM_TYPES))}.")
    rows = [
        AlarmRow(name, alarm)
        for name, alarm in sorted(region.telemetry.alarms.items())
        if (names is None or name in names) and ("CompositeAlarm" if alarm.composite else "MetricAlarm") in types
    ]
    page = numbered_page(rows, _paging(params))
    return AlarmPage(page.rows, page.next_token)


def _paging(params: Params) -> Params:
    """As EC2's actions call it."""
    return {("MaxResults" if name == "MaxRecords" else name): value for name, value in params.items()}
