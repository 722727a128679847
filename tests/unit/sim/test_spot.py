"""Spot machines: their requests, the two-minute notice, and what EventBridge says of all machines."""

import json
from typing import Any

import pytest
from tests.unit.sim.kit import BOOTED_S, Sim

from strata_sim import actions
from strata_sim.controls import ControlError, ids
from strata_sim.errors import Ec2Error
from strata_sim.knobs import Events
from strata_sim.spot import SpotRequest

QUEUE = "http://127.0.0.1/123456789012/strata-events"
SPOT: dict[str, Any] = {
    "InstanceMarketOptions": {"MarketType": "spot", "SpotOptions": {"SpotInstanceType": "one-time"}}
}


@pytest.fixture
def sim() -> Sim:
    return Sim()


def requests(sim: Sim, *filters: tuple[str, str]) -> list[SpotRequest]:
    asked = {"Filters": [{"Name": name, "Values": [value]} for name, value in filters]} if filters else {}
    rows: list[SpotRequest] = sim.call(actions.DESCRIBE_SPOT_INSTANCE_REQUESTS, **asked).rows
    return rows


def events(sim: Sim) -> list[tuple[str, dict[str, Any]]]:
    """What is in the queue now, as (detail type, detail)."""
    sim.clock.advance(0.5)
    sim.world.region("us-east-1")
    found = []
    while messages := sim.call(actions.RECEIVE_MESSAGE, QueueUrl=QUEUE, MaxNumberOfMessages=10):
        bodies = [json.loads(one.body) for one in messages]
        found += [(body["detail-type"], body["detail"]) for body in bodies]
    return found


def test_a_spot_machine_has_a_request_with_tags_of_its_own(sim: Sim) -> None:
    tags = [{"ResourceType": "spot-instances-request", "Tags": [{"Key": "team", "Value": "shop"}]}]
    (made,) = sim.launch(TagSpecifications=tags, **SPOT)
    sim.launch()
    (found,) = requests(sim, ("tag:team", "shop"))
    assert (found.instance.id, found.state, found.status_code) == (made, "active", "fulfilled")


def test_the_tags_of_a_spot_request_are_refused_where_there_is_none(sim: Sim) -> None:
    tags = [{"ResourceType": "spot-instances-request", "Tags": [{"Key": "team", "Value": "shop"}]}]
    with pytest.raises(Ec2Error, match="not a valid taggable resource type"):
        sim.launch(TagSpecifications=tags)


def test_an_interruption_gives_two_minutes_notice_and_then_ends_the_machine(sim: Sim) -> None:
    kept, taken = sim.launch(2, **SPOT)
    sim.clock.advance(BOOTED_S)
    assert sim.controls.interrupt(ids(taken)) == (taken,)
    assert [row.instance.id for row in requests(sim, ("status-code", "marked-for-termination"))] == [taken]
    sim.clock.advance(119)
    assert sim.states() == ["running", "running"]
    sim.clock.advance(1.5)
    seen = {one.instance.id: one.view for one in sim.describe()}
    assert (seen[kept].state, seen[taken].state) == ("running", "shutting-down")
    assert seen[taken].reason.code == "Server.SpotInstanceTermination"
    assert requests(sim, ("status-code", "marked-for-termination")) == []
    assert [row.status_code for row in requests(sim, ("state", "closed"))] == ["instance-terminated-no-capacity"]


def test_a_machine_that_boots_while_it_is_marked_still_comes_up_and_is_still_taken(sim: Sim) -> None:
    (taken,) = sim.launch(**SPOT)
    sim.controls.interrupt(ids(taken))
    sim.clock.advance(BOOTED_S)
    assert sim.states() == ["running"]
    sim.clock.advance(120)
    assert sim.states() == ["terminated"]


def test_only_spot_machines_are_interrupted(sim: Sim) -> None:
    (bought,) = sim.launch()
    with pytest.raises(ControlError, match="not spot"):
        sim.controls.interrupt(ids(bought))


def test_every_change_of_state_is_told_once(sim: Sim) -> None:
    (one,) = sim.launch()
    sim.clock.advance(BOOTED_S)
    sim.terminate(one)
    sim.clock.advance(60)
    states = [detail["state"] for kind, detail in events(sim) if "State-change" in kind]
    assert states == ["pending", "running", "shutting-down", "terminated"]


def test_notice_and_recommendation_are_told(sim: Sim) -> None:
    (one,) = sim.launch(**SPOT)
    events(sim)
    sim.controls.interrupt(ids(one), rebalance=True)
    sim.controls.interrupt(ids(one))
    told = events(sim)
    assert [kind for kind, _ in told] == [
        "EC2 Instance Rebalance Recommendation",
        "EC2 Spot Instance Interruption Warning",
    ]
    assert told[1][1] == {"instance-id": one, "instance-action": "terminate"}


def test_a_message_that_is_not_deleted_comes_again_after_its_time(sim: Sim) -> None:
    sim.controls.send("hello")
    receive = {"QueueUrl": QUEUE, "VisibilityTimeout": 30}
    (first,) = sim.call(actions.RECEIVE_MESSAGE, **receive)
    assert sim.call(actions.RECEIVE_MESSAGE, **receive) == []
    sim.clock.advance(31)
    (again,) = sim.call(actions.RECEIVE_MESSAGE, **receive)
    assert again.body == first.body == "hello"
    sim.call(actions.DELETE_MESSAGE, QueueUrl=QUEUE, ReceiptHandle=again.receipt)
    sim.clock.advance(31)
    assert sim.call(actions.RECEIVE_MESSAGE, **receive) == []


def test_events_come_late_and_twice_where_it_is_asked_for(sim: Sim) -> None:
    sim.controls.events(Events(delay_s=10, copies=2))
    sim.launch()
    assert events(sim) == []
    sim.clock.advance(9.7)
    assert [detail["state"] for _, detail in events(sim)] == ["pending", "pending"]


def test_a_queue_that_does_not_exist_is_said(sim: Sim) -> None:
    with pytest.raises(Ec2Error, match="QueueDoesNotExist"):
        sim.call(actions.RECEIVE_MESSAGE, QueueUrl=f"{QUEUE}-not")
