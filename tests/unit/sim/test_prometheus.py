"""What a Prometheus can scrape of the world, and the few queries that the simulator answers itself."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
import urllib3
from prometheus_client.parser import text_string_to_metric_families
from tests.unit.sim.kit import REGION, HandClock

from strata.clock import SystemClock
from strata.errors import SignalError
from strata.resources.signal import Point
from strata.signals.prometheus import HttpPrometheus
from strata.signals.settings import PrometheusSettings
from strata_sim.controls import Controls
from strata_sim.http import serving
from strata_sim.load import LayerKey, Load
from strata_sim.prometheus import Query, QueryError, parse_query
from strata_sim.world import World


@dataclass
class Scene:
    url: str
    clock: HandClock
    source: HttpPrometheus

    async def ask(self, query: str, minutes: int = 5) -> tuple[Point, ...]:
        now = self.clock.now()
        return await self.source.query_range(query, start_at=now - timedelta(minutes=minutes), end_at=now, step_s=60)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    """Two layers without machines, whose queues have grown for ten minutes."""
    clock = HandClock()
    world = World(clock, random.Random(1))
    controls = Controls(world, REGION)
    controls.load(LayerKey("shop", "web"), Load(mean=100))
    controls.load(LayerKey("shop", "workers"), Load(mean=200))
    clock.advance(600)
    async with serving(world) as url:
        source = HttpPrometheus("sim", PrometheusSettings(url=url), SystemClock())
        yield Scene(url, clock, source)
        source.close()


async def test_a_series_has_a_value_at_every_step(scene: Scene) -> None:
    points = await scene.ask('strata_sim_queue_length{stack="shop",layer="workers"}')
    now = scene.clock.now()
    assert points == tuple(Point(now - timedelta(minutes=5 - n), 600.0 + 120 * n) for n in range(6))


async def test_a_sum_is_one_series_and_so_what_a_signal_needs(scene: Scene) -> None:
    with pytest.raises(SignalError, match=r"^SeveralSeries: .*sum\(…\)"):
        await scene.ask("strata_sim_queue_length")
    assert (await scene.ask("sum(strata_sim_queue_length)"))[-1].value == 1800


async def test_nothing_is_answered_of_what_is_not_there_and_of_times_before(scene: Scene) -> None:
    assert await scene.ask('strata_sim_queue_length{layer="none"}') == ()
    assert len(await scene.ask('strata_sim_queue_length{layer="web"}', minutes=60)) == 10


async def test_what_only_a_prometheus_can_answer_is_refused_in_its_words(scene: Scene) -> None:
    with pytest.raises(SignalError, match=r"^QueryRefused: sim refuses the query: the simulator answers metric"):
        await scene.ask("rate(strata_sim_queue_length[5m])")


async def test_a_prometheus_can_scrape_all_of_it(scene: Scene) -> None:
    answer = await asyncio.to_thread(urllib3.request, "GET", f"{scene.url}/metrics")
    found = {
        (sample.name, sample.labels["layer"]): sample.value
        for family in text_string_to_metric_families(answer.data.decode())
        for sample in family.samples
    }
    assert found["strata_sim_queue_length", "workers"] == 1200
    assert found["strata_sim_load_percent", "web"] == 100
    assert found["strata_sim_machines_running", "web"] == 0


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("strata_sim_cpu_percent", Query("strata_sim_cpu_percent", {}, summed=False)),
        (" sum ( strata_sim_cpu_percent ) ", Query("strata_sim_cpu_percent", {}, summed=True)),
        (
            "strata_sim_cpu_percent{ layer = 'a' , stack=\"b\",}",
            Query("strata_sim_cpu_percent", {"layer": "a", "stack": "b"}, summed=False),
        ),
    ],
)
def test_selectors_and_sums_are_read(text: str, query: Query) -> None:
    assert parse_query(text) == query


@pytest.mark.parametrize(
    "text",
    [
        "",
        "up",
        "sum(strata_sim_cpu_percent",
        "strata_sim_cpu_percent)",
        'strata_sim_cpu_percent{layer=~"w.*"}',
        'strata_sim_cpu_percent{layer!="w"}',
        "strata_sim_cpu_percent > 5",
        "avg(strata_sim_cpu_percent)",
    ],
)
def test_everything_else_is_refused_rather_than_taken_for_something_near(text: str) -> None:
    with pytest.raises(QueryError):
        parse_query(text)
