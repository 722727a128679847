"""A layer's number follows its load, through all of Strata: CloudWatch, Prometheus, failovers, sources that fail."""

import asyncio
import math
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
import structlog
from tests.kit.acting import Act, hush, passes, until, virtually
from tests.kit.prometheus import FakePrometheus
from tests.kit.rare_stories import stack
from tests.kit.stories import LAYER, STACK, online

from strata.errors import SignalError
from strata.resources import kinds
from strata.resources.codec import decode
from strata.resources.event import Event
from strata.resources.meta import Condition, find_condition
from strata_sim.faults import Fault
from strata_sim.load import LayerKey, Load

HOUR_S = 3600.0
KEY = LayerKey(STACK, LAYER)
# Two minutes of one-minute numbers decide, in either direction.
QUICK = {"for": "2m", "cooldown": "1m"}
BY_CPU = {"up": {"cpuPercent": 80, **QUICK}, "down": {"cpuPercent": 30, **QUICK}}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    hush()
    yield
    structlog.reset_defaults()


def capacity(load: dict[str, Any], always: int = 2, high: int = 6) -> dict[str, Any]:
    return {"capacity": {"always": always, "max": high, "load": load}, "instance": {"detailedMonitoring": True}}


async def layer(act: Act, load: dict[str, Any], **numbers: int) -> None:
    await act.fleet.person.apply(kinds.LAYER, LAYER, capacity(load, **numbers), STACK)
    await act.fleet.online(STACK, 2)


def queue(name: str = "queue", source: str = "main", up: float = 60, down: float = 5) -> dict[str, Any]:
    return {"name": name, "prometheus": {"source": source, "query": name}, "up": up, "down": down}


def works(act: Act, percent: float) -> None:
    """Let so much work come, in percent of one machine."""
    act.fleet.controls.load(KEY, Load(mean=percent))


async def desired(act: Act) -> int:
    return (await act.fleet.get_layer(STACK, LAYER)).status.desired


async def scaling(act: Act) -> Condition:
    condition = find_condition((await act.fleet.get_layer(STACK, LAYER)).status.conditions, "ScalingActive")
    assert condition is not None
    return condition


async def events(act: Act, reason: str) -> list[str]:
    found = [decode(Event, kv.value) for kv in (await act.fleet.store.list(kinds.EVENTS)).items]
    return [event.message for event in found if event.reason == reason]


@virtually()
async def test_machines_come_and_go_with_the_cpu(act: Act) -> None:
    await stack(act)
    works(act, 100)
    await layer(act, BY_CPU)
    await passes(act, 600)
    assert await desired(act) == 2

    works(act, 300)  # 100 percent of two and of three, 75 of four
    await until(act, lambda: online(act, 4), within_s=1800)
    await passes(act, 1800)
    status = (await act.fleet.get_layer(STACK, LAYER)).status
    assert (status.desired, status.load.extra) == (4, 2)
    assert {one.rule: one.instances for one in status.because} == {"always": 2, "load": 2}
    assert status.load.sample is not None
    assert status.load.sample.message.startswith("cpuPercent ")
    assert status.load.sample.message.endswith(">= 80 for 2m: adds 1")
    assert len(await events(act, "LoadHigh")) == 2
    assert (await scaling(act)).status == "True"

    works(act, 40)
    await until(act, lambda: online(act, 2), within_s=3600)
    assert len(await events(act, "LoadLow")) == 2
    await passes(act, HOUR_S)
    assert await desired(act) == 2


@virtually()
async def test_nothing_is_removed_while_cloudwatch_cannot_be_read(act: Act) -> None:
    await stack(act)
    works(act, 300)
    await layer(act, BY_CPU)
    await until(act, lambda: online(act, 4), within_s=1800)
    refused = Fault("refuse", code="AccessDenied", actions=frozenset({"GetMetricData"}), count=None)
    act.fleet.controls.fault(refused)
    works(act, 10)
    await passes(act, HOUR_S)
    assert await desired(act) == 4
    condition = await scaling(act)
    assert (condition.status, condition.reason) == ("Unknown", "Unauthorized")
    assert condition.message.startswith("cpuPercent: ")
    act.fleet.controls.clear_faults()
    await until(act, lambda: online(act, 2), within_s=1800)
    assert (await scaling(act)).status == "True"


@virtually()
async def test_a_source_that_hangs_or_fails_holds_up_only_its_own_signals(act: Act) -> None:
    hangs, fails, works_well = FakePrometheus(takes_s=math.inf), FakePrometheus(), FakePrometheus()
    fails.failure = SignalError("Unreachable", "no connection")
    works_well.values = {"good": lambda _: 99.0}
    act.fleet.prometheus.update({"hangs": hangs, "fails": fails, "main": works_well})
    await stack(act)
    rules = {"up": QUICK, "signals": [queue("good"), queue("bad", "fails"), queue("none", "nowhere")]}
    await act.fleet.person.apply(kinds.LAYER, LAYER, capacity(rules), STACK)
    other = capacity({"signals": [queue("silent", "hangs")]}, always=0)
    await act.fleet.person.apply(kinds.LAYER, "other", other, STACK)
    await until(act, lambda: _wants(act, 6), within_s=1800)
    condition = await scaling(act)
    assert (condition.status, condition.reason) == ("Unknown", "Unreachable")
    assert "bad: no connection" in condition.message
    assert "none: the daemon's settings have no Prometheus named nowhere" in condition.message
    assert hangs.calls == 1


async def _wants(act: Act, count: int) -> bool:
    return await desired(act) == count


@virtually()
async def test_alarms_add_and_remove(act: Act) -> None:
    await stack(act)
    act.fleet.controls.alarm("backlog", "OK")
    alarm = {"name": "backlog", "cloudwatchAlarm": "backlog"}
    await layer(act, {"up": {**QUICK, "step": 4}, "down": {**QUICK, "step": 4}, "signals": [alarm]})
    act.fleet.controls.alarm("backlog", "ALARM")
    await until(act, lambda: online(act, 6), within_s=600)
    act.fleet.controls.alarm("backlog", "INSUFFICIENT_DATA")
    await passes(act, HOUR_S / 2)
    assert await desired(act) == 6
    assert (await scaling(act)).reason == "InsufficientData"
    act.fleet.controls.alarm("backlog", "OK")
    await until(act, lambda: online(act, 2), within_s=600)


@virtually()
async def test_an_alarm_that_does_not_exist_is_named(act: Act) -> None:
    await stack(act)
    await layer(act, {"signals": [{"name": "backlog", "cloudwatchAlarm": "nowhere"}]})
    await passes(act, 120)
    condition = await scaling(act)
    assert (condition.reason, condition.message) == ("AlarmNotFound", "backlog: there is no alarm nowhere")


@virtually()
async def test_a_failover_in_the_middle_of_a_window_decides_as_if_there_had_been_none(act: Act) -> None:
    """The leader dies a minute before it would have acted; the next one acts at that time, and only once."""
    began = act.fleet.clock.now()
    source = FakePrometheus({"queue": lambda at: 99.0 if _minutes(began, at) >= 10 else 20.0})
    act.fleet.prometheus["main"] = source
    await stack(act)
    rules = {"up": {"for": "10m", "cooldown": "30m"}, "signals": [queue()]}
    await layer(act, rules)
    act.processes.start("b")
    await passes(act, 18 * 60 + 30)
    assert await desired(act) == 2
    act.processes.kill("a")
    await until(act, lambda: _wants(act, 3), within_s=4 * 60)
    status = (await act.fleet.get_layer(STACK, LAYER)).status
    assert status.load.last_up_at is not None
    assert 19 <= _minutes(began, status.load.last_up_at) <= 22
    await passes(act, 1200)
    assert await desired(act) == 3


def _minutes(began: datetime, at: datetime) -> float:
    return (at - began).total_seconds() / 60


@virtually()
async def test_a_minute_in_which_nothing_happens_costs_no_pass_and_no_write(act: Act) -> None:
    act.fleet.prometheus["main"] = FakePrometheus({"queue": lambda at: 20.0 + at.minute % 7})
    await stack(act)
    works(act, 100)
    await layer(act, BY_CPU | {"signals": [queue()]})
    await passes(act, 600)
    before, passed = act.laws.writes, _passes(act)
    await passes(act, HOUR_S)
    assert act.laws.writes == before
    resyncs = HOUR_S / act.fleet.settings.resync_s
    assert _passes(act) - passed <= resyncs + 2


def _passes(act: Act) -> float:
    daemon = act.fleet.daemons["a"]
    return daemon.metrics.registry.get_sample_value("strata_pass_duration_seconds_count", {"kind": "Layer"}) or 0.0


@virtually()
async def test_a_paused_stack_decides_nothing(act: Act) -> None:
    await stack(act)
    works(act, 300)
    await layer(act, BY_CPU)
    await act.fleet.person.stack(STACK, paused=True)
    await passes(act, 1200)
    status = (await act.fleet.get_layer(STACK, LAYER)).status
    assert (status.desired, status.load.last_up_at) == (2, None)
    condition = await scaling(act)
    assert (condition.status, condition.reason) == ("False", "Paused")


@virtually()
async def test_taking_the_rules_away_takes_their_machines_away(act: Act) -> None:
    await stack(act)
    works(act, 300)
    await layer(act, BY_CPU)
    await until(act, lambda: online(act, 4), within_s=1800)
    await act.fleet.person.layer(STACK, LAYER, 2, instance={"detailedMonitoring": True})
    await until(act, lambda: online(act, 2), within_s=600)
    status = (await act.fleet.get_layer(STACK, LAYER)).status
    assert status.load.extra == 0
    assert find_condition(status.conditions, "ScalingActive") is None


@virtually()
async def test_what_is_read_and_decided_is_in_the_metrics(act: Act) -> None:
    await stack(act)
    works(act, 300)
    await layer(act, BY_CPU | {"signals": [queue("none", "nowhere")]})
    await until(act, lambda: online(act, 4), within_s=1800)
    await asyncio.sleep(300)
    sample = act.fleet.daemons["a"].metrics.registry.get_sample_value
    labels = {"stack": STACK, "layer": LAYER}
    cpu = sample("strata_layer_signal", labels | {"signal": "cpuPercent"})
    assert cpu is not None
    assert 70 < cpu < 80
    assert sample("strata_layer_signal_known", labels | {"signal": "none"}) == 0
    assert sample("strata_layer_load_extra", labels) == 2
    moved = labels | {"direction": "up", "signal": "cpuPercent"}
    assert sample("strata_layer_load_decisions_total", moved) == 2
