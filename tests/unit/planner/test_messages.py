"""What the conditions say where much is to be said."""

import dataclasses

import msgspec
from tests.kit.planner_cases import NOW, POLICY, Case, layer, layer_snapshot, stack

from strata.planner.facts import Known, Unknown
from strata.planner.layer import plan_layer
from strata.planner.stack import StackPlan, StackSnapshot, plan_stack
from strata.resources import reasons
from strata.resources.layer import Layer
from strata.resources.meta import Condition, find_condition


def said(conditions: tuple[Condition, ...], type_: str) -> str:
    condition = find_condition(conditions, type_)
    return condition.message if condition else "nothing"


def layer_says(case: Case, type_: str) -> str:
    return said(plan_layer(layer_snapshot(case), POLICY).status.conditions, type_)


def plan_of(*layers: Layer, deleting: bool = False, unreadable: tuple[str, ...] = ()) -> StackPlan:
    snapshot = StackSnapshot(
        now=NOW,
        stack=stack(deleting=deleting),
        layers=layers,
        instances=(),
        open_launches=0,
        poll=Known(NOW),
        subnets=Unknown("Unknown"),
        orphans_held=0,
        unreadable=unreadable,
    )
    return plan_stack(snapshot, changes_per_pass=100)


def test_of_many_older_machines_five_are_named_and_the_rest_counted() -> None:
    slots = {f"web-{number}": {"old template": True} for number in range(1, 18)}
    message = layer_says({"layer": {"always": 17}, "slots": slots}, "UpToDate")
    assert message == "17 made from an older template: web-1, web-2, web-3, web-4, web-5 and 12 more"


def test_of_few_all_are_named() -> None:
    slots = {f"web-{number}": {"old template": True} for number in range(1, 6)}
    message = layer_says({"layer": {"always": 5}, "slots": slots}, "UpToDate")
    assert message == "5 made from an older template: web-1, web-2, web-3, web-4, web-5"


def test_another_number_is_told_with_its_sum_and_the_first_one_is_not() -> None:
    snapshot = layer_snapshot({"layer": {"always": 3, "min": 4}, "slots": {}})
    assert not [note for note in plan_layer(snapshot, POLICY).notes if note.reason == reasons.DESIRED_CHANGED]
    status = msgspec.structs.replace(snapshot.layer.status, observed_generation=1, desired=2)
    changed = msgspec.structs.replace(snapshot.layer, status=status)
    notes = plan_layer(dataclasses.replace(snapshot, layer=changed), POLICY).notes
    (note,) = [note for note in notes if note.reason == reasons.DESIRED_CHANGED]
    assert note.message == "wants 4 instead of 2: 4 = 3 always + 1 min"


def test_what_a_rollout_adds_is_told_to_be_beyond_what_is_wanted() -> None:
    slots = {f"web-{number}": {"old template": True} for number in (1, 2)}
    snapshot = layer_snapshot({"layer": {"always": 2}, "slots": slots})
    (added,) = [note.message for note in plan_layer(snapshot, POLICY).notes if note.reason == reasons.SCALED_OUT]
    assert added == "added 1: web-3; for the rollout, beyond what is wanted"
    fewer = layer_snapshot({"layer": {"always": 2}, "slots": {}})
    (added,) = [note.message for note in plan_layer(fewer, POLICY).notes if note.reason == reasons.SCALED_OUT]
    assert added == "added 2: web-1, web-2"


def test_a_stack_names_no_more_than_five_of_its_layers_that_are_not_ready() -> None:
    plan = plan_of(*[layer({})] * 7)
    assert said(plan.status.conditions, "Ready") == "7 not ready: web, web, web, web, web and 2 more"


def test_a_deleted_layer_names_the_slots_that_nobody_can_read() -> None:
    case = {"layer": {"deleting": True}, "unreadable": ["web-2", "web-1"]}
    assert layer_says(case, "Ready") == "waits for 0 instances to end, and for 2 that nobody can read: web-1, web-2"


def test_a_deleted_stack_waits_for_what_nobody_can_read_and_names_it() -> None:
    plan = plan_of(deleting=True, unreadable=("instances/web-1",))
    assert not plan.finished
    assert said(plan.status.conditions, "Ready") == "waits for 1 that nobody can read: instances/web-1"


def test_a_deleted_stack_without_anything_is_done() -> None:
    assert plan_of(deleting=True).finished
