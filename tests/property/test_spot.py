"""Spot machines in a whole world: bought by count, taken back by EC2, replaced before they are gone, on demand for want
of capacity and back. The laws are judged from the first moment to the last."""

import asyncio
from typing import Any

from tests.kit.acting import passes, until, virtually
from tests.kit.crash import Act, settled

from strata.resources import kinds, reasons
from strata.resources.codec import decode
from strata.resources.event import Event
from strata.resources.instance import Instance, Phase
from strata.resources.layer import SpotStatus
from strata_sim.controls import ids
from strata_sim.faults import Fault
from strata_sim.knobs import Delays
from strata_sim.machines import Instance as Machine
from strata_sim.witness import live, lives

STACK, LAYER = "shop", "web"
HOUR_S = 3600.0
SPOT = {"onDemandBase": 1, "percentage": 50}


async def start(act: Act, always: int, *, spot: dict[str, int] | None = SPOT, **changes: Any) -> None:
    act.processes.start()
    await act.fleet.person.stack(STACK)
    await scale(act, always, spot=spot, **changes)
    await act.fleet.online(STACK, always)


async def scale(act: Act, always: int, *, spot: dict[str, int] | None = SPOT, **changes: Any) -> None:
    template = {"spot": spot} if spot is not None else {}
    await act.fleet.person.layer(STACK, LAYER, always, instance=template, **changes)


def machines(act: Act, lifecycle: str) -> list[Machine]:
    return [one for one in live(act.fleet.world) if one.birth.lifecycle == lifecycle]


def markets(act: Act) -> tuple[int, int]:
    """(spot, on-demand) machines that live."""
    return len(machines(act, "spot")), len(machines(act, "on-demand"))


async def online(act: Act, count: int) -> bool:
    found = await act.fleet.instances(STACK)
    return len(found) == count and all(one.status.phase == Phase.ONLINE for one in found)


async def slot_of(act: Act, machine_id: str) -> Instance | None:
    found = await act.fleet.instances(STACK)
    return next((one for one in found if one.status.ec2 and one.status.ec2.instance_id == machine_id), None)


def counted(act: Act, name: str, **labels: str) -> float | None:
    registry = act.fleet.daemons["a"].metrics.registry
    return registry.get_sample_value(name, {"stack": STACK, "layer": LAYER} | labels)


async def told(act: Act) -> set[str]:
    """The reasons of the stack's events."""
    listing = await act.fleet.store.list(f"{kinds.EVENTS}{STACK}/")
    return {decode(Event, kv.value).reason for kv in listing.items}


async def spot_status(act: Act) -> SpotStatus | None:
    return (await act.fleet.get_layer(STACK, LAYER)).status.spot


@virtually()
async def test_a_layer_buys_its_share_as_spot_at_every_size(act: Act) -> None:
    await start(act, 5)
    assert markets(act) == (2, 3)
    await scale(act, 8)
    await act.fleet.online(STACK, 8)
    assert markets(act) == (3, 5)
    await scale(act, 3)
    await act.fleet.online(STACK, 3, within_s=400)
    assert markets(act) == (1, 2)
    assert len(act.laws.ended()) == 5, "nothing was rolled for the markets' sake"
    assert await spot_status(act) == SpotStatus(wanted=1, running=1)
    runs = [call for call in act.fleet.world.log.since(0) if call.action == "RunInstances"]
    requests = {spec["ResourceType"] for call in runs for spec in call.parameters["TagSpecifications"]}
    assert requests == {"instance", "volume", "spot-instances-request"}


@virtually()
async def test_another_share_is_reached_slot_by_slot_while_enough_work(act: Act) -> None:
    await start(act, 4, spot=None)
    assert markets(act) == (0, 4)
    await scale(act, 4, spot={"onDemandBase": 0, "percentage": 50})

    async def renewed() -> bool:
        return markets(act) == (2, 2) and await online(act, 4)

    await until(act, renewed, within_s=1200)
    await scale(act, 4, spot=None)
    await until(act, lambda: markets(act) == (0, 4), within_s=1200)
    await settled(act)


@virtually()
async def test_an_interrupted_machine_is_replaced_before_it_is_gone(act: Act) -> None:
    await start(act, 3, spot={"percentage": 100}, shutdown={"drain": True, "timeout": "110s"})
    await passes(act, 60)
    victim = machines(act, "spot")[0].id
    act.fleet.controls.interrupt(ids(victim))
    began_s = asyncio.get_running_loop().time()

    async def replaced() -> bool:
        found = await act.fleet.instances(STACK)
        others = [one for one in found if one.status.ec2 is None or one.status.ec2.instance_id != victim]
        return len(others) == 3 and all(one.status.phase == Phase.ONLINE for one in others)

    await until(act, replaced, within_s=60)
    assert victim in act.fleet.machines(), "the replacement works while the old one still runs"
    assert asyncio.get_running_loop().time() - began_s < 30
    leaving = await slot_of(act, victim)
    assert leaving is not None
    assert leaving.status.leave is not None
    assert leaving.status.leave.reason == reasons.SPOT_INTERRUPTED
    await until(act, lambda: online(act, 3), within_s=300)
    assert all(one.status.failures is None for one in await act.fleet.instances(STACK)), "it is nobody's failure"
    assert markets(act) == (3, 0)
    await settled(act)


@virtually(with_queue=True)
async def test_with_the_queue_the_replacement_is_launched_within_a_second(act: Act) -> None:
    await start(act, 3, spot={"percentage": 100})
    await passes(act, 61.3)
    victim = machines(act, "spot")[0].id
    act.fleet.controls.interrupt(ids(victim))
    took_s = await until(act, lambda: len(act.fleet.machines()) == 4, within_s=10)
    assert took_s <= 1.5
    await until(act, lambda: online(act, 3), within_s=300)
    await settled(act)


@virtually(with_queue=True)
async def test_a_recommendation_replaces_a_machine_and_never_leaves_too_few(act: Act) -> None:
    await start(act, 3, spot={"percentage": 100}, shutdown={"drain": False})
    await passes(act, 60)
    before = set(act.fleet.machines())
    act.fleet.controls.interrupt(ids(*before), rebalance=True)
    running: list[int] = []

    async def renewed() -> bool:
        serving = [one for one in live(act.fleet.world) if one.view.state == "running" and "ok" in one.view.checks]
        running.append(len(serving))
        return not before & set(act.fleet.machines()) and await online(act, 3)

    await until(act, renewed, within_s=600)
    assert min(running) >= 3, "each ran on until enough others worked"
    await settled(act)


@virtually(with_queue=True)
async def test_recommendations_for_every_machine_from_its_first_moment_on_double_no_layer(act: Act) -> None:
    await start(act, 6, spot={"percentage": 100})
    act.fleet.controls.delays(Delays(status_ok_s=40.0))
    advised: set[str] = set()
    for _ in range(120):
        for machine in machines(act, "spot"):
            if machine.id not in advised and machine.view.state == "running":
                advised.add(machine.id)
                act.fleet.controls.interrupt(ids(machine.id), rebalance=True)
        await passes(act, 5)
        assert len(act.fleet.machines()) <= 7, "no more at once than a rollout may have"
    assert 8 <= len(advised) <= 6 + 600 / 40, "none is replaced before it worked"


@virtually(with_queue=True)
async def test_a_recommendation_of_long_ago_is_none(act: Act) -> None:
    await start(act, 2, spot={"percentage": 100})
    await passes(act, 60)
    before = act.fleet.machines()
    body = (
        '{"detail-type": "EC2 Instance Rebalance Recommendation", "source": "aws.ec2", "region": "us-east-1",'
        f' "time": "2020-01-01T00:00:00Z", "detail": {{"instance-id": "{before[0]}"}}}}'
    )
    act.fleet.controls.send(body)
    await passes(act, 300)
    assert act.fleet.machines() == before


@virtually()
async def test_all_spot_machines_taken_back_at_once_are_replaced_on_demand_where_spot_is_gone(act: Act) -> None:
    await start(act, 5)
    await passes(act, 60)
    act.fleet.controls.capacity("t3.small", None, 0, "spot")
    act.fleet.controls.interrupt(ids(*(one.id for one in machines(act, "spot"))))

    async def replaced() -> bool:
        return markets(act) == (0, 5) and await online(act, 5)

    await until(act, replaced, within_s=300)
    fallen = [one for one in await act.fleet.instances(STACK) if one.status.ec2 and one.status.ec2.fallback]
    assert len(fallen) == 2
    assert {one.spec.market for one in fallen} == {"spot"}
    assert await spot_status(act) == SpotStatus(wanted=2, running=0, fallback=2)
    assert counted(act, "strata_layer_spot_notices_total", kind="interruption") == 2
    assert counted(act, "strata_layer_spot_fallbacks_total") == 2
    assert (counted(act, "strata_layer_spot_wanted"), counted(act, "strata_layer_spot_fallback")) == (2, 2)
    assert {reasons.SPOT_INTERRUPTED, reasons.SPOT_FALLBACK, reasons.CAPACITY} <= await told(act)


@virtually()
async def test_fallbacks_stay_while_spot_is_gone_and_go_back_once_it_is_there(act: Act) -> None:
    act.fleet.controls.capacity("t3.small", None, 0, "spot")
    await start(act, 5)
    assert markets(act) == (0, 5)
    born = set(act.fleet.machines())
    await passes(act, 3 * HOUR_S)
    assert markets(act) == (0, 5)
    tried = born - set(act.fleet.machines())
    assert 1 <= len(tried) <= 3, "one is tried an hour, and no more"
    act.fleet.controls.capacity("t3.small", None, None, "spot")

    async def back() -> bool:
        return markets(act) == (2, 3) and await online(act, 5)

    await until(act, back, within_s=2 * HOUR_S)
    assert await spot_status(act) == SpotStatus(wanted=2, running=2)
    await settled(act)


@virtually()
async def test_a_spot_machine_that_is_to_stop_is_ended_and_another_one_starts(act: Act) -> None:
    await start(act, 3, spot={"percentage": 100}, healing={"action": "restart", "impairedAfter": "20s"})
    await passes(act, 60)
    victim = machines(act, "spot")[0].id
    act.fleet.controls.impair(ids(victim))

    async def healed() -> bool:
        return victim not in act.fleet.machines() and await online(act, 3)

    await until(act, healed, within_s=300)
    verbs = {call.action for call in act.fleet.world.log.since(0) if not call.code}
    assert "StopInstances" not in verbs
    await settled(act)


@virtually()
async def test_scale_in_that_stops_keeps_on_demand_machines_and_ends_spot_ones(act: Act) -> None:
    capacity = {"always": 6, "scaleIn": "stop"}
    act.processes.start()
    await act.fleet.person.stack(STACK)
    template = {"spot": {"percentage": 50}}
    await act.fleet.person.layer(STACK, LAYER, 6, instance=template, capacity=capacity)
    await act.fleet.online(STACK, 6)
    await passes(act, 60)
    await act.fleet.person.layer(STACK, LAYER, 2, instance=template, capacity=capacity | {"always": 2})

    def states() -> dict[str, int]:
        found: dict[str, int] = {}
        for one in live(act.fleet.world):
            found[f"{one.birth.lifecycle} {one.view.state}"] = (
                found.get(f"{one.birth.lifecycle} {one.view.state}", 0) + 1
            )
        return found

    wanted = {"spot running": 1, "on-demand running": 1, "on-demand stopped": 2}
    await until(act, lambda: states() == wanted, within_s=600)
    await act.fleet.person.layer(STACK, LAYER, 6, instance=template, capacity=capacity)
    wanted = {"spot running": 3, "on-demand running": 3}
    await until(act, lambda: states() == wanted, within_s=300)
    await settled(act)


@virtually()
async def test_who_may_not_read_spot_requests_runs_spot_machines_all_the_same(act: Act) -> None:
    denied = Fault("refuse", "UnauthorizedOperation", actions=frozenset({"DescribeSpotInstanceRequests"}), count=None)
    act.fleet.controls.fault(denied)
    await start(act, 3, spot={"percentage": 100})
    await passes(act, 60)
    victim = act.fleet.machines()[0]
    act.fleet.controls.interrupt(ids(victim))
    await passes(act, 115)
    assert victim in act.fleet.machines()
    await until(act, lambda: victim not in act.fleet.machines(), within_s=10)
    await passes(act, 10)  # its end is seen, and its slot launched anew
    await until(act, lambda: online(act, 3), within_s=60)
    assert all(one.status.failures is None for one in await act.fleet.instances(STACK))
    assert counted(act, "strata_layer_spot_notices_total", kind="unannounced") == 1
    await settled(act)


@virtually()
async def test_nobody_asks_for_spot_requests_where_no_spot_machine_is(act: Act) -> None:
    await start(act, 3, spot=None)
    await passes(act, 120)
    assert not any(call.action == "DescribeSpotInstanceRequests" for call in act.fleet.world.log.since(0))


@virtually()
async def test_an_interruption_during_a_failover_is_answered_by_the_next_leader(act: Act) -> None:
    await start(act, 3, spot={"percentage": 100})
    await passes(act, 60)
    victim = machines(act, "spot")[0].id
    act.processes.kill("a")
    act.fleet.controls.interrupt(ids(victim))
    act.processes.start("b")
    await until(act, lambda: len(act.fleet.machines()) == 4, within_s=60)
    await until(act, lambda: online(act, 3), within_s=300)
    assert len(list(lives(act.fleet.world))) == 4
    await settled(act)
