"""The eight laws, one by one. Under everything at once they are judged in test_chaos, under crashes in test_crash."""

import dataclasses
import itertools
import math
import os
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import msgspec
import pytest
import structlog
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.kit.acting import Act, a_world, hush, passes, settled, until, virtually
from tests.kit.fleet import SETTINGS
from tests.kit.planner_cases import POLICY, Case, ago, fact, instance_snapshot, layer_snapshot, slot
from tests.kit.process import ProcessStore
from tests.kit.rare_stories import machines, stack
from tests.kit.slot_laws import counts
from tests.kit.stories import LAYER, STACK, online
from tests.kit.virtual_time import run_virtual

from strata.planner.budget import allowance
from strata.planner.instance import plan_instance
from strata.planner.layer import LayerPlan, LayerSnapshot, plan_layer
from strata.resources import kinds, reasons
from strata.resources.instance import Instance
from strata.resources.kinds import Kind
from strata.store.port import Put

EXAMPLES = int(os.environ.get("STRATA_EXAMPLES", "300"))
_pure = settings(max_examples=EXAMPLES, derandomize="STRATA_EXAMPLES" not in os.environ, deadline=None, database=None)


@pytest.fixture(autouse=True, scope="module")
def _quiet() -> Iterator[None]:
    hush()
    yield
    structlog.reset_defaults()


# -- what the planner alone must keep: it is total, and plans within the laws whatever it is shown -----------

_durations = st.sampled_from(["0s", "1m", "6m", "11m", "1h", "2d"])
_states = ["pending", "running", "stopping", "stopped", "shutting-down", "terminated", "absent", "unknown", "none"]
_phases = ["requested", "pending", "booting", "online", "connection_lost", "stopping", "stopped", "shutting_down"]
_slots = st.fixed_dictionaries(
    {"machine": st.sampled_from(_states), "phase": st.sampled_from(_phases), "zone": st.sampled_from("abc")},
    optional={
        "checks": st.sampled_from(["ok", "impaired", "initializing", "insufficient-data", "unread"]),
        "impaired for": _durations,
        "starting for": _durations,
        "marked": st.sampled_from(["replace", "restart"]),
        "marked for": _durations,
        "marked because": st.sampled_from(["StatusChecksFailed", "StoppedExternally"]),
        "failures": st.integers(0, 99),
        "online for": _durations,
        "power": st.sampled_from(["running", "stopped"]),
        "launch": st.sampled_from(["in flight", "died", "not filled"]),
        "deleting": st.booleans(),
        "by hand": st.booleans(),
        "old template": st.booleans(),
        "restarted": st.booleans(),
        "stopped by us": st.booleans(),
        "age": _durations,
        "spot": st.booleans(),
        "leaves": st.sampled_from(["delete", "stop", "replace"]),
        "leaves because": st.sampled_from(["ScaledIn", "RollingUpdate", "SpotInterrupted", "RebalanceRecommended"]),
        "market": st.sampled_from(["spot", "on-demand"]),
        "fallback": st.booleans(),
        "notice": st.sampled_from(["interruption", "rebalance"]),
        "leaving for": _durations,
        "drained": st.booleans(),
    },
)


def _named(slots: list[dict[str, Any]]) -> dict[str, Any]:
    return {f"web-{number}": one for number, one in enumerate(slots, 1)}


_NOTICED = (reasons.SPOT_INTERRUPTED, reasons.REBALANCE)
_room = st.sampled_from([0, 1, 2, 5, "0%", "10%", "50%", "100%"])
_layers = st.fixed_dictionaries(
    {"always": st.integers(0, 8)},
    optional={
        "min": st.integers(0, 8),
        "max": st.integers(0, 8),
        "healing": st.booleans(),
        "action": st.sampled_from(["replace", "restart"]),
        "max unhealthy": st.sampled_from(["0%", "30%", "100%", "2"]),
        "protected": st.booleans(),
        "below limit for": _durations,
        "deleting": st.booleans(),
        "scale in": st.sampled_from(["stop", "terminate"]),
        "strategy": st.sampled_from(["RollingUpdate", "OnDelete"]),
        "surge": _room,
        "unavailable": _room,
        "rollout paused": st.booleans(),
        "max age": st.sampled_from(["1h", "3d"]),
        "restarted": _durations,
        "drain": st.sampled_from([False, "0s", "2m"]),
        "rolling": st.integers(0, 2),
        "spot": st.tuples(st.integers(0, 3), st.sampled_from([0, 50, 100])),
    },
)
_works_now = st.fixed_dictionaries(
    {"machine": st.just("running"), "phase": st.just("online"), "zone": st.sampled_from("abc")},
    optional={
        "old template": st.booleans(),
        "leaves": st.sampled_from(["delete", "stop", "replace"]),
        "leaves because": st.sampled_from(["ScaledIn", "RollingUpdate"]),
        "leaving for": _durations,
        "market": st.sampled_from(["spot", "on-demand"]),
        "fallback": st.booleans(),
        "notice": st.sampled_from(["interruption", "rebalance"]),
        "age": _durations,
    },
)
# Most machines of a layer work; with arbitrary ones alone there would hardly be anything to take out.
_any_slot = st.one_of(_works_now, _works_now, _works_now, _slots)
_members = st.lists(_any_slot, max_size=10).map(lambda slots: {f"web-{n}": one for n, one in enumerate(slots, 1)})
_stacks = st.one_of(
    st.just("missing"), st.fixed_dictionaries({}, optional={"paused": st.booleans(), "deleting": st.booleans()})
)
_images = {"image": st.just("unknown")}
_layer_cases = st.fixed_dictionaries({"layer": _layers, "slots": _members, "stack": _stacks}, optional=_images)
_lively_cases = st.fixed_dictionaries(
    {
        "layer": _layers.map(lambda said: {name: one for name, one in said.items() if name != "deleting"}),
        "slots": st.lists(_any_slot, min_size=2, max_size=8).map(_named),
        "stack": st.just({}),
    }
)
_instance_cases = st.fixed_dictionaries({"layer": _layers, "slot": _slots, "paused": st.booleans()})


def _plan(case: Case) -> tuple[LayerSnapshot, LayerPlan]:
    snapshot = layer_snapshot(case)
    return snapshot, plan_layer(snapshot, POLICY)


def _next(snapshot: LayerSnapshot, plan: LayerPlan) -> list[Instance]:
    """The members that exist, as the plan's transaction leaves them; those that are being deleted left out."""
    changed = {m.metadata.name: m for m in snapshot.members if not m.metadata.deleting}
    for gone in plan.delete:
        del changed[gone.metadata.name]
    for one in plan.leave:
        changed[one.instance.metadata.name] = _with(one.instance, leave=one.leave)
    for member in plan.stay:
        changed[member.metadata.name] = _with(member, leave=None)
    for member in plan.withdraw:
        changed[member.metadata.name] = _with(member, heal=None)
    for powered in plan.power:
        spec = msgspec.structs.replace(powered.instance.spec, power=powered.power)
        slot = _with(powered.instance, leave=None)
        changed[powered.instance.metadata.name] = msgspec.structs.replace(slot, spec=spec)
    return list(changed.values())


def _with(member: Instance, **changes: Any) -> Instance:
    return msgspec.structs.replace(member, status=msgspec.structs.replace(member.status, **changes))


@_pure
@given(st.one_of(_lively_cases, _layer_cases))
def test_laws_1_and_3_any_layer_has_a_plan_and_no_plan_exceeds_its_budget(case: Case) -> None:
    snapshot, plan = _plan(case)
    wanted = plan.status.desired
    if not snapshot.layer.metadata.deleting:
        surge = math.ceil(_share(case["layer"].get("surge", 1), wanted))
        before = sum(counts(m) for m in snapshot.members)
        kept = sum(counts(m) for m in _next(snapshot, plan))
        after = kept + len(plan.create)
        assert after >= min(wanted, before) or before - after <= len(plan.delete) + len(plan.leave)
        assert after <= max(wanted + surge, before)
    hand_made = sum(m.spec.availability == "manual" and not m.metadata.deleting for m in snapshot.members)
    allowed = allowance(snapshot.layer.spec.healing.max_unhealthy, wanted + hand_made)
    new = {m.instance.metadata.name for m in plan.heal if m.instance.status.heal is None}
    assert len(new) <= allowed
    if case["stack"] == "missing" or case["stack"].get("paused"):
        moved = (plan.create, plan.delete, plan.heal, plan.leave, plan.stay, plan.power)
        assert moved == ((), (), (), (), (), ()) or snapshot.layer.metadata.deleting


@_pure
@given(_lively_cases)
def test_law_3_nobody_who_works_is_taken_out_while_too_few_others_work(case: Case) -> None:
    snapshot, plan = _plan(case)
    if snapshot.layer.metadata.deleting:
        return
    wanted, said = plan.status.desired, case["layer"]
    surge = math.ceil(_share(said.get("surge", 1), wanted))
    missing = max(math.floor(_share(said.get("unavailable", 0), wanted)), int(surge == 0))
    after = _next(snapshot, plan)
    working = sum(counts(m) and m.status.leave is None and _works(case, m) for m in after)
    worked = sum(counts(m) and m.status.leave is None and _works(case, m) for m in snapshot.members)
    noticed = [one.instance for one in plan.leave if one.leave.reason in _NOTICED]  # EC2 takes them anyway
    if working < worked - sum(m.status.leave is None and _works(case, m) for m in noticed):
        assert working >= wanted - missing


@_pure
@given(st.one_of(_lively_cases, _layer_cases))
def test_every_slot_is_changed_in_one_way_at_most_and_within_the_bound_of_a_pass(case: Case) -> None:
    snapshot = layer_snapshot(case)
    plan = plan_layer(snapshot, dataclasses.replace(POLICY, changes_per_pass=3))
    marked = [
        *(one.instance for one in plan.leave),
        *(one.instance for one in plan.power),
        *(one.instance for one in plan.heal),
    ]
    changed = [m.metadata.name for m in (*plan.delete, *plan.stay, *plan.withdraw, *marked)]
    assert len(changed) == len(set(changed))
    assert len(changed) + len(plan.create) <= 3
    assert {one.name for one in plan.create}.isdisjoint(m.metadata.name for m in snapshot.members)


@_pure
@given(st.one_of(_lively_cases, _layer_cases))
def test_law_1_a_layer_that_does_what_it_plans_comes_to_rest(case: Case) -> None:
    """Each plan is carried out as the world would: who is added works at once, who goes is gone."""
    snapshot = layer_snapshot(case | {"stack": {}})
    assume(not snapshot.layer.metadata.deleting and not snapshot.layer.status.conditions)
    for _ in range(60):
        plan = plan_layer(snapshot, POLICY)
        snapshot = _carried_out(snapshot, plan)
        if not (plan.create or plan.delete or plan.leave or plan.stay or plan.power or plan.heal or plan.withdraw):
            return
    raise AssertionError(f"still moving: {plan}")


def _carried_out(snapshot: LayerSnapshot, plan: LayerPlan) -> LayerSnapshot:
    """The plan done, and everything that waits for time, or for EC2, done as well."""
    slots: dict[str, dict[str, Any]] = {}
    members, facts = [], {}
    healed = {one.instance.metadata.name for one in plan.heal}
    for member in _next(snapshot, plan):
        name, leave = member.metadata.name, member.status.leave
        renewed = name in healed or (leave is not None and leave.drained)
        if renewed or member.status.ec2 is None or member.spec.availability == "manual":
            by_hand = member.spec.availability == "manual"
            said = {"zone": "a", "age": "0s", "by hand": by_hand, "market": member.spec.market}
            members.append(slot(name, said))
            facts[name] = fact(name, {"zone": "a"})
        else:
            long_ago = None if leave is None else msgspec.structs.replace(leave, marked_at=ago("1h"))
            members.append(_with(member, leave=long_ago))
            facts[name] = snapshot.facts[name]
    for new in plan.create:
        slots[new.name] = {"zone": new.zone, "age": "0s", "market": new.market}
    members += [slot(name, said) for name, said in slots.items()]
    facts |= {name: fact(name, said) for name, said in slots.items()}
    layer = msgspec.structs.replace(snapshot.layer, status=plan.status)
    return dataclasses.replace(snapshot, members=tuple(members), facts=facts, layer=layer)


def _share(said: int | str, wanted: int) -> Fraction:
    return Fraction(said) if isinstance(said, int) else Fraction(int(said.rstrip("%")), 100) * wanted


def _works(case: Case, member: Instance) -> bool:
    said = case["slots"].get(member.metadata.name, {})
    seen = said.get("machine") == "running" and "launch" not in said and said.get("phase") == "online"
    return seen and said.get("checks", "impaired" if "impaired for" in said else "ok") in {"ok", "unread"}


@_pure
@given(st.one_of(_lively_cases, _layer_cases))
def test_law_4_no_layer_ends_what_it_cannot_see(case: Case) -> None:
    snapshot, plan = _plan(case)
    for marked in plan.heal:
        said = case["slots"][marked.instance.metadata.name]
        assert said["machine"] in {"pending", "running"}
        assert "launch" not in said
    if snapshot.layer.metadata.deleting:
        return
    ended = [one.instance for one in plan.leave if one.leave.drained]
    for member in (*plan.delete, *ended, *(one.instance for one in plan.power if one.power == "stopped")):
        said, warm = case["slots"][member.metadata.name], member.spec.power == "stopped"
        assert warm or "launch" in said or said["machine"] != "unknown"


@_pure
@given(_instance_cases)
def test_laws_1_and_4_any_slot_has_a_plan_and_touches_only_a_machine_that_is_seen(case: Case) -> None:
    snapshot = instance_snapshot(case)
    plan = plan_instance(snapshot, POLICY)
    if plan.action is None:
        return
    assert not case["paused"]
    assert case["slot"]["machine"] in {"pending", "running", "stopping", "stopped"}
    assert "launch" not in case["slot"]
    assert plan.action.instance_id == "i-web-1"


def _working(case: Case) -> Case:
    """The same slot with a machine that runs, and whose status checks pass."""
    slot = {name: value for name, value in case["slot"].items() if name not in {"launch", "impaired for"}}
    return case | {"slot": slot | {"machine": "running", "checks": "ok"}}


@_pure
@given(_instance_cases.map(_working))
def test_law_7_a_wanted_machine_that_works_is_never_ended(case: Case) -> None:
    slot, action = case["slot"], plan_instance(instance_snapshot(case), POLICY).action
    if not slot.get("deleting") and action is not None:
        renewed = slot.get("leaves") and slot.get("drained")
        is_spot = slot.get("spot") or (slot.get("market") == "spot" and not slot.get("fallback"))
        allowed = {"tag", "stop"} | ({"terminate"} if renewed or is_spot else set())
        assert action.verb in allowed
        assert action.verb != "stop" or slot.get("power") == "stopped"


# -- law 5: one poisoned object delays no other --------------------------------------------------------------

POISON = ("{", "[]", "", '{"metadata": {"name": "x"}, "spec": {"layers": []}}', '{"metadata": 7}', '{"spec": []}')
_places = [
    (kinds.STACK, "sick", ""),
    (kinds.LAYER, "sick", STACK),
    (kinds.INSTANCE, "web-9", STACK),
    (kinds.LAUNCH, "sick", STACK),
]


@pytest.mark.parametrize(
    ("place", "value"),
    list(itertools.product(_places, POISON)),
    ids=lambda one: one if isinstance(one, str) else one[0].kind,
)
def test_law_5_one_poisoned_object_delays_no_other(place: tuple[Kind, str, str], value: str) -> None:
    run_virtual(_poisoned(*place, value))


async def _poisoned(kind: Kind, name: str, namespace: str, value: str) -> None:
    async with a_world() as act:
        await act.fleet.store.txn([], [Put(kind.key(name, namespace), value.encode())])
        await stack(act)
        await act.fleet.person.layer(STACK, LAYER, 3)
        await until(act, lambda: _others_online(act), within_s=15)
        await act.fleet.person.layer(STACK, LAYER, 1)
        await until(act, lambda: len(act.fleet.machines()) <= 1, within_s=15)
        await passes(act, SETTINGS.resync_s)


async def _others_online(act: Act) -> bool:
    """All three, but for the one whose name the poisoned slot has."""
    return len(act.fleet.machines()) >= 2 and (await act.fleet.get_layer(STACK, LAYER)).status.instances.get(
        "online", 0
    ) == len(act.fleet.machines())


# -- law 6: after any watch fault a change is acted on within one resync -------------------------------------


def _cut(act: Act, store: ProcessStore) -> None:
    store.cut_off()
    act.fleet.server.wake()


def _compact(act: Act, store: ProcessStore) -> None:
    _cut(act, store)
    act.fleet.server.compact(act.fleet.server.revision)


def _deafen(_act: Act, store: ProcessStore) -> None:
    store.deaf = True


@pytest.mark.parametrize(("fault", "mended_in_s", "bound_s"), [(_cut, 8.0, 15.0), (_compact, 8.0, 15.0)])
def test_law_6_a_watch_that_was_cut_resumes_in_seconds(fault: Any, mended_in_s: float, bound_s: float) -> None:
    run_virtual(_hears_again(fault, mended_in_s, bound_s))


def test_law_6_a_watch_that_went_deaf_is_not_trusted_for_longer_than_a_resync() -> None:
    run_virtual(_hears_again(_deafen, 0.0, SETTINGS.resync_s))


async def _hears_again(fault: Any, mended_in_s: float, bound_s: float) -> None:
    async with a_world() as act:
        await machines(act, 1)
        await passes(act, 20)
        store = act.processes.running["a"].store
        assert store is not None
        fault(act, store)
        await passes(act, 1.0)
        await act.fleet.person.layer(STACK, LAYER, 2)
        await act.fleet.store.txn([], [Put("/strata/other", b"more revisions")])
        await passes(act, mended_in_s)
        store.reconnect()
        await until(act, lambda: len(act.fleet.machines()) == 2, within_s=bound_s)
        store.deaf = False
        await until(act, lambda: online(act, 2), within_s=bound_s + 60)
        await settled(act)


# -- law 8: deletes end --------------------------------------------------------------------------------------


@virtually()
async def test_law_8_everything_deleted_at_once_in_any_state_ends(act: Act) -> None:
    act.fleet.controls.boots("stuck", 1)
    act.fleet.controls.boots("impaired", 1)
    act.fleet.controls.boots("terminated", 1)
    act.fleet.controls.capacity("t3.small", "us-east-1c", 0)
    await stack(act)
    await act.fleet.person.layer(STACK, LAYER, 6)
    await passes(act, 7)
    for kind, name, namespace in ((kinds.LAYER, LAYER, STACK), (kinds.STACK, STACK, "")):
        await act.fleet.person.delete(kind, name, namespace)
    await act.fleet.empty(within_s=120)
    await settled(act)
