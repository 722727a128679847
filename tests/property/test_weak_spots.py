"""Bad days, one by one: what is most likely to double, to leak, to destroy or to hang."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest
import structlog
from tests.kit.acting import Act, hush, passes, settled, until, virtually
from tests.kit.rare_stories import hand_made, machines, protect, remove, stack
from tests.kit.stories import LAYER, STACK, online

from strata.resources import kinds
from strata.resources.meta import find_condition, is_true
from strata.store.port import Compare, Delete, ModRevisionIs, Operation, Put, TxnResult
from strata_sim.controls import ids
from strata_sim.faults import Fault
from strata_sim.knobs import Delays

HOUR_S = 3600.0


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    hush()
    yield
    structlog.reset_defaults()


def faults(act: Act, kind: Any, *actions: str, code: str = "InternalError", **more: Any) -> None:
    act.fleet.controls.fault(Fault(kind, code=code, actions=frozenset(actions), **more))


def calls(act: Act, action: str) -> int:
    """How many calls of this action were carried out."""
    return sum(call.action == action and not call.code for call in act.fleet.world.log.since(0))


async def layer_condition(act: Act, type_: str) -> tuple[str, str]:
    condition = find_condition((await act.fleet.get_layer(STACK, LAYER)).status.conditions, type_)
    return (condition.status, condition.reason) if condition else ("", "")


# -- launches ------------------------------------------------------------------------------------------------


@virtually()
async def test_a_lost_reply_and_then_credentials_refused_for_an_hour_double_nothing(act: Act) -> None:
    await stack(act)
    faults(act, "lose-reply", "RunInstances")
    faults(act, "refuse", "RunInstances", code="UnauthorizedOperation", count=None)
    await act.fleet.person.layer(STACK, LAYER, 1)
    await passes(act, HOUR_S)
    act.fleet.controls.clear_faults()
    await until(act, lambda: online(act, 1), within_s=300)
    await settled(act)
    assert calls(act, "RunInstances") >= 2
    assert len(act.laws.ended()) == 0


@virtually()
async def test_a_mismatch_that_lasts_past_the_tokens_day_is_resolved_by_sweeps(act: Act) -> None:
    await stack(act)
    faults(act, "lose-reply", "RunInstances")
    faults(act, "refuse", "RunInstances", code="IdempotentParameterMismatch", count=None)
    await act.fleet.person.layer(STACK, LAYER, 1)
    await passes(act, 11 * HOUR_S)
    assert len(act.fleet.machines()) == 1
    await until(act, lambda: online(act, 1), within_s=2 * HOUR_S)
    act.fleet.controls.clear_faults()
    await settled(act)


@virtually()
async def test_a_machine_that_describe_hides_for_minutes_is_waited_for(act: Act) -> None:
    act.fleet.controls.lag(240)
    await stack(act)
    await act.fleet.person.layer(STACK, LAYER, 3)
    await until(act, lambda: online(act, 3), within_s=900)
    act.fleet.controls.lag(0)
    await settled(act)
    assert calls(act, "RunInstances") == 3


@virtually()
async def test_partial_fills_queue_the_rest_elsewhere(act: Act) -> None:
    for zone in "abc":
        act.fleet.controls.capacity("t3.small", f"us-east-1{zone}", 2)
    await stack(act)
    await act.fleet.person.layer(STACK, LAYER, 9, instance={"types": ["t3.small", "t3.medium"]})
    await until(act, lambda: online(act, 9), within_s=120)
    await settled(act)
    assert len(act.laws.ended()) == 0


@virtually()
async def test_capacity_gone_everywhere_is_asked_for_now_and_then_and_used_when_it_is_back(act: Act) -> None:
    act.fleet.controls.capacity("t3.small", None, 0)
    await stack(act)
    await act.fleet.person.layer(STACK, LAYER, 2)
    await passes(act, HOUR_S)
    asked = sum(call.action == "RunInstances" for call in act.fleet.world.log.since(0))
    assert asked <= 3 * 2 * 14, "each zone once every five minutes is enough"
    slot = (await act.fleet.instances(STACK))[0]
    launched = find_condition(slot.status.conditions, "Launched")
    assert launched is not None
    assert launched.reason == "InsufficientInstanceCapacity"
    act.fleet.controls.capacity("t3.small", None, None)
    await until(act, lambda: online(act, 2), within_s=330)
    await settled(act)


@virtually()
async def test_a_slot_whose_machines_always_die_backs_off_and_recovers(act: Act) -> None:
    act.fleet.controls.boots("terminated", 1000)
    await stack(act)
    await act.fleet.person.layer(STACK, LAYER, 1)
    await passes(act, 2 * HOUR_S)
    assert 8 <= calls(act, "RunInstances") <= 24
    region = act.fleet.world.regions[0]
    region.knobs.boots.fates.clear()
    await until(act, lambda: online(act, 1), within_s=700)
    await settled(act)


@virtually()
async def test_two_stacks_with_equal_templates_share_no_launch(act: Act) -> None:
    act.processes.start()
    for name in ("one", "two"):
        await act.fleet.person.stack(name)
        await act.fleet.person.layer(name, LAYER, 3)
    for name in ("one", "two"):
        await act.fleet.online(name, 3)
    await settled(act)
    await act.fleet.person.delete(kinds.STACK, "one")
    await until(act, lambda: len(act.fleet.machines()) == 3, within_s=120)
    await passes(act, 60)
    assert len(await act.fleet.instances("two")) == 3


# -- deletes -------------------------------------------------------------------------------------------------


@virtually()
async def test_a_layer_deleted_while_its_launch_is_in_flight_leaves_nothing(act: Act) -> None:
    act.fleet.world.latency_s = 8.0
    await stack(act)
    await passes(act, 60)
    await act.fleet.person.layer(STACK, LAYER, 4)
    await until(act, lambda: bool(act.laws.open_launches()), within_s=60)
    await act.fleet.person.delete(kinds.LAYER, LAYER, STACK)
    await until(act, lambda: gone(act), within_s=300)
    act.fleet.world.latency_s = 0.0
    await settled(act)
    assert not act.fleet.machines()


async def gone(act: Act) -> bool:
    return await act.fleet.person.read(kinds.LAYER, LAYER, STACK) is None and not await act.fleet.instances(STACK)


@virtually()
async def test_a_slot_deleted_at_the_seal_whose_reply_is_lost_leaves_nothing(act: Act) -> None:
    faults(act, "lose-reply", "RunInstances", count=5)
    await stack(act)
    await act.fleet.person.layer(STACK, LAYER, 2)
    await until(act, lambda: bool(act.laws.open_launches()), within_s=60)
    await act.fleet.person.delete(kinds.STACK, STACK)
    await act.fleet.empty(within_s=600)
    await settled(act)


@virtually()
async def test_a_paused_stack_is_deleted_once_it_is_resumed(act: Act) -> None:
    await machines(act, 2)
    await act.fleet.person.stack(STACK, paused=True)
    await act.fleet.person.delete(kinds.STACK, STACK)
    await passes(act, HOUR_S)
    assert len(act.fleet.machines()) == 2
    kept = await act.fleet.get_stack(STACK)
    assert kept is not None
    ready = find_condition(kept.status.conditions, "Ready")
    assert ready is not None
    assert "paused" in ready.message
    await act.fleet.person.stack(STACK)
    await act.fleet.empty(within_s=120)
    await settled(act)


@virtually()
async def test_a_pause_holds_a_sealed_launch_and_a_resume_sends_it(act: Act) -> None:
    await stack(act)
    await passes(act, 10)
    faults(act, "unreachable", "RunInstances", count=None)
    await act.fleet.person.layer(STACK, LAYER, 2)
    await until(act, lambda: bool(act.laws.open_launches()), within_s=60)
    await act.fleet.person.stack(STACK, paused=True)
    await passes(act, 60)
    act.fleet.controls.clear_faults()
    await passes(act, HOUR_S)
    assert not act.fleet.machines()
    await act.fleet.person.stack(STACK)
    await until(act, lambda: online(act, 2), within_s=120)
    await settled(act)


@virtually()
async def test_a_stack_at_an_unknown_endpoint_says_so_harms_nobody_and_can_be_deleted(act: Act) -> None:
    act.fleet.unknown_endpoints.add("nowhere")
    await act.fleet.person.stack("lost", endpoint="nowhere")
    await act.fleet.person.layer("lost", LAYER, 2)
    await machines(act, 2)
    lost = await act.fleet.get_stack("lost")
    assert lost is not None
    reachable = find_condition(lost.status.conditions, "CloudReachable")
    assert reachable is not None
    assert reachable.status == "False"
    await act.fleet.person.delete(kinds.STACK, "lost")
    await until(act, lambda: _absent(act, "lost"), within_s=300)
    await settled(act)


async def _absent(act: Act, name: str) -> bool:
    return await act.fleet.get_stack(name) is None


@virtually()
async def test_a_finalizer_stripped_by_hand_leaks_no_machine(act: Act) -> None:
    await machines(act, 3)
    await remove(act, kinds.INSTANCE, f"{LAYER}-2")
    await until(act, lambda: online(act, 3), within_s=1500)
    await settled(act)
    assert len(act.laws.ended()) == 1


@virtually()
async def test_a_stack_and_all_of_its_objects_removed_by_hand_leak_no_machine(act: Act) -> None:
    await machines(act, 2)
    names = [slot.metadata.name for slot in await act.fleet.instances(STACK)]
    await remove(act, kinds.INSTANCE, *names)
    await remove(act, kinds.LAYER, LAYER)
    act.processes.kill()
    await passes(act, 30)
    await remove_stack(act)
    act.processes.start()
    await until(act, lambda: not act.fleet.machines(), within_s=2 * HOUR_S)
    await settled(act)


async def remove_stack(act: Act) -> None:
    await act.fleet.store.txn([], [Delete(kinds.STACK.key(STACK))])


# -- healing -------------------------------------------------------------------------------------------------


@virtually()
async def test_a_machine_that_recovers_while_ec2_cannot_be_reached_is_not_ended(act: Act) -> None:
    await machines(act, 3, healing={"impairedAfter": "1m"})
    victim = act.fleet.machines()[0]
    act.fleet.controls.impair(ids(victim))
    await passes(act, 50)
    faults(act, "refuse", "TerminateInstances", code="UnauthorizedOperation", count=None)
    await until(act, lambda: marked(act), within_s=120)
    faults(act, "unreachable", count=None)
    act.fleet.controls.heal(ids(victim))
    await passes(act, 600)
    act.fleet.controls.clear_faults()
    await until(act, lambda: online(act, 3), within_s=300)
    await settled(act)
    assert victim in act.fleet.machines()


async def marked(act: Act) -> bool:
    return any(slot.status.heal is not None for slot in await act.fleet.instances(STACK))


@virtually()
async def test_half_a_layer_impaired_at_once_is_protected_and_comes_back_by_itself(act: Act) -> None:
    await machines(act, 10, healing={"impairedAfter": "1m"})
    before = set(act.fleet.machines())
    act.fleet.controls.impair(ids(*sorted(before)[:5]))
    await passes(act, HOUR_S)
    assert set(act.fleet.machines()) == before
    assert await layer_condition(act, "Protected") == ("True", "TooManyUnhealthy")
    act.fleet.controls.heal(ids(*sorted(before)[:5]))
    await until(act, lambda: online(act, 10), within_s=60)
    await passes(act, 310)
    assert await layer_condition(act, "Protected") == ("False", "WithinBudget")
    await settled(act)
    assert set(act.fleet.machines()) == before


@virtually()
async def test_as_many_as_the_budget_allows_are_replaced_at_a_time(act: Act) -> None:
    await machines(act, 10, healing={"impairedAfter": "1m"})
    victims = sorted(act.fleet.machines())[:3]
    act.fleet.controls.impair(ids(*victims))
    await until(act, lambda: not set(victims) & set(act.fleet.machines()), within_s=200)
    await until(act, lambda: online(act, 10), within_s=200)
    await settled(act)


@virtually()
async def test_healing_that_is_off_replaces_what_is_gone_and_nothing_else(act: Act) -> None:
    await machines(act, 3, healing={"enabled": False})
    gone_one, impaired, stopped = act.fleet.machines()
    act.fleet.controls.terminate(ids(gone_one))
    act.fleet.controls.impair(ids(impaired))
    act.fleet.controls.stop(ids(stopped))
    await passes(act, HOUR_S)
    assert {impaired, stopped} < set(act.fleet.machines())
    assert len(act.fleet.machines()) == 3
    assert not act.laws.ended()


@virtually()
async def test_a_changing_view_of_a_restarted_machine_does_not_end_it(act: Act) -> None:
    await machines(act, 0)
    await hand_made(act, "running")
    await act.fleet.online(STACK, 1)
    machine = act.fleet.machines()[0]
    act.fleet.controls.lag(120, uneven=True)
    for power in ("stopped", "running") * 4:
        await hand_made(act, power)
        await passes(act, 200)
    act.fleet.controls.lag(0)
    await until(act, lambda: online(act, 1), within_s=600)
    await settled(act)
    assert act.fleet.machines() == [machine]


@virtually()
async def test_power_that_is_switched_off_and_on_at_once_keeps_its_machine(act: Act) -> None:
    await machines(act, 0)
    await hand_made(act, "running")
    await act.fleet.online(STACK, 1)
    machine = act.fleet.machines()[0]
    await hand_made(act, "stopped")
    await until(act, lambda: calls(act, "StopInstances") == 1, within_s=10)
    await hand_made(act, "running")
    await until(act, lambda: calls(act, "StartInstances") == 1, within_s=120)
    await until(act, lambda: online(act, 1), within_s=120)
    await settled(act)
    assert act.fleet.machines() == [machine]


@virtually()
async def test_a_stopped_machine_that_somebody_starts_again_before_it_is_ended_is_kept(act: Act) -> None:
    await machines(act, 2, healing={"startDeadline": "1h"})
    machine = act.fleet.machines()[0]
    protect(act, machine, protected=True)
    act.fleet.controls.stop(ids(machine))
    await until(act, lambda: marked(act), within_s=60)
    act.fleet.controls.delays(Delays(status_ok_s=1800.0))
    act.fleet.controls.start(ids(machine))
    await passes(act, 60)
    protect(act, machine, protected=False)
    await until(act, lambda: online(act, 2), within_s=2000)
    await settled(act)
    assert machine in act.fleet.machines()


@virtually()
async def test_a_lost_machine_is_noticed_at_once_though_status_checks_cannot_be_read(act: Act) -> None:
    await machines(act, 3)
    act.fleet.controls.delays(Delays(shutting_down_s=0.01))
    faults(act, "refuse", "DescribeInstanceStatus", count=4)
    act.fleet.controls.terminate(ids(act.fleet.machines()[0]))
    await until(act, lambda: len(act.fleet.machines()) == 3, within_s=60)
    await settled(act)


# -- the store -----------------------------------------------------------------------------------------------


@virtually()
async def test_a_restored_backup_ends_nothing(act: Act) -> None:
    await machines(act, 2)
    await passes(act, 60)
    backup = act.fleet.server.revision
    await act.fleet.person.layer(STACK, LAYER, 8)
    await act.fleet.online(STACK, 8)
    await passes(act, 60)
    before = set(act.fleet.machines())
    act.fleet.server.restore(backup)
    act.laws.store_went_back()
    await passes(act, 2 * HOUR_S)
    assert before <= set(act.fleet.machines())
    assert not act.laws.ended()
    orphans = await act.fleet.store.list(kinds.ORPHANS)
    assert len(orphans.items) == 6


@virtually()
async def test_an_empty_store_ends_nothing(act: Act) -> None:
    await machines(act, 3)
    await passes(act, 60)
    before = set(act.fleet.machines())
    act.fleet.server.wipe()
    act.laws.store_went_back()
    await passes(act, HOUR_S)
    await act.fleet.person.stack(STACK)
    await act.fleet.person.layer(STACK, LAYER, 1)
    await passes(act, HOUR_S)
    assert before < set(act.fleet.machines())
    assert not act.laws.ended()


@virtually()
async def test_a_store_that_is_away_nearly_as_long_as_the_lease_leaves_nobody_waiting(act: Act) -> None:
    await machines(act, 3)
    store = act.processes.running["a"].store
    assert store is not None
    for away_s in (9.0, 10.0, 11.0, 12.0, 13.0, 14.0):
        victim = act.fleet.machines()[0]
        act.fleet.world.latency_s = 2.0
        act.fleet.controls.terminate(ids(victim))
        await passes(act, 4.0)
        store.cut_off()
        await passes(act, away_s)
        store.reconnect()
        act.fleet.world.latency_s = 0.0
        await until(act, lambda: online(act, 3), within_s=120)
    await act.fleet.person.layer(STACK, LAYER, 1)
    await until(act, lambda: online(act, 1), within_s=60)
    await settled(act)


# -- two of us -----------------------------------------------------------------------------------------------


@virtually()
async def test_a_leader_frozen_in_the_middle_of_a_launch_makes_nothing_twice_when_it_wakes(act: Act) -> None:
    act.fleet.world.latency_s = 1.0
    await stack(act)
    act.processes.start("b")
    await passes(act, 30)
    await act.fleet.person.layer(STACK, LAYER, 6)
    await until(act, lambda: bool(act.laws.open_launches()), within_s=30)
    leader = next(p for p in act.processes.running.values() if p.daemon and p.daemon.controller.election.leadership)
    leader.freeze()
    await passes(act, 60)
    leader.thaw()
    act.fleet.world.latency_s = 0.0
    await until(act, lambda: online(act, 6), within_s=120)
    await settled(act)
    assert not act.laws.ended()


@virtually(wall_offset_s={"a": 240.0, "b": -240.0})
async def test_clocks_minutes_apart_on_either_side_of_a_takeover_end_nothing(act: Act) -> None:
    await stack(act)
    act.processes.start("b")
    faults(act, "lose-reply", "RunInstances", count=2)
    await act.fleet.person.layer(STACK, LAYER, 4)
    await passes(act, 2)
    act.processes.kill("a")
    await until(act, lambda: online(act, 4), within_s=300)
    act.processes.start("a")
    act.processes.kill("b")
    await passes(act, 2 * HOUR_S)
    await settled(act)
    assert not act.laws.ended()
    assert is_true((await act.fleet.get_layer(STACK, LAYER)).status.conditions, "Ready")


@virtually()
async def test_a_backup_restored_behind_a_deaf_watch_ends_nothing_in_the_moment_before_it_is_noticed(act: Act) -> None:
    await machines(act, 2)
    await passes(act, 60)
    backup = act.fleet.server.revision
    await act.fleet.person.layer(STACK, LAYER, 4)
    await act.fleet.online(STACK, 4)
    await passes(act, 1000)
    daemon, store = act.processes.running["a"].daemon, act.processes.running["a"].store
    assert daemon is not None
    assert daemon.controller.reign is not None
    assert store is not None
    store.deaf = True
    act.fleet.server.restore(backup)
    act.laws.store_went_back()
    for region in daemon.controller.reign.regions.all():
        region.observer.request_sweep()
    await passes(act, 120)
    store.deaf = False
    await passes(act, 1800)
    assert not act.laws.ended()
    assert len((await act.fleet.store.list(kinds.ORPHANS)).items) == 2


@virtually()
async def test_a_launch_that_was_under_way_when_a_backup_was_restored_is_ended_all_the_same(act: Act) -> None:
    await stack(act)
    await passes(act, 10)
    faults(act, "lose-reply", "RunInstances", count=3)
    await act.fleet.person.layer(STACK, LAYER, 1)
    await until(act, lambda: calls(act, "RunInstances") >= 3, within_s=60)
    act.fleet.server.restore(act.fleet.server.revision - 2)
    act.laws.store_went_back()
    await until(act, lambda: online(act, 1), within_s=120)
    await settled(act)


@virtually()
async def test_orphans_are_held_once_for_a_restore_and_not_again_after_that(act: Act) -> None:
    await machines(act, 1)
    await passes(act, 60)
    act.fleet.server.restore(act.fleet.server.revision - 1)
    act.laws.store_went_back()
    await until(act, lambda: bool(act.laws.cluster().held_because), within_s=60)
    await until(act, lambda: not act.laws.cluster().held_because, within_s=2 * HOUR_S)
    incarnation = act.laws.cluster().incarnation
    await passes(act, HOUR_S)
    assert not act.laws.cluster().held_because
    assert act.laws.cluster().incarnation == incarnation


# -- what a transaction takes --------------------------------------------------------------------------------


@virtually()
async def test_slots_that_people_made_large_are_deleted_in_transactions_that_etcd_takes(act: Act) -> None:
    await machines(act, 20)
    for slot in await act.fleet.instances(STACK):
        await _annotate(act, kinds.INSTANCE.key(slot.metadata.name, STACK), 200_000)
    sizes: list[int] = []
    server, commit = act.fleet.server, act.fleet.server.txn

    def weighed(compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult:
        sizes.append(sum(len(one.value) for one in operations if isinstance(one, Put)))
        return commit(compares, operations)

    server.txn = weighed  # type: ignore[method-assign]
    await act.fleet.person.delete(kinds.LAYER, LAYER, STACK)
    await until(act, lambda: not act.fleet.machines(), within_s=120)
    assert max(sizes) < 1_500_000


async def _annotate(act: Act, key: str, size_bytes: int) -> None:
    """As a person may, through the API."""
    while True:
        kv = await act.fleet.store.get(key)
        assert kv is not None
        document = msgspec.json.decode(kv.value)
        document["metadata"]["annotations"] = {"notes": "x" * size_bytes}
        value = msgspec.json.encode(document)
        if (await act.fleet.store.txn([ModRevisionIs(key, kv.mod_revision)], [Put(key, value)])).succeeded:
            return
