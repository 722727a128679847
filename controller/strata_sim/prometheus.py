"""What a Prometheus sees of the simulated world: /metrics to scrape, and, where none runs, a query_range of its own.

The second answers selectors and sums of selectors over the metrics of the first, and refuses every other query with
Prometheus's own words, so that nobody takes it for one.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from strata_sim.load import LayerLoad, Tick
from strata_sim.world import World

_METRICS: Final[Mapping[str, tuple[str, Callable[[Tick], float]]]] = {
    "strata_sim_load_percent": ("Load of a layer, in percent of one machine", lambda tick: tick.total),
    "strata_sim_cpu_percent": ("CPU of each running machine of a layer", lambda tick: tick.cpu_percent),
    "strata_sim_machines_running": ("Running machines of a layer", lambda tick: tick.running),
    "strata_sim_queue_length": ("Jobs that wait for the machines of a layer", lambda tick: tick.queue),
}
_LABELS: Final = ("region", "stack", "layer")
_LOOKBACK_S: Final = 300  # Prometheus's own
_MAX_POINTS: Final = 11_000  # likewise
_SELECTOR: Final = re.compile(r"\s*(?P<sum>sum\s*\()?\s*(?P<name>\w+)\s*(?:\{(?P<labels>[^{}]*)\})?\s*(?P<end>\))?\s*")
_MATCHER: Final = re.compile(r"""\s*(\w+)\s*=\s*(?:"([^"\\]*)"|'([^'\\]*)')\s*""")


class QueryError(ValueError):
    """The query is one that only a real Prometheus answers, or none at all."""


class Query(NamedTuple):
    metric: str
    labels: Mapping[str, str]
    summed: bool


class Range(NamedTuple):
    start_s: float
    end_s: float
    step_s: float


class Prometheus:
    """One world's, as routes."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def routes(self) -> list[Route]:
        return [
            Route("/metrics", self._scrape, methods=["GET"]),
            Route("/api/v1/query_range", self._query_range, methods=["GET", "POST"]),
        ]

    def collect(self) -> Iterator[Metric]:
        """The newest of everything, for prometheus_client's registry."""
        series = list(self._series())
        for name, (text, value) in _METRICS.items():
            family = GaugeMetricFamily(name, text, labels=_LABELS)
            for labels, load in series:
                if load.ticks:
                    family.add_metric([labels[label] for label in _LABELS], value(load.ticks[-1]))
            yield family

    def _series(self) -> Iterator[tuple[dict[str, str], LayerLoad]]:
        for region in self._world.regions:
            for key, load in region.telemetry.loads.items():
                yield {"region": region.spec.name, "stack": key.stack, "layer": key.layer}, load

    async def _scrape(self, _request: Request) -> Response:
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)

    async def _query_range(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode())) | dict(request.query_params)
        try:
            result = self._matrix(parse_query(form.get("query", "")), _range(form))
        except QueryError as error:
            return _json({"status": "error", "errorType": "bad_data", "error": str(error)}, 400)
        return _json({"status": "success", "data": {"resultType": "matrix", "result": result}})

    def _matrix(self, query: Query, asked: Range) -> list[dict[str, Any]]:
        value = _METRICS[query.metric][1]
        found = [
            (labels, _values(load, value, asked))
            for labels, load in self._series()
            if all(labels.get(name, "") == wanted for name, wanted in query.labels.items())
        ]
        found = [(labels, values) for labels, values in found if values]
        if query.summed and found:
            total: dict[float, float] = {}
            for _, values in found:
                for at_s, number in values.items():
                    total[at_s] = total.get(at_s, 0.0) + number
            return [{"metric": {}, "values": _pairs(total)}]
        return [{"metric": {"__name__": query.metric} | labels, "values": _pairs(values)} for labels, values in found]


def parse_query(text: str) -> Query:
    """Raises QueryError."""
    found = _SELECTOR.fullmatch(text)
    if found is None or bool(found["sum"]) != bool(found["end"]):
        raise QueryError(f'the simulator answers metric{{label="value"}} and sum(…) of it only, not: {text}')
    if found["name"] not in _METRICS:
        raise QueryError(f"the simulator has no metric {found['name']}; it has {', '.join(_METRICS)}")
    labels = {}
    for part in filter(str.strip, (found["labels"] or "").split(",")):
        matcher = _MATCHER.fullmatch(part)
        if matcher is None:
            raise QueryError(f'the simulator answers label="value" only, not: {part.strip()}')
        labels[matcher[1]] = matcher[2] if matcher[2] is not None else matcher[3]
    return Query(found["name"], labels, bool(found["sum"]))


def _range(form: Mapping[str, str]) -> Range:
    try:
        asked = Range(float(form["start"]), float(form["end"]), float(form["step"]))
    except (KeyError, ValueError) as error:
        raise QueryError(f"start, end and step are Unix seconds: {error}") from None
    if not all(map(math.isfinite, asked)) or asked.step_s <= 0 or asked.end_s < asked.start_s:
        raise QueryError("zero or negative query resolution step widths or times are not accepted")
    if (asked.end_s - asked.start_s) / asked.step_s > _MAX_POINTS:
        raise QueryError(f"exceeded maximum resolution of {_MAX_POINTS:,} points per timeseries")
    return asked


def _values(load: LayerLoad, value: Callable[[Tick], float], asked: Range) -> dict[float, float]:
    """The newest value at each moment, if it is not too old."""
    values = {}
    for number in range(int((asked.end_s - asked.start_s) / asked.step_s) + 1):
        at_s = asked.start_s + number * asked.step_s
        tick = load.tick_at(at_s)
        if tick is not None and at_s - tick.at_s < _LOOKBACK_S:
            values[at_s] = value(tick)
    return values


def _pairs(values: Mapping[float, float]) -> list[tuple[float, str]]:
    return [(at_s, repr(number)) for at_s, number in sorted(values.items())]


def _json(content: Mapping[str, Any], status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")
