"""What `--signal` names, as traces: from CSV files or from a Prometheus.

[LAYER/]NAME=[total:]FILE.csv
[LAYER/]NAME=[total:]prometheus:QUERY[@URL]
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from pathlib import Path
from statistics import fmean, median
from typing import Literal

from strata.cli.failures import CliFailure
from strata.clock import SystemClock
from strata.errors import SignalError
from strata.planner.forecast.trace import Trace
from strata.resources.layer import Layer
from strata.resources.signal import Point
from strata.signals.prometheus import HttpPrometheus
from strata.signals.settings import PrometheusSettings
from strata.simulate.csv_file import read_points

_MINUTE_S = 60
_POINTS_A_CALL = 10_000  # Prometheus answers with 11,000 at most
_PROMETHEUS, _TOTAL = "prometheus:", "total:"
_SCHEMES = ("http://", "https://")


@dataclass(frozen=True, slots=True)
class SignalOption:
    """One `--signal`. `layer` "": of every layer that has a rule for it."""

    layer: str
    name: str
    source: str
    total: bool


@dataclass(frozen=True, slots=True)
class Recorded:
    """The points behind one option."""

    option: SignalOption
    points: tuple[Point, ...]

    def of(self, layer: Layer) -> bool:
        return self.option.layer in ("", layer.metadata.name)


def parse_signal(text: str) -> SignalOption:
    """Raises ValueError with what is expected."""
    name, equals, source = text.partition("=")
    layer, _, name = name.rpartition("/")
    total = source.startswith(_TOTAL)
    source = source.removeprefix(_TOTAL)
    if not equals or not name or not source.removeprefix(_PROMETHEUS):
        raise ValueError(f"{text!r} is not of the form NAME=FILE.csv or NAME=prometheus:QUERY")
    return SignalOption(layer, name, source, total)


def record(
    options: Iterable[SignalOption], *, start: datetime | None, end: datetime | None, url: str
) -> list[Recorded]:
    """Read every source. Raises CliFailure."""
    return [Recorded(option, _read(option, start, end, url)) for option in options]


def traces_of(layer: Layer, recorded: Iterable[Recorded]) -> dict[str, Trace]:
    """The traces of this layer's signals, by name; one for this layer alone goes before one for all."""
    load = layer.spec.capacity.load
    alarms = {one.name for one in load.signals if one.cloudwatch_alarm is not None} if load else set()
    chosen = sorted((one for one in recorded if one.of(layer)), key=lambda one: bool(one.option.layer))
    return {one.option.name: _trace(one, is_alarm=one.option.name in alarms) for one in chosen}


def _read(option: SignalOption, start: datetime | None, end: datetime | None, url: str) -> tuple[Point, ...]:
    if not option.source.startswith(_PROMETHEUS):
        return read_points(Path(option.source))
    if start is None or end is None:
        raise CliFailure(f"--signal {option.name}: a query needs --from and --to")
    query, at, other = option.source.removeprefix(_PROMETHEUS).rpartition("@")
    if not other.startswith(_SCHEMES):  # the @ is PromQL's own, or there is none
        query, other = f"{query}{at}{other}", url
    try:
        points = asyncio.run(_query(query, other, start, end))
    except (SignalError, ValueError) as error:
        raise CliFailure(f"--signal {option.name}: {error}") from error
    if not points:
        raise CliFailure(f"--signal {option.name}: {other} has no numbers for {query} in this time")
    return points


async def _query(query: str, url: str, start: datetime, end: datetime) -> tuple[Point, ...]:
    prometheus = HttpPrometheus("Prometheus", PrometheusSettings(url=url), SystemClock())
    step = timedelta(seconds=_MINUTE_S)
    points: list[Point] = []
    try:
        begin = start
        while begin <= end:
            until = min(end, begin + (_POINTS_A_CALL - 1) * step)
            points += await prometheus.query_range(query, start_at=begin, end_at=until, step_s=_MINUTE_S)
            begin = until + step
    finally:
        prometheus.close()
    return tuple(points)


def _trace(recorded: Recorded, *, is_alarm: bool) -> Trace:
    kind: Literal["value", "total", "alarm"] = "alarm" if is_alarm else "total" if recorded.option.total else "value"
    points = recorded.points
    period_s = _period_s(points)
    if period_s < _MINUTE_S and not is_alarm:
        points, period_s = _by_minute(points), _MINUTE_S
    return Trace(points, max(1, period_s), kind)


def _period_s(points: tuple[Point, ...]) -> int:
    """The usual time between two points."""
    gaps = [(after.at - before.at).total_seconds() for before, after in pairwise(points)]
    return round(median(gaps)) if gaps else _MINUTE_S


def _by_minute(points: tuple[Point, ...]) -> tuple[Point, ...]:
    """The mean of each minute, known at its end: the rules are asked no more often."""
    grouped = groupby(points, key=lambda point: -(-point.at.timestamp() // _MINUTE_S))
    averaged = []
    for _, group in grouped:
        within = list(group)
        end = within[0].at + timedelta(seconds=-within[0].at.timestamp() % _MINUTE_S)
        averaged.append(Point(end, fmean(point.value for point in within)))
    return tuple(averaged)


def span_of(recorded: Iterable[Recorded]) -> tuple[datetime, datetime] | None:
    """From the first point to the last of all; None without any."""
    times = [at for one in recorded for at in (one.points[0].at, one.points[-1].at)]
    return (min(times), max(times)) if times else None


def unused(recorded: Iterable[Recorded], used: Mapping[str, set[str]]) -> list[str]:
    """Names that no layer has a rule for: `used` has each layer's signals."""
    return [
        one.option.name
        for one in recorded
        if not any(one.option.name in names and one.option.layer in ("", layer) for layer, names in used.items())
    ]
