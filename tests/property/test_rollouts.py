"""Rollouts, scale-in and revisions in a whole world on virtual time, with the laws watched all the time."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import structlog
from tests.kit.acting import Act, hush, passes, until, virtually
from tests.kit.fleet import layer_spec
from tests.kit.rare_stories import machines, stack
from tests.kit.stories import LAYER, STACK

from strata.resources import kinds
from strata.resources.instance import Instance
from strata.resources.revision import LayerRevision
from strata.store.port import Put
from strata_sim.controls import ids
from strata_sim.faults import Fault
from strata_sim.witness import lives

_OTHER: dict[str, Any] = {"instance": {"detailedMonitoring": True}}


@pytest.fixture(autouse=True, scope="module")
def _quiet() -> Iterator[None]:
    hush()
    yield
    structlog.reset_defaults()


async def slots(act: Act) -> dict[str, Instance]:
    return {slot.metadata.name: slot for slot in await act.fleet.instances(STACK)}


async def revisions(act: Act) -> list[LayerRevision]:
    found: list[LayerRevision] = await act.fleet.person.all(kinds.LAYER_REVISION, STACK)
    return sorted(found, key=lambda one: one.spec.revision)


async def template(act: Act, number: int) -> None:
    await act.fleet.person.layer(STACK, LAYER, 1, instance={"userData": f"# {number}"})


async def rolled(act: Act, number: int) -> bool:
    rollout = (await act.fleet.get_layer(STACK, LAYER)).status.rollout
    return rollout is not None and rollout.revision == number and not rollout.outdated


# -- running on ----------------------------------------------------------------------------------------------


@virtually()
async def test_a_machine_that_is_taken_out_runs_on_for_its_time(act: Act) -> None:
    await machines(act, 3, shutdown={"timeout": "5m"})
    await act.fleet.person.layer(STACK, LAYER, 1, shutdown={"timeout": "5m"})
    await passes(act, 290)
    assert len(act.fleet.machines()) == 3
    await until(act, lambda: len(act.fleet.machines()) == 1, within_s=30)


@virtually()
async def test_law_7_an_outage_over_the_end_of_a_drain_ends_nobody_who_is_wanted_again(act: Act) -> None:
    """Nobody of ours runs when its time is over; meanwhile a person wants the machine back."""
    await machines(act, 2, shutdown={"timeout": "2m"})
    await act.fleet.person.layer(STACK, LAYER, 1, shutdown={"timeout": "2m"})
    await until(act, lambda: _leaving(act, 1), within_s=10)
    act.processes.kill("a")
    await act.fleet.person.layer(STACK, LAYER, 2, shutdown={"timeout": "2m"})
    await passes(act, 3600)
    act.processes.start()
    await until(act, lambda: _leaving(act, 0), within_s=60)
    await passes(act, 300)
    assert not act.laws.ended()


@virtually()
async def test_law_4_what_has_run_on_for_its_time_is_not_ended_unseen(act: Act) -> None:
    await machines(act, 2, shutdown={"timeout": "1m"})
    await act.fleet.person.layer(STACK, LAYER, 1, shutdown={"timeout": "1m"})
    await until(act, lambda: _leaving(act, 1), within_s=10)
    await passes(act, 30)
    act.fleet.controls.fault(Fault("unreachable", count=None))
    await passes(act, 600)
    assert not any(slot.metadata.deleting for slot in (await slots(act)).values())
    act.fleet.controls.clear_faults()
    await until(act, lambda: len(act.fleet.machines()) == 1, within_s=120)


@virtually()
async def test_law_3_one_on_its_way_out_stays_while_the_others_fail(act: Act) -> None:
    await machines(act, 3, shutdown={"timeout": "1m"})
    await act.fleet.person.layer(STACK, LAYER, 2, shutdown={"timeout": "1m"})
    await until(act, lambda: _leaving(act, 1), within_s=10)
    stays = [slot.status.ec2.instance_id for slot in (await slots(act)).values() if slot.status.ec2]
    act.fleet.controls.boots("stuck", 1)
    leaving = [s.status.ec2.instance_id for s in (await slots(act)).values() if s.status.leave and s.status.ec2]
    act.fleet.controls.terminate(ids(next(one for one in stays if one not in leaving)))
    await passes(act, 300)
    assert set(leaving) <= set(act.fleet.machines())
    await until(act, lambda: set(leaving).isdisjoint(act.fleet.machines()), within_s=900)


async def _leaving(act: Act, count: int) -> bool:
    return sum(slot.status.leave is not None for slot in (await slots(act)).values()) == count


# -- rollouts ------------------------------------------------------------------------------------------------


@virtually()
async def test_machines_that_get_too_old_are_renewed_for_ever_and_never_too_many_at_once(act: Act) -> None:
    """Their ages are EC2's; the laws watch the budget at every write."""
    await machines(act, 3, update={"maxAge": "10m"})
    first = set(act.fleet.machines())
    await passes(act, 590)
    assert set(act.fleet.machines()) == first
    await until(act, lambda: not first & set(act.fleet.machines()), within_s=120)
    second = set(act.fleet.machines())
    await until(act, lambda: not second & set(act.fleet.machines()), within_s=900)


@virtually()
async def test_a_rollout_goes_on_where_another_daemon_finds_it(act: Act) -> None:
    await machines(act, 4)
    await act.fleet.person.layer(STACK, LAYER, 4, **_OTHER)
    for _ in range(3):
        await passes(act, 8)
        act.processes.kill("a")
        act.processes.start("a")
    await until(act, lambda: rolled(act, 2), within_s=300)
    assert len(act.laws.ended()) == 4


@virtually()
async def test_a_rollout_a_scale_out_and_a_heal_at_once_come_to_one_end(act: Act) -> None:
    await machines(act, 4, update={"maxSurge": 2, "maxUnavailable": 1})
    spec: dict[str, Any] = {"update": {"maxSurge": 2, "maxUnavailable": 1}, **_OTHER}
    await act.fleet.person.layer(STACK, LAYER, 4, **spec)
    await passes(act, 3)
    act.fleet.controls.terminate(ids(act.fleet.machines()[0]))
    await act.fleet.person.layer(STACK, LAYER, 6, **spec)
    await until(act, lambda: rolled(act, 2), within_s=300)
    await act.fleet.online(STACK, 6)


@virtually()
async def test_another_version_of_the_digest_rolls_nothing(act: Act) -> None:
    """An upgrade of ours that digests templates otherwise finds machines with the digests of before."""
    await machines(act, 2)
    for launch in await act.fleet.person.all(kinds.LAUNCH, STACK):
        key = kinds.LAUNCH.key(launch.metadata.name, STACK)
        kv = await act.fleet.store.get(key)
        assert kv is not None
        older = launch.spec.template.replace("v1-", "v0-").encode()
        await act.fleet.store.txn([], [Put(key, kv.value.replace(launch.spec.template.encode(), older))])
    for name in await slots(act):
        key = kinds.INSTANCE.key(name, STACK)
        kv = await act.fleet.store.get(key)
        assert kv is not None
        await act.fleet.store.txn([], [Put(key, kv.value.replace(b'"template":"v1-', b'"template":"v0-'))])
    await passes(act, 300)
    assert not act.laws.ended()
    assert {slot.status.template[:3] for slot in (await slots(act)).values()} == {"v0-"}


# -- what is kept of templates -------------------------------------------------------------------------------


@virtually()
async def test_the_last_ten_templates_are_kept_and_go_with_their_layer(act: Act) -> None:
    await machines(act, 1)
    for number in range(2, 13):
        await template(act, number)
        await until(act, partial(rolled, act, number), within_s=120)
    kept = await revisions(act)
    assert [one.spec.revision for one in kept] == list(range(3, 13))
    assert kept[-1].spec.instance.user_data == "# 12"
    assert {one.metadata.owner_references[0].name for one in kept} == {LAYER}
    await act.fleet.person.delete(kinds.LAYER, LAYER, STACK)
    await until(act, lambda: _nothing_left(act), within_s=60)


@virtually()
async def test_a_layer_that_is_made_anew_begins_its_revisions_anew(act: Act) -> None:
    await machines(act, 1)
    await template(act, 2)
    await until(act, lambda: rolled(act, 2), within_s=120)
    await act.fleet.person.delete(kinds.LAYER, LAYER, STACK)
    await until(act, lambda: _gone(act), within_s=60)
    await act.fleet.person.layer(STACK, LAYER, 1)
    await until(act, lambda: rolled(act, 1), within_s=60)
    await passes(act, 5)
    assert [one.spec.revision for one in await revisions(act)] == [1]


@virtually()
async def test_a_revision_that_nobody_can_read_holds_its_layer_up_no_longer_than_it_is_written_anew(act: Act) -> None:
    await machines(act, 1)
    (first,) = await revisions(act)
    key = kinds.LAYER_REVISION.key(first.metadata.name, STACK)
    await act.fleet.store.txn([], [Put(key, b"{")])
    await act.fleet.person.layer(STACK, LAYER, 2)
    await until(act, lambda: len(act.fleet.machines()) == 2, within_s=30)
    assert [one.spec.instance for one in await revisions(act)] == [first.spec.instance]


async def _nothing_left(act: Act) -> bool:
    return not await revisions(act) and await _gone(act)


async def _gone(act: Act) -> bool:
    return await act.fleet.person.read(kinds.LAYER, LAYER, STACK) is None


# -- quiet ---------------------------------------------------------------------------------------------------


@virtually()
async def test_a_rollout_that_stands_still_writes_nothing(act: Act) -> None:
    """Law 1, and the status's own: nothing is written for its own sake."""
    await stack(act)
    await act.fleet.person.apply(kinds.LAYER, LAYER, layer_spec(2, update={"paused": True}), STACK)
    await act.fleet.online(STACK, 2)
    await act.fleet.person.apply(kinds.LAYER, LAYER, layer_spec(2, update={"paused": True}, **_OTHER), STACK)
    await passes(act, 60)
    before = act.laws.writes
    await passes(act, 600)
    assert act.laws.writes == before
    layer = await act.fleet.get_layer(STACK, LAYER)
    assert layer.status.rollout is not None
    assert layer.status.rollout.message == "paused by spec.update.paused"
    assert len(list(lives(act.fleet.world))) == 2
