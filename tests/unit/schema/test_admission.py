"""What is let in and what is refused, with every wrong field and how to mend it."""

from typing import Any

import pytest
from tests.kit.documents import instance, layer, stack

from strata.errors import Cause
from strata.resources.schema import Verdict, definitions, judge_create, judge_status, judge_update


def judge(document: dict[str, Any]) -> Verdict:
    return judge_create(_definition(document), document)


def judge_change(old: dict[str, Any], new: dict[str, Any]) -> Verdict:
    definition = _definition(old)
    definition.fill(old)
    return judge_update(definition, new, old)


def _definition(document: dict[str, Any]) -> Any:
    return next(found for found in definitions().values() if found.kind.kind == document["kind"])


def fields(verdict: Verdict) -> set[tuple[str, str]]:
    return {(cause.field, cause.reason.removeprefix("FieldValue")) for cause in verdict.causes}


def only(verdict: Verdict) -> Cause:
    (cause,) = verdict.causes
    return cause


@pytest.mark.parametrize("document", [stack(), layer(), instance()], ids=lambda document: str(document["kind"]))
def test_what_people_write_is_let_in(document: dict[str, Any]) -> None:
    assert judge(document) == Verdict((), ())


def test_every_wrong_field_is_reported_at_once() -> None:
    document = stack(
        "Todo",
        region="useast1",
        subnets=[{"id": "subnet-0a", "zone": "us-east-1a"}, {"id": "net", "zone": 3}, {"zone": "us-east-1b"}],
        instance={"types": ["m5", "m5.large"], "rootVolume": {"sizeGiB": 0, "type": "gp9"}, "image": {}},
        paused="yes",
    )
    del document["spec"]["vpcId"]
    assert fields(judge(document)) == {
        ("metadata.name", "Invalid"),
        ("spec.region", "Invalid"),
        ("spec.vpcId", "Required"),
        ("spec.subnets[1].id", "Invalid"),
        ("spec.subnets[1].zone", "TypeInvalid"),
        ("spec.subnets[2].id", "Required"),
        ("spec.instance.types[0]", "Invalid"),
        ("spec.instance.rootVolume.sizeGiB", "Invalid"),
        ("spec.instance.rootVolume.type", "NotSupported"),
        ("spec.instance.image", "Required"),
        ("spec.paused", "TypeInvalid"),
    }


def test_a_message_names_the_value_and_what_would_do() -> None:
    cause = only(judge(stack(instance={"rootVolume": {"type": "gp4"}})))
    assert cause.message.startswith('Unsupported value: "gp4": supported values: "gp3", "gp2", "standard"')
    assert "did you mean `gp3`?" in cause.message


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("subnet", "subnets"), ("VpcId", "vpcId"), ("vpc_id", "vpcId"), ("instances", "instance")],
)
def test_an_unknown_field_is_found_with_the_one_that_was_meant(wrong: str, meant: str) -> None:
    document = stack(**{wrong: 1})
    verdict = judge(document)
    assert verdict.unknown == (("spec", wrong),)
    message = definitions()["stacks"].unknown_cause(verdict.unknown[0]).message
    assert message == f'unknown field "spec.{wrong}" (did you mean `{meant}`?)'


def test_unknown_fields_are_found_at_every_depth() -> None:
    document = stack(instance={"rootVolume": {"size": 3}})
    document["spec"]["subnets"][1]["cidr"] = "10.0.0.0/8"
    document["metadata"]["lables"] = {}
    document["extra"] = {"deep": {"er": 1}}
    assert set(judge(document).unknown) == {
        ("spec", "instance", "rootVolume", "size"),
        ("spec", "subnets", 1, "cidr"),
        ("metadata", "lables"),
        ("extra",),
    }


def test_what_kubernetes_clients_add_is_no_unknown_field() -> None:
    document = layer()
    document["metadata"] |= {"managedFields": [{}], "selfLink": "", "creationTimestamp": None}
    assert judge(document) == Verdict((), ())
    assert "managedFields" not in document["metadata"]


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ({}, "Required"),
        ({"id": "", "ssmParameter": ""}, "Required"),
        ({"id": "ami-0a", "ssmParameter": "/a"}, "Invalid"),
    ],
)
@pytest.mark.parametrize("make", [stack, layer, instance])
def test_an_image_has_exactly_one_source(make: Any, image: dict[str, str], reason: str) -> None:
    verdict = judge(make(instance={"image": image}))
    assert fields(verdict) == {("spec.instance.image", reason)}


def test_user_data_is_limited_in_bytes_not_in_characters() -> None:
    assert judge(layer(instance={"userData": "é" * 6 * 1024})).causes == ()
    too_long = judge(layer(instance={"userData": "é" * (6 * 1024 + 1)}))
    assert fields(too_long) == {("spec.instance.userData", "TooLong")}
    assert len(judge(layer(instance={"userData": "x" * 20_000})).causes) == 1


def test_a_stack_has_at_least_one_subnet_and_each_once() -> None:
    assert fields(judge(stack(subnets=[]))) == {("spec.subnets", "Required")}
    absent = stack()
    del absent["spec"]["subnets"]
    assert fields(judge(absent)) == {("spec.subnets", "Required")}
    twice = stack(subnets=[{"id": "subnet-0a", "zone": "us-east-1a"}] * 2)
    assert fields(judge(twice)) == {("spec.subnets[1].id", "Duplicate")}


@pytest.mark.parametrize(
    ("field", "value"), [("region", "eu-west-1"), ("vpcId", "vpc-1"), ("endpoint", "sim"), ("endpoint", None)]
)
def test_a_stacks_place_never_changes(field: str, value: str | None) -> None:
    before = stack(endpoint="lab")
    verdict = judge_change(before, stack(**{"endpoint": "lab", field: value}))
    assert fields(verdict) == {(f"spec.{field}", "Invalid")}
    assert "never changes" in only(verdict).message


def test_a_stacks_subnets_may_change() -> None:
    assert judge_change(stack(), stack(subnets=[{"id": "subnet-0c", "zone": "us-east-1c"}])).causes == ()


@pytest.mark.parametrize(
    ("capacity", "valid"),
    [
        ({"min": 3, "max": 2}, False),
        ({"min": 2, "max": 2}, True),
        ({"min": 3}, True),
        ({"min": 3, "max": None}, True),
        ({"always": 9, "max": 2}, True),
    ],
)
def test_min_is_at_most_max(capacity: dict[str, int | None], valid: bool) -> None:  # noqa: FBT001 - a table's column
    verdict = judge(layer(capacity=capacity))
    assert fields(verdict) == (set() if valid else {("spec.capacity.min", "Invalid")})


@pytest.mark.parametrize(
    ("text", "valid"),
    [("1s", True), ("30d", True), ("0s", False), ("31d", False), ("999999999999d", False), ("5 m", False), ("", False)],
)
def test_durations_are_bounded(text: str, valid: bool) -> None:  # noqa: FBT001 - a table's column
    verdict = judge(layer(healing={"startDeadline": text}))
    assert [cause.field for cause in verdict.causes] == ([] if valid else ["spec.healing.startDeadline"])


@pytest.mark.parametrize(
    ("text", "valid"),
    [("30%", True), ("0%", True), ("100%", True), ("3", True), ("101%", False), ("-1", False), ("3.5", False)],
)
def test_max_unhealthy_is_a_share_or_a_count(text: str, valid: bool) -> None:  # noqa: FBT001 - a table's column
    assert (judge(layer(healing={"maxUnhealthy": text})).causes == ()) is valid


def test_only_the_controller_makes_instances_for_a_layer() -> None:
    assert fields(judge(instance(availability="layer"))) == {("spec.availability", "Forbidden")}
    made_by_layer = instance(availability="layer")
    by_hand = instance(power="stopped")
    assert judge_change(instance(), by_hand).causes == ()
    refused = judge_change(made_by_layer, instance(availability="layer", power="stopped"))
    assert fields(refused) == {("spec.power", "Forbidden")}
    bought = judge_change(
        instance(availability="layer", market="spot"), instance(availability="layer", market="on-demand")
    )
    assert fields(bought) == {("spec.market", "Forbidden")}
    assert fields(judge_change(made_by_layer, instance())) == {("spec.availability", "Invalid")}


_SURGES: tuple[Any, ...] = (0, 3, 2.0, "10%", "100%")
_NO_SURGES: tuple[Any, ...] = ("101%", "3", "", -1, 1.5, 10_001, True, [])


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        *[(one, True) for one in _SURGES],
        *[(one, False) for one in _NO_SURGES],
    ],
)
def test_a_surge_is_a_number_or_a_share(value: Any, valid: bool) -> None:  # noqa: FBT001 - a table's column
    document = layer(update={"maxSurge": value, "maxUnavailable": 1})
    assert (judge(document).causes == ()) is valid


@pytest.mark.parametrize("nothing", [0, "0%", "00%"])
def test_a_rollout_has_some_room(nothing: Any) -> None:
    assert fields(judge(layer(update={"maxSurge": nothing}))) == {("spec.update.maxUnavailable", "Invalid")}
    assert judge(layer(update={"maxSurge": nothing, "maxUnavailable": 1})).causes == ()


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"update": {"maxAge": "5m"}}, "spec.update.maxAge"),
        ({"update": {"maxAge": "12"}}, "spec.update.maxAge"),
        ({"update": {"restartedAt": "yesterday"}}, "spec.update.restartedAt"),
        ({"update": {"strategy": "Recreate"}}, "spec.update.strategy"),
        ({"shutdown": {"timeout": "25h"}}, "spec.shutdown.timeout"),
        ({"capacity": {"scaleIn": "hibernate"}}, "spec.capacity.scaleIn"),
    ],
)
def test_what_an_update_and_a_shutdown_may_say(spec: dict[str, Any], field: str) -> None:
    assert {cause.field for cause in judge(layer(**spec)).causes} == {field}


def test_an_instance_is_in_at_least_one_layer() -> None:
    assert fields(judge(instance(layers=[]))) == {("spec.layers", "Invalid")}


@pytest.mark.parametrize(("make", "longest"), [(stack, 40), (layer, 40), (instance, 63)])
def test_names_fit_into_hostnames(make: Any, longest: int) -> None:
    assert judge(make("a" * longest)).causes == ()
    assert fields(judge(make("a" * (longest + 1)))) == {("metadata.name", "TooLong")}
    assert fields(judge(make("a.b"))) == {("metadata.name", "Invalid")}


def test_labels_annotations_and_finalizers_are_judged() -> None:
    document = layer(labels={"ok.example/team": "a", "bad key": "x", "team": "b c"})
    document["metadata"]["annotations"] = {"note": "x" * 300_000}
    document["metadata"]["finalizers"] = ["not qualified!"]
    assert fields(judge(document)) == {
        ("metadata.labels", "Invalid"),
        ("metadata.labels[team]", "Invalid"),
        ("metadata.annotations", "TooLong"),
        ("metadata.finalizers[0]", "Invalid"),
    }


def test_a_document_without_spec_is_told_so() -> None:
    document = layer()
    del document["spec"]
    assert fields(judge(document)) == {("spec", "Required")}


def test_what_did_not_change_is_not_judged_again() -> None:
    old = layer(capacity={"min": 5, "max": 2})
    relabelled = layer(capacity={"min": 5, "max": 2}, labels={"team": "a"})
    assert judge_change(old, relabelled).causes == ()


def test_fields_that_an_object_has_already_are_not_unknown_again() -> None:
    old = layer(futureField=1)
    assert judge_change(old, layer(futureField=1, otherField=2)).unknown == (("spec", "otherField"),)


def test_a_status_is_judged_alone() -> None:
    definition = definitions()["instances"]
    old = instance()
    definition.fill(old)
    verdict = judge_status(definition, {**old, "status": {"phase": "dreaming", "mood": 1}}, old)
    assert fields(verdict) == {("status.phase", "NotSupported")}
    assert verdict.unknown == (("status", "mood"),)


def test_nothing_is_let_in_that_no_reader_can_decode() -> None:
    definition = definitions()["layers"]
    old = layer()
    definition.fill(old)
    # A leap second is a date-time to the schema, and none to Python.
    status = {"protectedBelowSince": "2016-12-31T23:59:60Z"}
    assert definition.validate("status", status) == []
    verdict = judge_status(definition, {**old, "status": status}, old)
    assert fields(verdict) == {("status.protectedBelowSince", "Invalid")}


def test_a_time_that_is_none_is_told_with_one_that_is() -> None:
    cause = only(judge(layer(update={"restartedAt": "yesterday"})))
    assert cause.field == "spec.update.restartedAt"
    assert 'Invalid value: "yesterday": must be a time such as 2026-12-31T18:00:00Z' in cause.message
