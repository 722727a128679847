"""How a layer's number follows its load, as people write it, and what was decided last."""

from datetime import datetime
from typing import Literal

import msgspec

from strata.resources.meta import Record

CPU_PERCENT = "cpuPercent"  # the signal that every layer has: CPUUtilization, averaged over its members
Match = Literal["any", "all"]


class UpRule(Record, frozen=True, kw_only=True):
    """When instances are added. Durations as text (`5m`)."""

    cpu_percent: float | None = None
    for_: str = msgspec.field(default="5m", name="for")
    cooldown: str = "5m"
    step: int = 1
    match: Match = "any"


class DownRule(Record, frozen=True, kw_only=True):
    """When instances are removed; by default more slowly than they are added, and only if all signals agree."""

    cpu_percent: float | None = None
    for_: str = msgspec.field(default="10m", name="for")
    cooldown: str = "10m"
    step: int = 1
    match: Match = "all"


class PrometheusQuery(Record, frozen=True, kw_only=True):
    """A query that comes to one number, to the source of this name in the daemon's settings."""

    source: str
    query: str


class Signal(Record, frozen=True, kw_only=True):
    """One more input of the rules, from exactly one source. `up` and `down` are its thresholds. An alarm has none: it
    is in ALARM or in OK; `scales` says in which direction ALARM points."""

    name: str
    prometheus: PrometheusQuery | None = None
    cloudwatch_alarm: str | None = None
    scales: Literal["up", "down"] = "up"
    up: float | None = None
    down: float | None = None


class Target(Record, frozen=True, kw_only=True):
    """The value that a signal is held at; with `per_instance` its value for each instance."""

    signal: str
    value: float
    per_instance: bool = False


class Load(Record, frozen=True, kw_only=True):
    """Thresholds, or a target in their place."""

    up: UpRule = UpRule()
    down: DownRule = DownRule()
    signals: tuple[Signal, ...] = ()
    target: Target | None = None


class SampleValue(Record, frozen=True, kw_only=True):
    """One signal's part in a decision: of all points of the window the one nearest to `threshold`. An alarm has
    neither number."""

    signal: str
    value: float | None = None
    threshold: float | None = None


class LoadSample(Record, frozen=True, kw_only=True):
    """What justified a decision: `change` instances, by what was known until `at`."""

    at: datetime
    change: int
    message: str
    values: tuple[SampleValue, ...] = ()


class LoadStatus(Record, frozen=True, kw_only=True):
    """All that a decision needs besides what the sources say themselves. `sample` justified the last one."""

    extra: int = 0
    last_up_at: datetime | None = None
    last_down_at: datetime | None = None
    sample: LoadSample | None = None
