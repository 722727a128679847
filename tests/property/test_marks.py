"""Healing and power over time: what is marked, meant and done, and what comes between the three."""

import asyncio
from collections.abc import Iterator, Sequence

import pytest
import structlog
from tests.kit.acting import Act, hush, passes, settled, until, virtually
from tests.kit.fleet import Fleet
from tests.kit.rare_stories import hand_made, machines
from tests.kit.stories import LAYER, STACK, online
from tests.kit.virtual_time import run_virtual

from strata.reconcile.layer_pass import LayerPass
from strata.resources import kinds
from strata.resources.codec import decode
from strata.resources.event import Event
from strata.resources.instance import Instance, Phase
from strata.resources.kinds import ObjectKey
from strata.resources.meta import find_condition
from strata.store.port import ModRevisionIs, Put
from strata_sim.controls import ids
from strata_sim.faults import Fault


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    hush()
    yield
    structlog.reset_defaults()


def refuse(act: Act, *actions: str) -> None:
    act.fleet.controls.fault(Fault("refuse", code="Unavailable", actions=frozenset(actions), count=None))


async def slot(act: Act, name: str = "web-1") -> Instance:
    return next(one for one in await act.fleet.instances(STACK) if one.metadata.name == name)


async def marked(act: Act) -> bool:
    return any(one.status.heal is not None for one in await act.fleet.instances(STACK))


@virtually()
async def test_healing_that_is_switched_off_takes_its_marks_back(act: Act) -> None:
    await machines(act, 3, healing={"impairedAfter": "1m"})
    victim = act.fleet.machines()[0]
    refuse(act, "TerminateInstances")
    act.fleet.controls.impair(ids(victim))
    await until(act, lambda: marked(act), within_s=200)
    await act.fleet.person.layer(STACK, LAYER, 3, healing={"enabled": False})
    await passes(act, 30)
    act.fleet.controls.clear_faults()
    await passes(act, 600)
    assert victim in act.fleet.machines()
    assert not await marked(act)


@virtually()
async def test_a_stop_that_was_meant_and_done_when_the_process_died_is_nobody_elses(act: Act) -> None:
    await machines(act, 0)
    await hand_made(act, "running")
    await act.fleet.online(STACK, 1)
    machine = act.fleet.machines()[0]
    act.processes.running["a"].die_at("after StopInstances")
    await hand_made(act, "stopped")
    await act.fleet.until(lambda: act.processes.running["a"].dead, within_s=60)
    act.processes.kill()
    await hand_made(act, "running")
    await asyncio.sleep(120)
    act.processes.start()
    await until(act, lambda: online(act, 1), within_s=300)
    await settled(act)
    assert act.fleet.machines() == [machine]


@virtually()
async def test_a_machine_that_stops_again_and_again_is_restarted_once_and_then_replaced(act: Act) -> None:
    await machines(act, 1, healing={"action": "restart"})
    machine = act.fleet.machines()[0]

    async def stops_when_it_runs() -> bool:
        if (await slot(act)).status.phase == Phase.ONLINE and machine in act.fleet.machines():
            act.fleet.controls.stop(ids(machine))
        return machine not in act.fleet.machines()

    await until(act, stops_when_it_runs, within_s=1200)
    starts = [call for call in act.fleet.world.log.since(0) if call.action == "StartInstances" and not call.code]
    assert len(starts) == 1
    await until(act, lambda: online(act, 1), within_s=300)
    failures = (await slot(act)).status.failures
    assert failures is not None
    assert failures.count >= 1
    await settled(act)


@virtually()
async def test_a_deleted_layer_and_its_stack_wait_for_a_slot_that_nobody_can_read(act: Act) -> None:
    await machines(act, 2)
    key = kinds.INSTANCE.key("web-1", STACK)
    kv = await act.fleet.store.get(key)
    assert kv is not None
    broken = Put(key, kv.value.replace(b'"availability":"layer"', b'"availability":"sideways"'))
    assert (await act.fleet.store.txn([ModRevisionIs(key, kv.mod_revision)], [broken])).succeeded
    await act.fleet.person.delete(kinds.STACK, STACK)
    await passes(act, 400)
    layer, owner = await act.fleet.get_layer(STACK, LAYER), await act.fleet.get_stack(STACK)
    assert len(act.fleet.machines()) == 1
    assert "web-1" in says(layer.status.conditions)
    assert owner is not None
    assert "instances/web-1" in says(owner.status.conditions)
    await act.fleet.store.txn([], [Put(key, kv.value)])  # a person mends it
    await act.fleet.empty(within_s=400)


def says(conditions: Sequence[object]) -> str:
    ready = find_condition(tuple(conditions), "Ready")  # type: ignore[arg-type]
    return ready.message if ready else ""


@virtually()
async def test_a_paused_slot_says_what_the_pause_holds_back(act: Act) -> None:
    await machines(act, 2)
    await act.fleet.person.stack(STACK, paused=True)
    await act.fleet.person.delete(kinds.INSTANCE, "web-1", STACK)
    await passes(act, 60)
    paused = await slot(act)
    assert paused.status.phase == Phase.ONLINE
    assert says(paused.status.conditions) == "the stack is paused: no terminate: the slot is deleted"
    await act.fleet.person.stack(STACK, paused=False)
    await until(act, lambda: online(act, 2), within_s=120)
    await settled(act)


def test_a_clock_that_ran_three_hours_ahead_delays_no_launch_of_the_next_leader() -> None:
    async def day() -> None:
        fleet = Fleet(wall_offset_s={"a": 3 * 3600.0})
        fleet.controls.fault(
            Fault("refuse", code="InvalidParameterValue", actions=frozenset({"RunInstances"}), count=None)
        )
        fleet.start()
        await fleet.person.stack(STACK)
        await fleet.person.layer(STACK, LAYER, 1)
        await asyncio.sleep(60)
        await fleet.stop()
        fleet.controls.clear_faults()
        fleet.start("b")
        await fleet.online(STACK, 1, within_s=700)
        await fleet.close()

    run_virtual(day())


def test_a_pass_that_crashes_is_told_to_those_who_look_at_its_object(monkeypatch: pytest.MonkeyPatch) -> None:
    async def crash(_self: LayerPass, _key: ObjectKey) -> float | None:
        raise ZeroDivisionError("a fault of ours")

    async def day() -> None:
        fleet = Fleet()
        fleet.start()
        await fleet.person.stack(STACK)
        await fleet.person.layer(STACK, LAYER, 1)
        await asyncio.sleep(60)
        events = [decode(Event, kv.value) for kv in (await fleet.store.list(kinds.EVENTS)).items]
        crashed = [event for event in events if event.reason == "Crashed"]
        assert [event.involved_object.name for event in crashed] == [LAYER]
        assert crashed[0].involved_object.uid == (await fleet.get_layer(STACK, LAYER)).metadata.uid
        assert crashed[0].message == "nothing is done for it: ZeroDivisionError: a fault of ours"
        await fleet.close()

    monkeypatch.setattr(LayerPass, "reconcile", crash)
    run_virtual(day())
