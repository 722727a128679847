"""Bad days, on virtual time: each becomes a condition with its reason and an event, never a crash or a busy loop."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from prometheus_client import generate_latest
from tests.kit.fleet import Fleet, stack_spec
from tests.kit.virtual_time import run_virtual

from strata.resources import kinds
from strata.resources.codec import decode
from strata.resources.event import Event
from strata.resources.instance import Phase
from strata.resources.kinds import EVENTS
from strata.resources.meta import Condition, find_condition, is_true
from strata_sim.controls import ids
from strata_sim.faults import Fault


def _run(day: Callable[[Fleet], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        fleet = Fleet()
        fleet.start()
        try:
            await day(fleet)
        finally:
            await fleet.close()

    run_virtual(whole())


async def _condition(fleet: Fleet, kind: kinds.Kind, name: str, type_: str, namespace: str = "") -> Condition | None:
    found = await fleet.person.read(kind, name, namespace)
    return None if found is None else find_condition(found.status.conditions, type_)


async def _until_condition(
    fleet: Fleet, kind: kinds.Kind, name: str, wanted: tuple[str, str, str], namespace: str = "", within_s: float = 120
) -> Condition:
    """Wait for (type, status, reason)."""
    type_, status, reason = wanted
    seen: list[Condition] = []

    async def holds() -> bool:
        condition = await _condition(fleet, kind, name, type_, namespace)
        if condition is not None:
            seen.append(condition)
        return condition is not None and (condition.status, condition.reason) == (status, reason)

    try:
        await fleet.until(holds, within_s=within_s)
    except AssertionError as error:
        raise AssertionError(f"{wanted} never came; last seen: {seen[-1:]}") from error
    return seen[-1]


async def _events(fleet: Fleet) -> list[Event]:
    listing = await fleet.store.list(EVENTS)
    return [decode(Event, kv.value) for kv in listing.items]


async def _calls_in(fleet: Fleet, seconds: float, *actions: str) -> int:
    before = fleet.world.log.count
    await asyncio.sleep(seconds)
    calls = [call for call in fleet.world.log.since(before) if not actions or call.action in actions]
    return len(calls)


def test_a_missing_subnet_is_named_on_the_stack_and_costs_no_storm_of_calls() -> None:
    async def day(fleet: Fleet) -> None:
        await fleet.person.apply(
            kinds.STACK, "shop", stack_spec(subnets=[{"id": "subnet-nowhere", "zone": "us-east-1a"}])
        )
        await fleet.person.layer("shop", "web", 2)
        condition = await _until_condition(fleet, kinds.STACK, "shop", ("Ready", "False", "SubnetNotFound"))
        assert "spec.subnets[0].id: subnet-nowhere does not exist" in condition.message
        assert any(e.reason == "SubnetNotFound" and e.type == "Warning" for e in await _events(fleet))
        assert any(e.reason == "LaunchFailed" and "subnet-nowhere" in e.message for e in await _events(fleet))
        await asyncio.sleep(120)
        assert await _calls_in(fleet, 600, "RunInstances") <= 10, "slots that keep failing back off"
        await fleet.person.apply(kinds.STACK, "shop", stack_spec())
        await fleet.online("shop", 2, within_s=700)

    _run(day)


def test_a_missing_image_is_named_on_the_layer_and_found_once_it_is_there() -> None:
    async def day(fleet: Fleet) -> None:
        template = stack_spec()["instance"] | {"image": {"ssmParameter": "/my/image"}}
        await fleet.person.apply(kinds.STACK, "shop", stack_spec(instance=template))
        await fleet.person.layer("shop", "web", 1)
        condition = await _until_condition(fleet, kinds.LAYER, "web", ("Ready", "False", "ImageNotFound"), "shop")
        assert "there is no SSM parameter /my/image" in condition.message
        assert any(e.reason == "ImageNotFound" and "/my/image" in e.message for e in await _events(fleet))
        assert await fleet.instances("shop") == []
        known = fleet.world.catalog.regions[0].parameters["/aws/service/debian/release/12/latest/amd64"]
        fleet.controls.set_parameter("/my/image", known)
        await fleet.online("shop", 1, within_s=400)

    _run(day)


def test_wrong_credentials_are_said_and_held_back_and_forgotten_once_they_are_right() -> None:
    async def day(fleet: Fleet) -> None:
        await fleet.person.stack("shop")
        await fleet.person.layer("shop", "web", 2)
        await fleet.online("shop", 2)
        fleet.controls.fault(Fault("refuse", code="AuthFailure", message="not able to validate", count=None))
        await _until_condition(fleet, kinds.STACK, "shop", ("CloudReachable", "False", "Unauthorized"))
        await fleet.person.layer("shop", "web", 4)
        await asyncio.sleep(300)
        assert await _calls_in(fleet, 600, "RunInstances") <= 24, "two places, once a minute, and a little"
        assert len(fleet.machines()) == 2, "nothing is destroyed over Unknown"
        fleet.controls.clear_faults()
        await fleet.online("shop", 4, within_s=120)
        await _until_condition(fleet, kinds.STACK, "shop", ("CloudReachable", "True", "Polled"))
        told = {(e.reason, e.type) for e in await _events(fleet) if e.message.startswith("CloudReachable")}
        assert told == {("Unauthorized", "Warning"), ("Polled", "Normal")}

    _run(day)


def test_a_stopped_machine_is_replaced_and_told_once() -> None:
    async def day(fleet: Fleet) -> None:
        await fleet.person.stack("shop")
        await fleet.person.layer("shop", "web", 2)
        await fleet.online("shop", 2)
        victim = fleet.machines()[0]
        fleet.controls.stop(ids(victim))
        await fleet.until(lambda: victim not in fleet.machines() and len(fleet.machines()) == 2, within_s=120)
        await fleet.online("shop", 2)
        told = sorted(e.reason for e in await _events(fleet) if e.involved_object.kind == "Instance")
        assert told == ["Online", "StoppedExternally"], "one reason, and the good news"
        page = generate_latest(fleet.daemons["a"].metrics.registry).decode()
        assert 'strata_layer_heals_total{layer="web",reason="StoppedExternally",stack="shop"} 1.0' in page
        assert "TerminatedExternally" not in page
        layer = await fleet.get_layer("shop", "web")
        assert not is_true(layer.status.conditions, "Protected")

    _run(day)


def test_a_wrong_clock_is_told_from_wrong_credentials() -> None:
    async def day(fleet: Fleet) -> None:
        await fleet.person.stack("shop")
        await fleet.person.layer("shop", "web", 1)
        await fleet.online("shop", 1)
        fleet.controls.fault(Fault("refuse", code="RequestExpired", message="Request has expired", count=None))
        await _until_condition(fleet, kinds.STACK, "shop", ("CloudReachable", "False", "ClockSkew"))

    _run(day)


def test_a_clock_that_jumps_ahead_destroys_nothing() -> None:
    """Law 7: lost time never justifies a termination."""

    async def day(fleet: Fleet) -> None:
        await fleet.person.stack("shop")
        await fleet.person.layer("shop", "web", 3)
        await fleet.online("shop", 3)
        before = set(fleet.machines())
        fleet.clock.offset_s = 7200.0
        await fleet.person.layer("shop", "web", 6)
        await fleet.online("shop", 6)
        assert before <= set(fleet.machines())
        assert fleet.world.log.count > 0
        assert not [call for call in fleet.world.log.since(0) if call.action == "TerminateInstances"]

    _run(day)


def test_an_unreachable_region_is_said_and_nothing_is_decided_over_it() -> None:
    async def day(fleet: Fleet) -> None:
        await fleet.person.stack("shop")
        await fleet.person.layer("shop", "web", 2)
        await fleet.online("shop", 2)
        fleet.controls.fault(Fault("unreachable", count=None))
        await _until_condition(fleet, kinds.STACK, "shop", ("CloudReachable", "False", "Unreachable"))
        await asyncio.sleep(1800)
        fleet.controls.clear_faults()
        await _until_condition(fleet, kinds.STACK, "shop", ("CloudReachable", "True", "Polled"))
        assert len(fleet.machines()) == 2
        assert not [call for call in fleet.world.log.since(0) if call.action == "TerminateInstances"]

    _run(day)


def test_termination_protection_is_said_and_the_deletion_ends_once_it_is_lifted() -> None:
    async def day(fleet: Fleet) -> None:
        await fleet.person.stack("shop")
        await fleet.person.layer("shop", "web", 2)
        await fleet.online("shop", 2)
        protected = (await fleet.instances("shop"))[0]
        assert protected.status.ec2 is not None
        _protect(fleet, protected.status.ec2.instance_id, protected=True)
        await fleet.person.delete(kinds.LAYER, "web", "shop")
        name = protected.metadata.name
        await _until_condition(fleet, kinds.INSTANCE, name, ("Stalled", "True", "TerminationProtected"), "shop")
        await fleet.until(lambda: len(fleet.machines()) == 1, within_s=60)
        assert any(e.reason == "TerminationProtected" for e in await _events(fleet))
        _protect(fleet, protected.status.ec2.instance_id, protected=False)
        await fleet.until(lambda: not fleet.machines(), within_s=300)

    _run(day)


def _protect(fleet: Fleet, instance_id: str, *, protected: bool) -> None:
    fleet.world.call(
        "us-east-1",
        _modify(),
        {"InstanceId": instance_id, "DisableApiTermination": {"Value": protected}},
        "person",
    )


def _modify() -> Any:
    from strata_sim.actions import ACTIONS  # noqa: PLC0415 - a table of all, of which this is one

    return ACTIONS["ModifyInstanceAttribute"]


def test_an_unknown_endpoint_is_said_on_the_stack_alone() -> None:
    async def day(fleet: Fleet) -> None:
        fleet.unknown_endpoints.add("nowhere")
        await fleet.person.apply(kinds.STACK, "lost", stack_spec(endpoint="nowhere"))
        await fleet.person.stack("shop")
        await fleet.person.layer("shop", "web", 1)
        await fleet.online("shop", 1)
        await _until_condition(fleet, kinds.STACK, "lost", ("CloudReachable", "False", "Invalid"))

    _run(day)


def test_no_capacity_anywhere_is_said_and_a_machine_comes_once_there_is() -> None:
    async def day(fleet: Fleet) -> None:
        for zone in ("us-east-1a", "us-east-1b", "us-east-1c"):
            fleet.controls.capacity("t3.small", zone, 0)
        await fleet.person.stack("shop")
        await fleet.person.layer("shop", "web", 1)
        await fleet.until(_phase(fleet, "web-1", Phase.REQUESTED), within_s=10)
        await asyncio.sleep(60)
        condition = await _condition(fleet, kinds.INSTANCE, "web-1", "Launched", "shop")
        assert condition is not None
        assert condition.reason == "InsufficientInstanceCapacity"
        assert await _calls_in(fleet, 600, "RunInstances") <= 8, "what was refused is remembered"
        fleet.controls.capacity("t3.small", "us-east-1b", None)
        await fleet.online("shop", 1, within_s=400)
        (instance,) = await fleet.instances("shop")
        assert instance.status.ec2 is not None
        assert instance.status.ec2.zone == "us-east-1b"

    _run(day)


def _phase(fleet: Fleet, name: str, phase: Phase) -> Callable[[], Coroutine[Any, Any, bool]]:
    async def holds() -> bool:
        instance = await fleet.person.read(kinds.INSTANCE, name, "shop")
        return instance is not None and instance.status.phase == phase

    return holds


def test_the_next_type_is_taken_before_the_next_zone() -> None:
    async def day(fleet: Fleet) -> None:
        fleet.controls.capacity("t3.small", "us-east-1a", 0)
        template = stack_spec()["instance"] | {"types": ["t3.small", "t3.medium"]}
        await fleet.person.apply(kinds.STACK, "shop", stack_spec(instance=template))
        await fleet.person.layer("shop", "web", 3)
        await fleet.online("shop", 3)
        made = {(i.status.ec2.type, i.status.ec2.zone) for i in await fleet.instances("shop") if i.status.ec2}
        assert made == {("t3.medium", "us-east-1a"), ("t3.small", "us-east-1b"), ("t3.small", "us-east-1c")}

    _run(day)


def test_a_restored_backup_terminates_nothing_and_holds_what_it_does_not_know() -> None:
    async def day(fleet: Fleet) -> None:
        await fleet.person.stack("shop")
        await fleet.person.layer("shop", "web", 2)
        await fleet.online("shop", 2)
        await asyncio.sleep(60)
        backup = fleet.server.revision
        await fleet.person.layer("shop", "web", 8)
        await fleet.online("shop", 8)
        await asyncio.sleep(3600)
        fleet.server.restore(backup)
        await fleet.person.layer("shop", "web", 2)
        await asyncio.sleep(7200)
        assert len(fleet.machines()) == 8, "nothing that the store does not account for is ended"
        await _until_condition(fleet, kinds.STACK, "shop", ("OrphansHeld", "True", "OrphansHeld"))

    _run(day)


def test_an_empty_store_terminates_nothing() -> None:
    async def day(fleet: Fleet) -> None:
        await fleet.person.stack("shop")
        await fleet.person.layer("shop", "web", 3)
        await fleet.online("shop", 3)
        fleet.server.wipe()
        await asyncio.sleep(7200)
        assert len(fleet.machines()) == 3
        await fleet.stop()
        fleet.start("b")
        await fleet.person.stack("blog")
        await fleet.person.layer("blog", "web", 1)
        await fleet.online("blog", 1)
        await asyncio.sleep(7200)
        assert len(fleet.machines()) == 4

    _run(day)


def test_etcd_away_changes_nothing_and_all_goes_on_when_it_is_back() -> None:
    async def day(fleet: Fleet) -> None:
        await fleet.person.stack("shop")
        await fleet.person.layer("shop", "web", 3)
        await fleet.online("shop", 3)
        informer = fleet.daemons["a"].controller.informer
        fleet.server.stop()
        fleet.controls.terminate(ids(fleet.machines()[0]))
        await asyncio.sleep(900)
        assert len(fleet.machines()) == 2
        assert informer.age_s() > 30, "readiness goes red"
        fleet.server.start()
        await fleet.until(lambda: len(fleet.machines()) == 3, within_s=120)
        await fleet.online("shop", 3, within_s=120)
        assert informer.age_s() < 30

    _run(day)
