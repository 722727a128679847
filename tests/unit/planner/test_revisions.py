"""Which templates of a layer are kept, and under which numbers."""

import dataclasses

import msgspec
from tests.kit.planner_cases import layer_snapshot

from strata.planner.layer_plan import LayerSnapshot, Revisions
from strata.planner.revisions import KEPT, plan_revisions
from strata.resources.meta import API_VERSION, ObjectMeta
from strata.resources.revision import LayerRevision
from strata.resources.stack import ImageSource, SharedTemplate


def snapshot(user_data: str = "", *known: LayerRevision) -> LayerSnapshot:
    """A layer whose template differs by its user data alone."""
    made = layer_snapshot({"layer": {"always": 1}})
    template = SharedTemplate(user_data=user_data or None)
    spec = msgspec.structs.replace(made.layer.spec, instance=template)
    return dataclasses.replace(made, layer=msgspec.structs.replace(made.layer, spec=spec), revisions=known)


def stored(plan: Revisions) -> LayerRevision:
    assert plan.write is not None
    name, spec = plan.write
    return LayerRevision(api_version=API_VERSION, kind="LayerRevision", metadata=ObjectMeta(name=name), spec=spec)


def test_the_first_template_is_written_down_whole_with_its_image_as_an_id() -> None:
    plan = plan_revisions(snapshot("# one"))
    first = stored(plan)
    assert (plan.number, first.spec.revision, plan.forget) == (1, 1, ())
    assert first.metadata.name.startswith("web-r1-")
    assert (first.spec.instance.image, first.spec.instance.types) == (ImageSource(id="ami-1"), ("t3.small",))
    assert first.spec.instance.user_data == "# one"


def test_the_present_one_is_not_written_again() -> None:
    first = stored(plan_revisions(snapshot("# one")))
    assert plan_revisions(snapshot("# one", first)) == Revisions(number=1)


def test_one_that_comes_back_gets_the_next_number_and_keeps_its_name() -> None:
    first = stored(plan_revisions(snapshot("# one")))
    second = stored(plan_revisions(snapshot("# two", first)))
    again = stored(plan_revisions(snapshot("# one", first, second)))
    assert (second.spec.revision, again.spec.revision) == (2, 3)
    assert again.metadata.name == first.metadata.name != second.metadata.name


def test_other_types_are_another_template_to_go_back_to_though_machines_carry_the_same_digest() -> None:
    made = snapshot("# one")
    first = stored(plan_revisions(made))
    types = msgspec.structs.replace(made.layer.spec.instance, types=("m5.large",))
    changed = msgspec.structs.replace(made.layer, spec=msgspec.structs.replace(made.layer.spec, instance=types))
    second = stored(plan_revisions(dataclasses.replace(made, layer=changed, revisions=(first,))))
    assert second.metadata.name != first.metadata.name
    assert second.spec.template == first.spec.template


def test_the_last_ten_are_kept() -> None:
    known: list[LayerRevision] = []
    for number in range(1, KEPT + 1):
        known.append(stored(plan_revisions(snapshot(f"# {number}", *known))))
    plan = plan_revisions(snapshot("# eleven", *known))
    assert [one.spec.revision for one in plan.forget] == [1]
    first_again = plan_revisions(snapshot("# 1", *known))
    assert (first_again.number, first_again.forget) == (KEPT + 1, ())
    assert plan_revisions(snapshot("# 10", *known)) == Revisions(number=KEPT)


def test_a_layer_without_a_whole_template_has_no_new_revision() -> None:
    first = stored(plan_revisions(snapshot("# one")))
    unknown = layer_snapshot({"layer": {"always": 1}, "image": "unknown"})
    assert plan_revisions(dataclasses.replace(unknown, revisions=(first,))) == Revisions(number=1)
    no_stack = layer_snapshot({"layer": {"always": 1}, "stack": "missing"})
    assert plan_revisions(no_stack) == Revisions()
