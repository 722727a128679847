"""The planner's cases, from the tables in tests/cases/planner: what is known, and the plan that follows."""

import pytest
from tests.kit.planner_cases import (
    NOW,
    POLICY,
    Case,
    ago,
    instance_plan,
    instance_snapshot,
    launch,
    layer_plan,
    layer_snapshot,
    load,
)

from strata.errors import CloudErrorKind
from strata.planner.instance import plan_instance
from strata.planner.launch import Sweeps, is_death, next_step, place, resolve_by_sweeps
from strata.planner.layer import plan_layer
from strata.planner.orphans import Accounted, plan_orphans
from strata.resources import tags
from strata.resources.machine import Machine, MachineState
from strata.resources.stack import SubnetRef


def cases(*names: str) -> pytest.MarkDecorator:
    """All cases of these files, each a test with its sentence as its name."""
    found = [pytest.param(case, id=f"{name}: {case['case']}") for name in names for case in load(name)]
    return pytest.mark.parametrize("case", found)


@cases("capacity", "zones", "scale_in", "warm", "rollout", "spot", "health", "breaker")
def test_a_layer_plans(case: Case) -> None:
    assert layer_plan(plan_layer(layer_snapshot(case), POLICY)) == case["plan"]


@cases("instance", "backoff")
def test_a_slot_plans(case: Case) -> None:
    assert instance_plan(plan_instance(instance_snapshot(case), POLICY)) == case["plan"]


@cases("placement")
def test_a_launch_is_placed(case: Case) -> None:
    given = case["given"]
    subnets = tuple(SubnetRef(id=f"subnet-{zone}", zone=zone) for zone in given["zones"])
    refused = given.get("refused", [])
    placed = place(given["types"], subnets, given.get("prefers"), lambda kind, zone: f"{kind} in {zone}" in refused)
    assert ("nothing" if placed is None else f"{placed[0]} in {placed[1].zone}") == case["plan"]


@cases("launch_death")
def test_an_answer_ends_a_launch_or_does_not(case: Case) -> None:
    given = case["given"]
    unanswered_at = ago(given["unanswered"]) if "unanswered" in given else None
    died = is_death(CloudErrorKind(given["answer"]), unanswered_at, NOW, POLICY)
    assert ("dead" if died else "ask again") == case["plan"]


@cases("launch_sweeps")
def test_a_launch_is_sent_again_or_resolved_by_sweeps(case: Case) -> None:
    given = case["given"]
    sealed = launch(created_at=ago(given["sealed"]), sent_at=ago(given["sent"]))
    plan: Case = {"next": next_step(sealed, NOW, POLICY)}
    made = tuple(machine(f"i-{number}", "1h") for number in range(given.get("machines", 0)))
    found = resolve_by_sweeps(sealed, Sweeps(tuple(ago(one) for one in given.get("sweeps", ())), made), POLICY)
    if found is not None:
        plan["found"] = len(found)
    assert plan == case["plan"]


@cases("orphans")
def test_orphans_are_ended_or_held(case: Case) -> None:
    given = case["given"]
    machines = [machine(f"i-known-{number}", "1d", launch_id="known") for number in range(given["accounted"])]
    machines += [machine(name, age) for name, age in given.get("lost", {}).items()]
    machines += [machine(name, age, cluster="another") for name, age in given.get("foreign", {}).items()]
    machines += [machine(name, age, state="terminated") for name, age in given.get("gone", {}).items()]
    doubt = given.get("doubt", "")
    plan = plan_orphans(
        machines,
        accounted=Accounted(
            frozenset({"known"}), frozenset(given.get("named", ())), (str(given.get("unreadable", "")).encode(),)
        ),
        recorded=frozenset(given.get("recorded", ())),
        store_doubt=doubt,
        now=NOW,
        policy=POLICY,
    )
    said = {
        "ends": [one.instance_id for one in plan.reap],
        "holds": [one.instance_id for one in plan.hold],
        "waits": [one.instance_id for one in plan.orphans if one not in (*plan.reap, *plan.hold)],
        "young": plan.young_count,
    }
    assert {name: value for name, value in said.items() if value} == case["plan"]


def machine(
    name: str, age: str, *, launch_id: str = "lost", cluster: str = "ours", state: MachineState = "running"
) -> Machine:
    return Machine(
        instance_id=name,
        state=state,
        type="t3.small",
        zone="a",
        subnet_id="",
        image_id="ami-1",
        launched_at=ago(age),
        tags={tags.CLUSTER: cluster, tags.LAUNCH: launch_id},
    )
