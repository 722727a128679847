"""The launcher's bad days: one odd slot, one full pool, one slow gate, one store that is full."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from tests.kit.acting import Act, hush, passes, settled, until, virtually
from tests.kit.fleet import Fleet
from tests.kit.rare_stories import OWN_IMAGE, hand_made, machines, stack
from tests.kit.stories import LAYER, STACK, online
from tests.kit.virtual_time import VirtualClock, run_virtual

from strata.cloud.port import BeforeSend, RunRequest, nothing_before
from strata.errors import NoSpace
from strata.planner import launch as protocol
from strata.reconcile.refusals import Refusals
from strata.resources import kinds
from strata.resources.launch import Launch, Member
from strata.resources.machine import Machine, Market
from strata.store.memory import MemoryStore
from strata.store.port import Operation, Put, TxnResult
from strata_sim.controls import ids
from strata_sim.inprocess import SimulatedCloud

HOUR_S = 3600.0
ONE_ZONE = [{"id": "subnet-0a", "zone": "us-east-1a"}]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    hush()
    yield
    structlog.reset_defaults()


def asked(fleet: Fleet) -> int:
    return sum(call.action == "RunInstances" for call in fleet.world.log.since(0))


async def launches(fleet: Fleet) -> list[Launch]:
    found: list[Launch] = await fleet.person.all(kinds.LAUNCH)
    return found


@virtually()
async def test_a_slot_that_nobody_can_make_sense_of_holds_up_no_other(act: Act) -> None:
    await stack(act)
    await act.fleet.person.apply(kinds.INSTANCE, "odd", {"layers": []}, STACK)
    await act.fleet.person.layer(STACK, LAYER, 2)
    await act.fleet.until(lambda: len(act.fleet.machines()) == 2, within_s=30)
    daemon = act.fleet.daemons["a"]
    assert daemon.metrics.registry.get_sample_value("strata_crashes_total", {"kind": "Launch"})
    reign = daemon.controller.reign
    assert reign is not None
    assert not [name for name, _ in reign.unhealthy() if name.startswith("launcher")]


@virtually()
async def test_a_pool_without_capacity_costs_one_call_now_and_then_and_leaves_no_heap_of_records(act: Act) -> None:
    act.fleet.controls.capacity("t3.small", None, 0)
    act.processes.start()
    await act.fleet.person.stack(STACK, subnets=ONE_ZONE)
    await act.fleet.person.layer(STACK, LAYER, 120)
    await passes(act, 60)
    first = asked(act.fleet)
    assert first <= 2
    await passes(act, HOUR_S / 2)
    assert asked(act.fleet) - first <= 7, "one of one machine every five minutes"
    assert len(await launches(act.fleet)) <= 2
    act.fleet.controls.capacity("t3.small", None, None)
    await until(act, lambda: online(act, 120), within_s=420)


@virtually()
async def test_launches_that_wait_while_their_pool_is_refused_are_planned_elsewhere_unsent(act: Act) -> None:
    act.fleet.controls.capacity("t3.small", None, 0)
    act.processes.start()
    await act.fleet.person.stack(STACK, subnets=ONE_ZONE)
    for number in range(20):
        template = {"types": ["t3.small", "t3.medium"], "userData": f"echo {number}"}
        await act.fleet.person.layer(STACK, f"l{number}", 1, instance=template)
    await until(act, lambda: online(act, 20), within_s=120)
    answers = Counter(call.code for call in act.fleet.world.log.since(0) if call.action == "RunInstances")
    assert answers["InsufficientInstanceCapacity"] < 15
    await settled(act)


@virtually()
async def test_a_slot_gets_the_image_that_it_names(act: Act) -> None:
    await machines(act, 1)
    own = {"layers": [LAYER], "instance": {"image": {"id": OWN_IMAGE}}}
    await act.fleet.person.apply(kinds.INSTANCE, "hand", own, STACK)
    await until(act, lambda: online(act, 2), within_s=120)
    found = {slot.metadata.name: slot.status.ec2 for slot in await act.fleet.instances(STACK)}
    images = {name: ec2.image_id for name, ec2 in found.items() if ec2 is not None}
    assert images["hand"] == OWN_IMAGE
    assert images[f"{LAYER}-1"] != OWN_IMAGE


@virtually()
async def test_a_slot_whose_image_does_not_exist_says_so_and_holds_up_no_other(act: Act) -> None:
    await machines(act, 0)
    nowhere = {"layers": [LAYER], "instance": {"image": {"id": "ami-00000000000000bad"}}}
    await act.fleet.person.apply(kinds.INSTANCE, "hand", nowhere, STACK)
    await hand_made(act, "running")
    await act.fleet.until(lambda: len(act.fleet.machines()) == 1, within_s=60)
    events = await act.fleet.store.list(kinds.EVENTS)
    assert any(b"ami-00000000000000bad" in event.value for event in events.items)


def test_a_store_without_room_is_not_asked_five_times_a_second() -> None:
    refused = 0

    class Full(MemoryStore):
        async def txn(self, compares: Any, operations: Any) -> TxnResult:
            nonlocal refused
            if _seals(operations):
                refused += 1
                raise NoSpace("the quota is used up")
            return await super().txn(compares, operations)

    async def day() -> None:
        fleet = Fleet()
        fleet.wrap_store = lambda _name, _store: Full(fleet.clock, fleet.server)
        try:
            fleet.start()
            await fleet.person.stack(STACK, subnets=ONE_ZONE)
            await fleet.person.layer(STACK, LAYER, 1)
            await asyncio.sleep(600)
        finally:
            await fleet.close()

    run_virtual(day())
    assert 5 <= refused <= 40


def _seals(operations: list[Operation]) -> bool:
    return any(isinstance(one, Put) and one.key.startswith(kinds.LAUNCH.prefix()) for one in operations)


class Gated(SimulatedCloud):
    """A gate that holds the first launches for a long time."""

    GATE_S = 1200.0

    async def run_instances(self, request: RunRequest, before_send: BeforeSend = nothing_before) -> tuple[Machine, ...]:
        await asyncio.sleep(self.GATE_S)
        return await super().run_instances(request, before_send)


def test_a_launch_that_waits_for_its_tokens_does_not_look_sent_long_ago() -> None:
    async def day() -> None:
        fleet = Fleet(wrap_cloud=lambda name, _cloud: Gated(fleet.world, "us-east-1", caller=name))
        try:
            fleet.start()
            await fleet.person.stack(STACK, subnets=ONE_ZONE)
            await fleet.person.layer(STACK, LAYER, 1)
            await fleet.until(fleet.machines, within_s=Gated.GATE_S + 60)
            (launch,) = await launches(fleet)
            (call,) = [call for call in fleet.world.log.since(0) if call.action == "RunInstances"]
            assert abs((launch.status.sent_at - call.at).total_seconds()) <= 10
        finally:
            await fleet.close()

    run_virtual(day())


class Slow(SimulatedCloud):
    """Slow enough that the account's bucket is never empty."""

    async def run_instances(self, request: RunRequest, before_send: BeforeSend = nothing_before) -> tuple[Machine, ...]:
        answer = await super().run_instances(request, before_send)
        await asyncio.sleep(5)
        return answer


def test_a_heal_does_not_wait_behind_another_stacks_many_launches() -> None:
    async def day() -> int:
        fleet = Fleet(wrap_cloud=lambda name, _cloud: Slow(fleet.world, "us-east-1", caller=name))
        try:
            fleet.start()
            await fleet.person.stack(STACK, subnets=ONE_ZONE)
            await fleet.person.layer(STACK, LAYER, 1)
            await fleet.online(STACK, 1)
            (lost,) = fleet.machines()
            await fleet.person.stack("many", subnets=ONE_ZONE)
            for number in range(60):
                await fleet.person.layer("many", f"l{number}", 1, instance={"userData": f"echo {number}"})
            await asyncio.sleep(1)
            fleet.controls.terminate(ids(lost))
            asked_before = asked(fleet)
            await fleet.until(lambda: _replaced(fleet), within_s=120)
            return asked(fleet) - asked_before
        finally:
            await fleet.close()

    assert run_virtual(day()) < 35


async def _replaced(fleet: Fleet) -> bool:
    (slot,) = await fleet.instances(STACK)
    return slot.status.attempt > 1 and slot.status.ec2 is not None


class PoolWorld:
    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.refusals = Refusals(self.clock, keep_s=300)
        self.pool: tuple[str, str, Market] = ("t3.small", "us-east-1a", "on-demand")


def test_a_pool_that_refused_is_tried_by_one_at_a_time() -> None:
    async def day() -> None:
        world = PoolWorld()
        pools, pool = world.refusals, world.pool
        pools.probe(*pool)
        assert not pools.closed(*pool), "an open pool is open to all"
        pools.note(*pool)
        assert pools.closed(*pool)
        await asyncio.sleep(301)
        assert not pools.closed(*pool)
        pools.probe(*pool)
        assert pools.closed(*pool), "one tries it, the others wait"
        pools.undecided(*pool)
        assert not pools.closed(*pool), "that one could not say"
        pools.probe(*pool)
        pools.clear(*pool)
        pools.probe(*pool)
        assert not pools.closed(*pool)

    run_virtual(day())


def test_slots_of_one_launch_fit_one_request_of_etcd() -> None:
    wants = [_want(f"web-{n}", size_bytes=30_000 if n != 7 else 2_000_000) for n in range(100)]
    groups = protocol.group(wants, members_per_launch=100, bytes_per_launch=1_000_000)
    sizes = [sum(want.size_bytes for want in group) for group in groups]
    assert sum(len(group) for group in groups) == 100
    assert max(sizes) == 2_000_000
    assert sorted(sizes)[-2] < 1_000_000
    assert [len(group) for group in groups if group[0].size_bytes > 30_000] == [1]


def _want(name: str, *, size_bytes: int) -> protocol.Want:
    return protocol.Want(
        member=Member(name=name, uid=name, attempt=1),
        stack=STACK,
        region="us-east-1",
        endpoint=None,
        type="t3.small",
        zone="us-east-1a",
        market="on-demand",
        template="",
        parameters={},
        fingerprint=b"{}",
        size_bytes=size_bytes,
    )
