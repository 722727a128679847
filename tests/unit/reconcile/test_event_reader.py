"""The queue of EventBridge's events: it makes haste, and nothing else depends on it."""

import asyncio
import json

import pytest
from tests.kit.acting import virtually
from tests.kit.crash import Act
from tests.kit.fleet import Fleet

from strata.cloud.ec2_events import Ec2Event, read_event
from strata.resources.instance import Phase
from strata_sim.calls import Call
from strata_sim.controls import ids
from strata_sim.faults import Fault
from strata_sim.knobs import Events

STACK, LAYER, REGION = "shop", "web", "us-east-1"


async def three_online(act: Act) -> Fleet:
    act.processes.start()
    await act.fleet.person.stack(STACK)
    await act.fleet.person.layer(STACK, LAYER, 3)
    await act.fleet.online(STACK, 3)
    await asyncio.sleep(30)  # all that was to be told of their birth is told
    return act.fleet


def messages(fleet: Fleet, kind: str) -> float:
    value = fleet.daemons["a"].metrics.registry.get_sample_value(
        "strata_events_queue_messages_total", {"region": REGION, "kind": kind}
    )
    return value or 0.0


def queue_is_up(fleet: Fleet) -> bool:
    value = fleet.daemons["a"].metrics.registry.get_sample_value("strata_events_queue_up", {"region": REGION})
    return value == 1.0


async def seen_gone(fleet: Fleet, instance_id: str) -> bool:
    """Whether no slot has this machine any more."""
    found = await fleet.instances(STACK)
    return all(one.status.ec2 is None or one.status.ec2.instance_id != instance_id for one in found)


async def time_to_see_a_death(fleet: Fleet) -> float:
    victim = fleet.machines()[0]
    await asyncio.sleep(0.7)  # not at a poll's moment
    fleet.controls.terminate(ids(victim))
    return await fleet.until(lambda: seen_gone(fleet, victim), within_s=30, every_s=0.05)


@virtually(with_queue=True)
async def test_a_death_is_seen_within_a_second(act: Act) -> None:
    fleet = await three_online(act)
    took_s = [await time_to_see_a_death(fleet) for _ in range(5)]
    assert max(took_s) < 1.0
    await fleet.online(STACK, 3)


@virtually(with_queue=True)
async def test_a_dead_queue_changes_nothing_but_lateness(act: Act) -> None:
    fleet = await three_online(act)
    assert queue_is_up(fleet)
    fleet.controls.fault(Fault("refuse", "AccessDenied", actions=frozenset({"ReceiveMessage"}), count=None))
    await asyncio.sleep(60)
    assert not queue_is_up(fleet)
    assert await time_to_see_a_death(fleet) < fleet.settings.poll_interval_s + 1
    await fleet.online(STACK, 3)
    receives = [call for call in fleet.world.log.since(0) if call.action == "ReceiveMessage" and call.code]
    assert len(receives) < 20, "a queue that is dead is asked ever more slowly"
    fleet.controls.clear_faults()
    await asyncio.sleep(90)
    assert queue_is_up(fleet)
    assert await time_to_see_a_death(fleet) < 1.0


@virtually(with_queue=True)
async def test_events_that_come_twice_and_late_change_nothing(act: Act) -> None:
    fleet = await three_online(act)
    fleet.controls.events(Events(delay_s=40, copies=3))
    fleet.controls.terminate(ids(fleet.machines()[0]))
    await asyncio.sleep(20)
    await fleet.online(STACK, 3)
    before = [one.status for one in await fleet.instances(STACK)]
    alive = fleet.machines()
    await asyncio.sleep(120)
    assert fleet.machines() == alive
    assert [one.status.ec2 for one in await fleet.instances(STACK)] == [status.ec2 for status in before]
    assert messages(fleet, "state-change") >= 9


@virtually(with_queue=True)
async def test_events_of_long_ago_ask_ec2_nothing(act: Act) -> None:
    fleet = await three_online(act)
    began = len(describes(fleet))
    await asyncio.sleep(60)
    usual = len(describes(fleet)) - began
    for _ in range(20):
        for machine in fleet.machines():
            fleet.controls.send(event(time="2026-01-04T12:00:00Z", detail={"instance-id": machine, "state": "pending"}))
    await asyncio.sleep(60)
    assert messages(fleet, "state-change") >= 60
    assert len(describes(fleet)) - began - usual <= usual + 1


def describes(fleet: Fleet) -> list[Call]:
    return [call for call in fleet.world.log.since(0) if call.action == "DescribeInstances"]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("", "malformed"),
        ("[]", "malformed"),
        ('{"detail-type": 3}', "malformed"),
        ("\ud800", "malformed"),
        (json.dumps({"Message": "from SNS"}), "malformed"),
        ("EC2 Instance State-change Notification", "malformed"),
        ("ALARM", "malformed"),
    ],
)
def test_what_nobody_can_read_is_told_from_what_is_not_ours(body: str, kind: str) -> None:
    assert read_event(body, region=REGION) == kind


def event(**changes: object) -> str:
    whole = {
        "version": "0",
        "id": "1",
        "detail-type": "EC2 Instance State-change Notification",
        "source": "aws.ec2",
        "account": "123456789012",
        "time": "2026-11-23T12:00:00Z",
        "region": REGION,
        "resources": [],
        "detail": {"instance-id": "i-0123456789abcdef0", "state": "terminated"},
    }
    return json.dumps(whole | changes)


def test_an_event_is_read() -> None:
    found = read_event(event(), region=REGION)
    assert isinstance(found, Ec2Event)
    assert (found.kind, found.instance_id, found.state) == ("state-change", "i-0123456789abcdef0", "terminated")


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"source": "com.example"}, "foreign"),
        ({"region": "eu-west-1"}, "foreign"),
        ({"detail-type": "EC2 Fleet Instance Change"}, "foreign"),
        ({"detail": {"instance-id": "*"}}, "malformed"),
        ({"detail": {"instance-id": ["i-0123456789abcdef0"]}}, "malformed"),
        ({"detail": {}}, "malformed"),
        ({"detail": "i-0123456789abcdef0"}, "malformed"),
        ({"time": "yesterday"}, "malformed"),
        ({"time": "2026-11-23T12:00:00"}, "malformed"),
    ],
)
def test_an_event_of_another_kind_or_shape_is_dropped(changes: dict[str, object], kind: str) -> None:
    assert read_event(event(**changes), region=REGION) == kind


@virtually(with_queue=True)
async def test_foreign_and_malformed_messages_are_dropped_and_counted(act: Act) -> None:
    fleet = await three_online(act)
    before = fleet.world.log.count
    fleet.controls.send("not JSON")
    fleet.controls.send(event())
    fleet.controls.send(event(source="com.example"))
    await asyncio.sleep(3)
    assert (messages(fleet, "malformed"), messages(fleet, "foreign")) == (1, 2)
    looks = [call for call in fleet.world.log.since(before) if call.action == "DescribeInstances"]
    assert not any("i-0123456789abcdef0" in str(call.parameters) for call in looks)
    await asyncio.sleep(120)
    assert (messages(fleet, "malformed"), messages(fleet, "foreign")) == (1, 2), "they came again"
    assert all(one.status.phase == Phase.ONLINE for one in await fleet.instances(STACK))


@virtually(with_queue=False)
async def test_without_a_queue_nobody_asks_for_one(act: Act) -> None:
    fleet = await three_online(act)
    await time_to_see_a_death(fleet)
    assert not any(call.action == "ReceiveMessage" for call in fleet.world.log.since(0))
