"""What load rules may say."""

from typing import Any

import pytest

from strata.resources.schema import definitions
from strata.resources.schema.admission import judge_create

LOAD = "spec.capacity.load"
QUERY = {"source": "main", "query": "sum(jobs)"}
QUEUE = {"name": "queue", "prometheus": QUERY, "up": 60, "down": 5}
ALARM = {"name": "backlog", "cloudwatchAlarm": "web-backlog"}
CPU = {"up": {"cpuPercent": 80}, "down": {"cpuPercent": 30}}


def refused(load: Any, maximum: int | None = 8) -> set[str]:
    """The fields that are wrong."""
    document: dict[str, Any] = {
        "apiVersion": "strata.dev/v1alpha1",
        "kind": "Layer",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"capacity": {"always": 1, "max": maximum, "load": load}},
    }
    verdict = judge_create(definitions()["layers"], document)
    assert verdict.unknown == ()
    return {cause.field for cause in verdict.causes}


@pytest.mark.parametrize(
    "load",
    [
        CPU,
        {"up": {"cpuPercent": 80.5, "for": "1m", "cooldown": "6h", "step": 3, "match": "all"}},
        {"signals": [QUEUE, ALARM]},
        {"signals": [{**ALARM, "scales": "down"}]},
        {"signals": [{"name": "latency", "prometheus": QUERY, "up": -0.5, "down": -1}]},
        {"target": {"signal": "cpuPercent", "value": 60}},
        {
            "signals": [{"name": "queue", "prometheus": QUERY}],
            "target": {"signal": "queue", "value": 0.5, "perInstance": True},
        },
    ],
)
def test_it_may_say(load: Any) -> None:
    assert refused(load) == set()


@pytest.mark.parametrize(
    ("load", "field"),
    [
        ({}, LOAD),
        ({"up": {"step": 2}}, LOAD),
        ({"up": {"cpuPercent": 30}, "down": {"cpuPercent": 30}}, f"{LOAD}.down.cpuPercent"),
        ({**CPU, "up": {"cpuPercent": 101}}, f"{LOAD}.up.cpuPercent"),
        ({**CPU, "up": {"cpuPercent": 80, "for": "59s"}}, f"{LOAD}.up.for"),
        ({**CPU, "down": {"cooldown": "7h"}}, f"{LOAD}.down.cooldown"),
        ({**CPU, "down": {"for": "99999999999999d"}}, f"{LOAD}.down.for"),
        ({**CPU, "up": {"cpuPercent": 80, "step": 0}}, f"{LOAD}.up.step"),
        ({**CPU, "up": {"cpuPercent": 80, "match": "most"}}, f"{LOAD}.up.match"),
        ({"signals": [{**QUEUE, "down": 60}]}, f"{LOAD}.signals[0].down"),
        ({"signals": [{**QUEUE, "cloudwatchAlarm": "also"}]}, f"{LOAD}.signals[0]"),
        ({"signals": [{"name": "queue", "up": 1}]}, f"{LOAD}.signals[0]"),
        ({"signals": [{"name": "queue", "prometheus": QUERY}]}, f"{LOAD}.signals[0].up"),
        ({"signals": [{**QUEUE, "scales": "down"}]}, f"{LOAD}.signals[0].scales"),
        ({"signals": [{**ALARM, "up": 5}]}, f"{LOAD}.signals[0]"),
        ({"signals": [{**QUEUE, "name": "cpuPercent"}]}, f"{LOAD}.signals[0].name"),
        ({"signals": [QUEUE, QUEUE]}, f"{LOAD}.signals[1].name"),
        ({"target": {"signal": "queue", "value": 60}}, f"{LOAD}.target.signal"),
        ({"signals": [ALARM], "target": {"signal": "backlog", "value": 60}}, f"{LOAD}.target.signal"),
        ({"target": {"signal": "cpuPercent", "value": 0}}, f"{LOAD}.target.value"),
        ({"target": {"signal": "cpuPercent", "value": 60, "perInstance": True}}, f"{LOAD}.target.perInstance"),
        ({"up": {"cpuPercent": 80}, "target": {"signal": "cpuPercent", "value": 60}}, f"{LOAD}.up.cpuPercent"),
        ({"signals": [ALARM], "target": {"signal": "cpuPercent", "value": 60}}, f"{LOAD}.signals[0].name"),
    ],
)
def test_it_may_not_say(load: Any, field: str) -> None:
    assert refused(load) == {field}


def test_it_needs_a_max() -> None:
    assert refused(CPU, maximum=None) == {"spec.capacity.max"}


def test_what_comes_with_the_agent_is_unknown_yet() -> None:
    document: dict[str, Any] = {"metadata": {"name": "web", "namespace": "shop"}}
    document["spec"] = {"capacity": {"max": 3, "load": {"up": {"cpuPercent": 80, "memoryPercent": 80, "load1": 4}}}}
    unknown = judge_create(definitions()["layers"], document).unknown
    assert {path[-1] for path in unknown} == {"memoryPercent", "load1"}
