"""Machines that no record accounts for: who may be ended, who waits for a person, and what a person's word does."""

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest
import structlog
from prometheus_client import generate_latest
from tests.kit.acting import Act, hush, passes, until, virtually
from tests.kit.fleet import REGION, Fleet
from tests.kit.rare_stories import QUICK, decide, machines, protect, remove
from tests.kit.stories import LAYER, STACK, online
from tests.kit.virtual_time import run_virtual

from strata.resources import kinds
from strata.resources.cluster import ClusterIdentity, Orphan
from strata.resources.codec import decode
from strata.resources.kinds import CLUSTER_KEY, Kind
from strata.resources.meta import is_true
from strata.store.port import Delete, Put
from strata_sim.catalog import Catalog, default_region
from strata_sim.controls import ids
from strata_sim.world import World

MINUTE_S, HOUR_S = 60.0, 3600.0
SETTINGS = replace(QUICK, sweep_interval_s=60.0)
ONE_ZONE = {"subnets": [{"id": "subnet-0a", "zone": "us-east-1a"}]}  # so that all come of one launch


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    hush()
    yield
    structlog.reset_defaults()


async def orphans(fleet: Fleet) -> list[Orphan]:
    return [decode(Orphan, kv.value) for kv in (await fleet.store.list(kinds.ORPHANS)).items]


async def fleet_of(act: Act, count: int) -> None:
    """So many machines, of one launch, older than the grace of orphans."""
    act.processes.start()
    await act.fleet.person.stack(STACK, **ONE_ZONE)
    await act.fleet.person.layer(STACK, LAYER, count)
    await act.fleet.online(STACK, count)
    await passes(act, 200)


async def restore(act: Act, count: int) -> None:
    """So many machines of one launch; then a backup that is older than all of them."""
    act.processes.start()
    await act.fleet.person.stack(STACK, **ONE_ZONE)
    await act.fleet.person.layer(STACK, LAYER, 0)
    await passes(act, 40)
    backup = act.fleet.server.revision
    await act.fleet.person.layer(STACK, LAYER, count)
    await act.fleet.online(STACK, count)
    await passes(act, 200)
    act.processes.kill()
    act.fleet.server.restore(backup)
    act.laws.store_went_back()
    act.processes.start()
    await until(act, lambda: _are_held(act, count), within_s=5 * MINUTE_S)


async def _are_held(act: Act, count: int) -> bool:
    return len(await orphans(act.fleet)) == count


async def lose(act: Act, *which: Kind) -> None:
    """Records are lost by hand, and nothing tells that they are."""
    for kind in which:
        listing = await act.fleet.store.list(kind.prefix(STACK))
        await act.fleet.store.txn([], [Delete(kv.key) for kv in listing.items])


async def adopt(act: Act, *instance_ids: str) -> None:
    for instance_id in instance_ids:
        await decide(act, instance_id, "adopt", LAYER)


# -- adoption ------------------------------------------------------------------------------------------------


@virtually(settings=SETTINGS)
async def test_all_machines_of_one_launch_are_adopted_one_by_one_and_kept(act: Act) -> None:
    await restore(act, 4)
    await act.fleet.person.stack(STACK, **ONE_ZONE, paused=True)
    await act.fleet.person.layer(STACK, LAYER, 4)
    old = set(act.fleet.machines())
    await passes(act, 10)
    await adopt(act, *old)
    await until(act, lambda: _are_held(act, 0), within_s=MINUTE_S)
    await act.fleet.person.stack(STACK, **ONE_ZONE)
    await until(act, lambda: online(act, 4), within_s=5 * MINUTE_S)
    await passes(act, HOUR_S)
    assert set(act.fleet.machines()) == old


@virtually(settings=SETTINGS)
async def test_who_is_not_adopted_with_the_others_of_its_launch_goes_on_waiting(act: Act) -> None:
    await restore(act, 4)
    await act.fleet.person.stack(STACK, **ONE_ZONE, paused=True)
    await act.fleet.person.layer(STACK, LAYER, 1)
    old = set(act.fleet.machines())
    await passes(act, 10)
    await adopt(act, min(old))
    await until(act, lambda: _are_held(act, 3), within_s=MINUTE_S)
    await act.fleet.person.stack(STACK, **ONE_ZONE)
    await passes(act, 2 * HOUR_S)
    assert set(act.fleet.machines()) == old
    assert await _are_held(act, 3)


@virtually(settings=SETTINGS)
async def test_a_full_layer_adopts_nobody_and_says_how_to_make_room(act: Act) -> None:
    await restore(act, 1)
    await act.fleet.person.layer(STACK, LAYER, 1)
    await act.fleet.online(STACK, 1)
    (orphan,) = await orphans(act.fleet)
    await adopt(act, orphan.instance_id)
    await passes(act, MINUTE_S)
    (refused,) = await orphans(act.fleet)
    assert refused.decision == ""
    assert "raise the layer's capacity" in refused.message
    assert len(act.fleet.machines()) == 2


@virtually(settings=SETTINGS)
async def test_no_more_are_adopted_than_the_layer_has_room_for(act: Act) -> None:
    await restore(act, 3)
    await act.fleet.person.stack(STACK, **ONE_ZONE, paused=True)
    await act.fleet.person.layer(STACK, LAYER, 1)
    await passes(act, 10)
    await adopt(act, *act.fleet.machines())
    await passes(act, MINUTE_S)
    assert len(await act.fleet.instances(STACK)) == 1
    assert [bool(one.message) for one in await orphans(act.fleet)] == [True, True]


@virtually(settings=SETTINGS)
async def test_an_adopted_machine_is_not_the_first_that_a_scale_in_takes(act: Act) -> None:
    await restore(act, 2)
    await act.fleet.person.stack(STACK, **ONE_ZONE, paused=True)
    await act.fleet.person.layer(STACK, LAYER, 2)
    await passes(act, 10)
    await adopt(act, *act.fleet.machines())
    await until(act, lambda: _are_held(act, 0), within_s=MINUTE_S)
    assert all(slot.status.online_since for slot in await act.fleet.instances(STACK))


@virtually(settings=SETTINGS)
async def test_a_stopped_machine_that_is_adopted_is_started_and_not_taken_for_failed(act: Act) -> None:
    await restore(act, 1)
    machine = act.fleet.machines()[0]
    act.fleet.controls.stop(ids(machine))
    await passes(act, 2 * MINUTE_S)
    await act.fleet.person.stack(STACK, **ONE_ZONE, paused=True)
    await act.fleet.person.layer(STACK, LAYER, 1)
    await passes(act, 10)
    await adopt(act, machine)
    await until(act, lambda: _are_held(act, 0), within_s=MINUTE_S)
    await act.fleet.person.stack(STACK, **ONE_ZONE)
    await until(act, lambda: online(act, 1), within_s=5 * MINUTE_S)
    assert act.fleet.machines() == [machine]


# -- who is ended --------------------------------------------------------------------------------------------


@virtually(settings=SETTINGS)
async def test_of_many_that_are_held_those_without_a_decision_stay_however_few_are_left(act: Act) -> None:
    await fleet_of(act, 6)
    await act.fleet.person.layer(STACK, LAYER, 0)
    await lose(act, kinds.INSTANCE, kinds.LAUNCH)
    await until(act, lambda: _are_held(act, 6), within_s=5 * MINUTE_S)
    old = sorted(act.fleet.machines())
    for instance_id in old[:4]:
        await decide(act, instance_id, "delete")
    await passes(act, 2 * HOUR_S)
    assert sorted(act.fleet.machines()) == old[4:]
    assert await _are_held(act, 2)


@virtually(settings=SETTINGS)
async def test_a_machine_that_a_slot_names_is_no_orphan_though_its_launch_record_is_lost(act: Act) -> None:
    await fleet_of(act, 2)
    await lose(act, kinds.LAUNCH)
    await passes(act, HOUR_S)
    assert len(act.fleet.machines()) == 2
    assert not act.laws.ended()
    assert not await orphans(act.fleet)


@virtually(settings=SETTINGS)
async def test_in_a_paused_stack_no_orphan_is_ended_until_it_goes_on(act: Act) -> None:
    await fleet_of(act, 2)
    await act.fleet.person.stack(STACK, **ONE_ZONE, paused=True)
    await act.fleet.person.layer(STACK, LAYER, 0)
    await lose(act, kinds.INSTANCE, kinds.LAUNCH)
    await passes(act, HOUR_S)
    assert len(act.fleet.machines()) == 2
    await act.fleet.person.stack(STACK, **ONE_ZONE)
    await until(act, lambda: not act.fleet.machines(), within_s=5 * MINUTE_S)


@virtually(settings=SETTINGS)
async def test_a_decision_to_delete_waits_while_the_stack_is_paused_and_says_so(act: Act) -> None:
    await restore(act, 1)
    await act.fleet.person.stack(STACK, **ONE_ZONE, paused=True)
    await decide(act, act.fleet.machines()[0], "delete")
    await passes(act, HOUR_S)
    (orphan,) = await orphans(act.fleet)
    assert (orphan.decision, "paused" in orphan.message) == ("delete", True)
    assert len(act.fleet.machines()) == 1
    await act.fleet.person.stack(STACK, **ONE_ZONE)
    await until(act, lambda: not act.fleet.machines(), within_s=MINUTE_S)
    assert await _are_held(act, 0)


@virtually(settings=SETTINGS)
async def test_one_that_is_protected_keeps_no_other_orphan_alive_and_is_not_said_to_be_ended(act: Act) -> None:
    await fleet_of(act, 3)
    protected = act.fleet.machines()[0]
    protect(act, protected, protected=True)
    await act.fleet.person.layer(STACK, LAYER, 0)
    await lose(act, kinds.INSTANCE, kinds.LAUNCH)
    await until(act, lambda: len(act.fleet.machines()) == 1, within_s=5 * MINUTE_S)
    await passes(act, 10 * MINUTE_S)
    said = [kv.value for kv in (await act.fleet.store.list(kinds.EVENTS)).items if b'"OrphanReaped"' in kv.value]
    assert len(said) == 2
    assert not any(protected.encode() in event for event in said)


@virtually(settings=SETTINGS)
async def test_a_decision_that_fails_keeps_no_other_from_being_carried_out(act: Act) -> None:
    await restore(act, 3)
    first = min(act.fleet.machines())
    protect(act, first, protected=True)
    for instance_id in act.fleet.machines():
        await decide(act, instance_id, "delete")
    await until(act, lambda: act.fleet.machines() == [first], within_s=MINUTE_S)
    await passes(act, MINUTE_S)
    (left,) = await orphans(act.fleet)
    assert left.instance_id == first
    assert "OperationNotPermitted" in left.message


@virtually(settings=SETTINGS)
async def test_a_lease_that_is_too_short_to_end_a_machine_is_no_end_of_a_leadership(act: Act) -> None:
    await fleet_of(act, 2)
    await act.fleet.person.layer(STACK, LAYER, 0)
    act.processes.kill()
    await lose(act, kinds.INSTANCE, kinds.LAUNCH)
    act.fleet.settings = replace(SETTINGS, act_margin_s=1000.0)
    controller = act.processes.start().daemon.controller  # type: ignore[union-attr]  # it was started just now
    await until(act, lambda: controller.reign is not None, within_s=MINUTE_S)
    reign = controller.reign
    await passes(act, HOUR_S)
    assert controller.reign is reign
    assert len(act.fleet.machines()) == 2


# -- records -------------------------------------------------------------------------------------------------


@virtually(settings=SETTINGS)
async def test_a_record_that_nobody_can_read_stops_no_other_and_its_machine_is_left_alone(act: Act) -> None:
    await restore(act, 3)
    first, second, third = sorted(act.fleet.machines())
    await act.fleet.store.txn([], [Put(f"{kinds.ORPHANS}{first}", b"{poison")])
    await decide(act, second, "delete")
    await decide(act, third, "delete")
    await until(act, lambda: act.fleet.machines() == [first], within_s=MINUTE_S)
    await passes(act, HOUR_S)
    assert act.fleet.machines() == [first]
    assert act.laws.cluster().held_because
    page = generate_latest(act.fleet.daemons["a"].metrics.registry).decode()
    assert "strata_orphan_records_unreadable 1.0" in page


@virtually(settings=SETTINGS)
async def test_a_stack_says_at_once_that_orphans_are_held_and_that_none_is_any_more(act: Act) -> None:
    await restore(act, 2)
    await until(act, lambda: _stack_says(act, held=True), within_s=6)
    for instance_id in act.fleet.machines():
        await decide(act, instance_id, "delete")
    await until(act, lambda: _are_held(act, 0), within_s=MINUTE_S)
    await until(act, lambda: _stack_says(act, held=False), within_s=6)


async def _stack_says(act: Act, *, held: bool) -> bool:
    stored = await act.fleet.get_stack(STACK)
    return stored is not None and is_true(stored.status.conditions, "OrphansHeld") == held


@virtually(settings=SETTINGS)
async def test_orphans_of_a_stack_that_is_lost_are_counted_and_decided_on_all_the_same(act: Act) -> None:
    act.processes.start()
    await passes(act, 40)
    backup = act.fleet.server.revision
    await act.fleet.person.stack("other", region="eu-west-1")  # the backup knows of no stack, and of no region
    await machines(act, 2)
    await passes(act, 200)
    act.processes.kill()
    act.fleet.server.restore(backup)
    act.laws.store_went_back()
    await act.fleet.person.stack("other")
    act.processes.start()
    await until(act, lambda: _are_held(act, 2), within_s=5 * MINUTE_S)
    page = generate_latest(act.fleet.daemons["a"].metrics.registry).decode()
    assert f'strata_region_orphans_held{{region="{REGION}"}} 2.0' in page
    await remove_stack(act, "other")
    act.processes.kill()
    act.processes.start()
    for instance_id in act.fleet.machines():
        await decide(act, instance_id, "delete")
    await until(act, lambda: not act.fleet.machines(), within_s=5 * MINUTE_S)


async def remove_stack(act: Act, name: str) -> None:
    await act.fleet.store.txn([], [Delete(kinds.STACK.key(name))])


# -- the hold of all regions ---------------------------------------------------------------------------------


def in_two_regions(day: Any) -> None:
    """Run a day in a world of two regions."""

    async def run() -> None:
        fleet = Fleet(settings=SETTINGS)
        regions = (default_region(), default_region("eu-west-1"))
        fleet.world = World(fleet.clock, random.Random(1), Catalog(regions=regions))
        try:
            await day(fleet)
        finally:
            await fleet.close()

    run_virtual(run())


EU = {"region": "eu-west-1", "subnets": [{"id": "subnet-0a", "zone": "eu-west-1a"}]}


def in_eu(fleet: Fleet) -> list[str]:
    return [one.id for one in fleet.world.region("eu-west-1").instances.values() if one.view.state == "running"]


async def identity(fleet: Fleet) -> ClusterIdentity:
    kv = await fleet.store.get(CLUSTER_KEY)
    assert kv is not None
    return decode(ClusterIdentity, kv.value)


def test_a_region_where_all_is_well_lifts_no_hold_of_another() -> None:
    async def day(fleet: Fleet) -> None:
        fleet.start()
        await fleet.person.stack(STACK)
        await fleet.person.layer(STACK, LAYER, 1)
        await fleet.person.stack("eu", **EU)
        await fleet.person.layer("eu", LAYER, 0)
        await fleet.online(STACK, 1)
        await wait(fleet, 60)
        backup = fleet.server.revision
        await fleet.person.layer("eu", LAYER, 2)
        await fleet.online("eu", 2)
        await wait(fleet, 200)
        old = set(in_eu(fleet))
        await fleet.stop()
        fleet.server.restore(backup)
        fleet.start()
        await wait(fleet, 3 * HOUR_S)
        assert set(in_eu(fleet)) == old
        assert (await identity(fleet)).held_because
        for one in await orphans(fleet):
            value = msgspec.json.encode(msgspec.structs.replace(one, decision="delete"))
            await fleet.store.txn([], [Put(f"{kinds.ORPHANS}{one.instance_id}", value)])
        await fleet.until(lambda: _is_released(fleet), within_s=HOUR_S)
        assert not in_eu(fleet)

    in_two_regions(day)


def test_a_region_that_the_restored_store_does_not_know_begins_with_a_hold() -> None:
    async def day(fleet: Fleet) -> None:
        fleet.start()
        await fleet.person.stack(STACK)
        await fleet.person.layer(STACK, LAYER, 1)
        await fleet.online(STACK, 1)
        await wait(fleet, 60)
        backup = fleet.server.revision
        await fleet.person.stack("eu", **EU)
        await fleet.person.layer("eu", LAYER, 2)
        await fleet.online("eu", 2)
        await wait(fleet, 200)
        await fleet.stop()
        fleet.server.restore(backup)
        fleet.start()
        await fleet.until(lambda: _is_released(fleet), within_s=HOUR_S)
        await fleet.person.stack("eu", **EU)
        await wait(fleet, 3 * HOUR_S)
        assert len(in_eu(fleet)) == len(await orphans(fleet)) == 2

    in_two_regions(day)


async def wait(fleet: Fleet, seconds: float) -> None:
    until_s = fleet.clock.monotonic_s() + seconds
    await fleet.until(lambda: fleet.clock.monotonic_s() >= until_s, within_s=seconds + 1)


async def _is_released(fleet: Fleet) -> bool:
    found = await identity(fleet)
    return found.incarnation > 1 and not found.held_because


# -- the witness ---------------------------------------------------------------------------------------------


@virtually(settings=SETTINGS)
async def test_who_does_not_lead_remembers_as_well_how_far_the_store_was(act: Act) -> None:
    await machines(act, 1)
    act.processes.start("b")
    await passes(act, MINUTE_S)
    act.fleet.witness.testimony = None
    act.processes.running["a"].freeze()
    await act.fleet.person.layer(STACK, LAYER, 1, attributes={})
    await until(act, lambda: act.fleet.witness.testimony is not None, within_s=40)


@virtually(settings=SETTINGS)
async def test_the_witness_never_forgets_a_higher_revision_but_for_a_higher_incarnation(act: Act) -> None:
    await machines(act, 2)
    await passes(act, MINUTE_S)
    act.server.keeps_its_id = True
    seen = act.fleet.witness.testimony
    assert seen is not None
    high = replace(seen, revision=seen.revision + 1000)
    act.fleet.witness.testimony = high
    await act.fleet.person.layer(STACK, LAYER, 2, attributes={})
    await passes(act, 5 * MINUTE_S)
    assert act.fleet.witness.testimony == high
    act.processes.kill()
    act.processes.start()
    await until(act, lambda: act.laws.cluster().incarnation == 2, within_s=MINUTE_S)
    await passes(act, MINUTE_S)
    assert (act.fleet.witness.testimony.incarnation, act.fleet.witness.testimony.revision < high.revision) == (2, True)


@virtually(settings=SETTINGS)
async def test_a_full_disk_ends_no_leadership_and_is_counted(act: Act) -> None:
    await machines(act, 1)
    controller = act.fleet.daemons["a"].controller
    reign = controller.reign
    act.fleet.witness.full = True
    for _ in range(5):
        await act.fleet.person.layer(STACK, LAYER, 1, attributes={})
        await passes(act, MINUTE_S)
    assert controller.reign is reign is not None
    page = generate_latest(act.fleet.daemons["a"].metrics.registry).decode()
    assert "strata_witness_failures_total 0.0" not in page


@virtually(settings=SETTINGS)
async def test_slots_whose_records_are_lost_by_hand_cost_their_machines_only(act: Act) -> None:
    await fleet_of(act, 4)
    victim = min(await act.fleet.instances(STACK), key=lambda slot: slot.metadata.name)
    await remove(act, kinds.INSTANCE, victim.metadata.name)
    await until(act, lambda: online(act, 4), within_s=10 * MINUTE_S)
    assert len(act.laws.ended()) == 1
