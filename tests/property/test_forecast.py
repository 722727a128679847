"""A forecast is what the daemon does: the same planner, fed with the same trace, comes to the same numbers."""

import asyncio
import math
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
import structlog
from tests.kit.acting import hush
from tests.kit.fleet import Fleet, stack_spec
from tests.kit.virtual_time import EPOCH, run_virtual

from strata.planner.forecast.fleet import ModelFleet
from strata.planner.forecast.machines import Assumptions
from strata.planner.forecast.run import Forecaster
from strata.planner.forecast.timeline import Timeline
from strata.planner.forecast.trace import Trace, TraceFeed
from strata.planner.policy import Policy
from strata.resources.instance import Phase
from strata.resources.layer import Layer, LayerSpec
from strata.resources.meta import API_VERSION, ObjectMeta
from strata.resources.signal import Point
from strata.resources.stack import Stack, StackSpec
from strata_sim.witness import live

HOURS = 10
MINUTE = timedelta(minutes=1)
CAPACITY: dict[str, Any] = {
    "always": 2,
    "min": 2,
    "max": 14,
    "schedule": [
        {"name": "office", "instances": 3, "from": "13:00", "to": "18:00", "lead": "10m"},
        {"name": "evening", "instances": 1, "timeZone": "Asia/Kolkata", "cron": "30 1 * * *", "duration": "90m"},
    ],
    "load": {
        "up": {"for": "4m", "cooldown": "5m"},
        "down": {"for": "6m", "cooldown": "8m"},
        "signals": [
            {"name": "share", "prometheus": {"source": "main", "query": "share"}, "up": 70, "down": 30},
            {"name": "queue", "prometheus": {"source": "main", "query": "queue"}, "up": 60, "down": 20},
        ],
    },
}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    hush()
    yield
    structlog.reset_defaults()


def wave(seed: int, mean: float, amplitude: float, noise: float, minutes: int) -> tuple[Point, ...]:
    """A number a minute."""
    rng = random.Random(seed)
    values = (
        max(0.0, mean + amplitude * math.sin(2 * math.pi * minute / 287) + rng.uniform(-noise, noise))
        for minute in range(minutes)
    )
    return tuple(Point(EPOCH + at * MINUTE, value) for at, value in enumerate(values))


@dataclass
class Scraped:
    """A Prometheus that knows the trace, and each minute has every machine's share of the total."""

    totals: Mapping[datetime, float]
    queue: Mapping[datetime, float]
    shares: dict[datetime, float] = field(default_factory=dict)

    async def query_range(self, query: str, *, start_at: datetime, end_at: datetime, step_s: int) -> tuple[Point, ...]:
        assert step_s == 60
        known = self.queue if query == "queue" else self.shares
        return tuple(Point(at, value) for at, value in sorted(known.items()) if start_at <= at <= end_at)

    async def scrape(self, fleet: Fleet) -> None:
        while True:
            members = await fleet.instances("shop")
            serving = sum(
                one.status.phase == Phase.ONLINE and one.status.leave is None and not one.metadata.deleting
                for one in members
            )
            now = fleet.clock.now()
            if serving and now in self.totals:
                self.shares[now] = self.totals[now] / serving
            await asyncio.sleep(60)


@dataclass
class Seen:
    """The daemon's numbers: each new desired with its minute, the load's decisions, and the machines' time."""

    desired: list[tuple[datetime, int]] = field(default_factory=list)
    decisions: list[tuple[datetime, int]] = field(default_factory=list)
    machine_time: timedelta = timedelta()
    boot: timedelta = timedelta()


def on_the_minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


async def by_the_daemon(totals: tuple[Point, ...], queue: tuple[Point, ...], spec: dict[str, Any]) -> Seen:
    fleet, seen = Fleet(), Seen()
    source = Scraped(dict(totals), dict(queue))
    fleet.prometheus["main"] = source
    fleet.start()
    await fleet.person.stack("shop")
    await fleet.person.layer("shop", "web", 0, **spec)
    last_sample = None
    async with asyncio.TaskGroup() as tasks:
        scraping = tasks.create_task(source.scrape(fleet))
        while fleet.clock.now() < EPOCH + timedelta(hours=HOURS):
            status = (await fleet.get_layer("shop", "web")).status
            now = fleet.clock.now()
            if status.observed_generation and (not seen.desired or seen.desired[-1][1] != status.desired):
                seen.desired.append((on_the_minute(now), status.desired))
            if status.load.sample is not None and status.load.sample != last_sample:
                last_sample = status.load.sample
                seen.decisions.append((on_the_minute(now), last_sample.change))
            if not seen.boot and status.instances.get("online") == status.desired:
                seen.boot = now - EPOCH
            running = sum(machine.view.state in {"pending", "running"} for machine in live(fleet.world))
            seen.machine_time += timedelta(seconds=2) * running
            await asyncio.sleep(2)
        scraping.cancel()
    await fleet.close()
    return seen


def by_the_forecast(
    totals: tuple[Point, ...], queue: tuple[Point, ...], spec: dict[str, Any], boot: timedelta, *, hours: int = HOURS
) -> Timeline:
    stack = Stack(
        api_version=API_VERSION,
        kind="Stack",
        metadata=ObjectMeta(name="shop"),
        spec=msgspec.convert(stack_spec(), StackSpec),
    )
    layer = Layer(
        api_version=API_VERSION,
        kind="Layer",
        metadata=ObjectMeta(name="web", namespace="shop"),
        spec=msgspec.convert(spec, LayerSpec),
    )
    traces = {"share": Trace(totals, 60, "total"), "queue": Trace(queue, 60)}
    feed = TraceFeed(layer.spec.capacity.load, traces, lag=timedelta(seconds=5))
    fleet = ModelFleet(stack, layer, Assumptions(boot=boot, warm_boot=boot))
    return Forecaster(fleet, feed, Policy(cluster_id="test")).run(EPOCH, EPOCH + timedelta(hours=hours))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scale_in", "shutdown"),
    [("terminate", {"drain": False}), ("terminate", {"timeout": "90s"}), ("stop", {"timeout": "30s"})],
    ids=["at-once", "drained", "warm"],
)
def test_a_replay_comes_to_the_numbers_of_the_daemon(scale_in: str, shutdown: dict[str, Any]) -> None:
    totals = wave(1, 330, 260, 25, HOURS * 60)
    queue = wave(2, 45, 35, 6, HOURS * 60)
    spec = {"capacity": CAPACITY | {"scaleIn": scale_in}, "shutdown": shutdown}
    seen = run_virtual(by_the_daemon(totals, queue, spec))
    timeline = by_the_forecast(totals, queue, spec, seen.boot)

    desired = [(on_the_minute(moment.at), moment.desired) for moment in timeline.moments]
    changes = [one for at, one in enumerate(desired) if at == 0 or desired[at - 1][1] != one[1]]
    assert changes == seen.desired
    assert [(on_the_minute(one.at), one.change) for one in timeline.decisions] == seen.decisions
    assert len(seen.decisions) > 12  # it is a trace with something to decide
    assert timeline.running_for() == pytest.approx(seen.machine_time, rel=0.01)


def test_four_weeks_of_two_signals_a_minute_cost_little() -> None:
    """The planner is asked where something changes, not for each number."""
    minutes = 28 * 1440
    rng = random.Random(3)
    daily = [math.sin(2 * math.pi * (minute - 600) / 1440) for minute in range(minutes)]
    totals = tuple(Point(EPOCH + at * MINUTE, 350 + 300 * day + rng.uniform(0, 60)) for at, day in enumerate(daily))
    queue = tuple(
        Point(EPOCH + at * MINUTE, max(0, 30 + 40 * day + rng.uniform(0, 30))) for at, day in enumerate(daily)
    )
    spec = {"capacity": CAPACITY, "shutdown": {"timeout": "90s"}}
    began_s = time.process_time()
    timeline = by_the_forecast(totals, queue, spec, timedelta(minutes=2), hours=28 * 24)
    print(f"four weeks: {time.process_time() - began_s:.2f} s of CPU, {timeline.passes} plans")  # noqa: T201 - a measurement
    assert len(timeline.decisions) > 100
    assert timeline.passes < 25 * len(timeline.decisions) + 1_000
    assert timeline.moments[-1].at > EPOCH + timedelta(days=26)
