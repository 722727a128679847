"""SimulatedCloudWatch: the port to CloudWatch, straight on the simulator's core."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

from strata.cloud.port import MetricQuery
from strata.resources.signal import AlarmState, Point
from strata_sim import actions
from strata_sim.actions import Action
from strata_sim.cloudwatch import MetricResult
from strata_sim.inprocess import call
from strata_sim.shapes import Params
from strata_sim.world import World


class _Page(Protocol):
    @property
    def next_token(self) -> str: ...


P = TypeVar("P", bound=_Page)


class SimulatedCloudWatch:
    """One caller's view of one simulated region. `caller` names it in the call log."""

    def __init__(self, world: World, region: str, caller: str = "in-process") -> None:
        self._world = world
        self._region = region
        self._caller = caller

    async def get_metric_data(
        self, queries: Sequence[MetricQuery], *, start_at: datetime, end_at: datetime
    ) -> Mapping[MetricQuery, tuple[Point, ...]]:
        named = {f"m{number}": query for number, query in enumerate(dict.fromkeys(queries))}
        found: dict[MetricQuery, list[Point]] = {query: [] for query in named.values()}
        if not named or end_at - start_at < timedelta(minutes=1):
            return dict.fromkeys(found, ())
        asked = {
            "MetricDataQueries": [_metric(name, query) for name, query in named.items()],
            "StartTime": start_at.replace(second=0, microsecond=0),
            "EndTime": end_at,
            "ScanBy": "TimestampAscending",
        }
        async for page in self._pages(actions.GET_METRIC_DATA, asked):
            for result in page.results:
                found[named[result.id]] += _points(result, named[result.id].period_s)
        return {
            query: tuple(
                point
                for point in points
                if point.at <= end_at and point.at - timedelta(seconds=query.period_s) >= start_at
            )
            for query, points in found.items()
        }

    async def describe_alarms(self, names: Sequence[str]) -> Mapping[str, AlarmState]:
        if not names:
            return {}
        asked = {"AlarmNames": list(names), "AlarmTypes": ["MetricAlarm", "CompositeAlarm"]}
        rows = [row async for page in self._pages(actions.DESCRIBE_ALARMS, asked) for row in page.rows]
        return {row.name: AlarmState(row.alarm.value, row.alarm.since) for row in rows}

    async def _pages(self, action: Action[P], asked: Params) -> AsyncIterator[P]:
        token = ""
        while True:
            params = asked | ({"NextToken": token} if token else {})
            page = await call(self._world, self._region, action, params, self._caller)
            yield page
            token = page.next_token
            if not token:
                return


def _metric(name: str, query: MetricQuery) -> dict[str, Any]:
    dimensions = [{"Name": key, "Value": value} for key, value in query.dimensions]
    metric = {"Namespace": query.namespace, "MetricName": query.metric, "Dimensions": dimensions}
    return {"Id": name, "MetricStat": {"Metric": metric, "Period": query.period_s, "Stat": "Average"}}


def _points(result: MetricResult, period_s: int) -> list[Point]:
    return [Point(datetime.fromtimestamp(at_s + period_s, UTC), value) for at_s, value in result.points]
