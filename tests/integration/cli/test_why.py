"""What strata why says of rules, rollouts, spot machines and slots that go; the status is written by the tests."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.integration.cli.conftest import Shell
from tests.integration.cli.served import Served

from strata.clock import SystemClock

Json = dict[str, Any]

_SPEC = {"region": "us-east-1", "vpcId": "vpc-0", "subnets": [{"id": "subnet-0a", "zone": "us-east-1a"}]}
_DAY = {"name": "day", "timeZone": "America/New_York", "from": "08:00", "to": "20:00", "instances": 2}
_WEB, _SLOT = "namespaces/todo/layers/web", "namespaces/todo/instances/web-1"
_MACHINE = {"instanceId": "i-1", "type": "t3.small", "zone": "us-east-1a", "state": "running"}


@pytest.fixture
def todo(served: Served, strata: Shell) -> Served:
    strata.environment["STRATA_NAMESPACE"] = "todo"
    served.create("Stack", "stacks", "todo", _SPEC)
    served.create("Layer", "layers", "web", {"capacity": {"always": 1, "max": 6}}, namespace="todo")
    served.create_slot("todo", "web-1", "web")
    return served


def _ago(**span: float) -> str:
    return f"{_moment() - timedelta(**span):%Y-%m-%dT%H:%M:%SZ}"


def _moment() -> datetime:
    return SystemClock().now()


def test_times_of_windows_are_those_of_their_own_zones(todo: Served, strata: Shell) -> None:
    todo.patch(_WEB, {"spec": {"capacity": {"schedule": [_DAY]}}})
    because = [
        {"rule": "always", "instances": 1},
        {"rule": "schedule/day", "instances": 2, "until": "2026-11-24T01:00:00Z"},
    ]
    change = {"at": "2026-11-24T01:00:00Z", "rule": "schedule/day", "desired": 1}
    todo.set_status(_WEB, observedGeneration=2, desired=3, because=because, nextChange=change)
    told = strata.ok("why", "layer/web")
    assert "layer/web wants 3 = 1 always + 2 schedule/day until 2026-11-23T20:00:00-05:00\n" in told
    assert "by the clock it wants 1 from 2026-11-23T20:00:00-05:00 on (schedule/day)\n" in told
    assert " 1 from 2026-11-23T20:00:00-05:00 on (schedule/day)\n" in strata.ok("describe", "layer", "web")


def test_a_cooldown_is_told_while_it_lasts(todo: Served, strata: Shell) -> None:
    load = {"up": {"cpuPercent": 80, "cooldown": "10m"}, "down": {"cpuPercent": 30, "cooldown": "20m"}}
    todo.patch(_WEB, {"spec": {"capacity": {"load": load}}})
    todo.set_status(_WEB, observedGeneration=2, load={"extra": 1, "lastUpAt": _ago(minutes=15)})
    told = strata.ok("why", "layer/web")
    until = _moment() + timedelta(minutes=5)
    assert f"by load it removes none until {until:%Y-%m-%dT%H:}" in told
    assert "adds none until" not in told


def _scaling(reason: str, message: str) -> Json:
    said = {"type": "ScalingActive", "status": "True", "reason": reason, "message": message}
    return said | {"observedGeneration": 2, "lastTransitionTime": _ago(minutes=5)}


def test_what_limits_the_load_is_told(todo: Served, strata: Shell) -> None:
    load = {"up": {"cpuPercent": 80}, "down": {"cpuPercent": 30}}
    todo.patch(_WEB, {"spec": {"capacity": {"load": load}}})
    limited = _scaling("ScalingLimited", "the load asks for more than max, 6")
    todo.set_status(_WEB, observedGeneration=2, load={"extra": 5}, conditions=[limited])
    held = "held back:\n  ScalingLimited: the load asks for more than max, 6\n"
    assert held in strata.ok("why", "layer/web")
    known = _scaling("SignalsKnown", "reads cpuPercent; removes none, for fewer would bring it to its up threshold")
    todo.set_status(_WEB, conditions=[known])
    told = strata.ok("why", "layer/web")
    assert "by load it reads cpuPercent; removes none, for fewer would bring it to its up threshold\n" in told
    assert "nothing is held back" in told


def test_a_rollout_that_stands_still_is_held_back_and_says_by_what(todo: Served, strata: Shell) -> None:
    stall = "web-2 does not come up: i-2 is not online 10m after its launch"
    rollout = {"template": "v1-b", "updated": 1, "outdated": 2, "total": 3, "since": _ago(minutes=20), "message": stall}
    said = {"type": "Progressing", "status": "False", "reason": "RolloutStalled", "message": stall}
    held = {**said, "observedGeneration": 1, "lastTransitionTime": _ago(minutes=5)}
    todo.set_status(_WEB, observedGeneration=1, desired=2, rollout=rollout, conditions=[held])
    todo.set_status(_SLOT, phase="online", ec2=_MACHINE, template="v1-a")
    told = strata.ok("why", "layer/web")
    assert "of its machines 1 of 3 are renewed, 2 outdated (maxSurge 1, maxUnavailable 0)\n" in told
    assert f"held back:\n  the rollout: RolloutStalled: {stall}\n" in told
    assert "its machine is made from an older template than its layer's\n" in strata.ok("why", "instance/web-1")


def test_a_slot_on_its_way_out_says_why_and_when_it_goes(todo: Served, strata: Shell) -> None:
    leave = {"reason": "ScaledIn", "message": "1 wanted, 2 there", "markedAt": _ago(seconds=20)}
    todo.set_status(_SLOT, phase="online", ec2=_MACHINE, onlineSince=_ago(hours=1), leave=leave)
    said = "ScaledIn: 1 wanted, 2 there; ends in "
    assert f"on the way out:\n  instance/web-1: {said}" in strata.ok("why", "layer/web")
    assert f"it is on its way out: {said}" in strata.ok("why", "instance/web-1")
    assert said in strata.ok("describe", "instance", "web-1")
    todo.set_status(_SLOT, leave=leave | {"markedAt": _ago(minutes=10)})
    assert "; ends as soon as the others can do without it\n" in strata.ok("why", "instance/web-1")


def test_spot_machines_are_counted_and_what_was_bought_instead_is_named(todo: Served, strata: Shell) -> None:
    todo.set_status(_WEB, observedGeneration=1, desired=4, spot={"wanted": 2, "running": 1, "fallback": 1})
    todo.set_status(_SLOT, phase="online", ec2=_MACHINE | {"fallback": True})
    told = strata.ok("why", "layer/web")
    assert "of these 2 to be spot: 1 running, 1 on demand for want of spot capacity\n" in told
    machine = "its machine is i-1 (t3.small, us-east-1a, on-demand, for want of spot capacity), running\n"
    assert machine in strata.ok("why", "instance/web-1")


def test_an_instance_is_told_of_by_the_events_of_its_layer_that_name_it(todo: Served, strata: Shell) -> None:
    layer = todo.get(_WEB)
    owner = {"apiVersion": layer["apiVersion"], "kind": "Layer", "name": "web", "uid": layer["metadata"]["uid"]}
    todo.patch(_SLOT, {"metadata": {"ownerReferences": [owner]}})
    todo.add_event(layer, "ScaledOut", "added 2: web-1, web-2")
    todo.add_event(layer, "ScaledIn", "removes 1: web-10")
    told = strata.ok("why", "instance/web-1")
    assert "added 2: web-1, web-2\n" in told
    assert "web-10" not in told
