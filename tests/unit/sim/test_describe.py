"""What a Describe shows: filters, pages, lag."""

import time
from typing import Any

import pytest
from tests.unit.sim.kit import BOOTED_S, Sim, tags

from strata_sim import actions
from strata_sim.controls import ControlError, ids
from strata_sim.errors import Ec2Error


def filters(*pairs: tuple[str, list[str]]) -> list[dict[str, Any]]:
    return [{"Name": name, "Values": values} for name, values in pairs]


def test_filters_narrow_by_and_between_names_and_or_between_values(sim: Sim) -> None:
    (a,) = sim.launch(1, under="t1", TagSpecifications=tags(role="web", env="prod"))
    (b,) = sim.launch(1, SubnetId="subnet-0b", TagSpecifications=tags(role="db", env="prod"))
    (c,) = sim.launch(1, InstanceType="t3.micro", TagSpecifications=tags(role="web"))
    sim.clock.advance(BOOTED_S)
    sim.terminate(c)
    cases: list[tuple[list[tuple[str, tuple[str, ...]]], list[str]]] = [
        ([("tag:role", ("web",))], [a, c]),
        ([("tag:role", ("web", "db"))], [a, b, c]),
        ([("tag:role", ("web",)), ("tag-key", ("env",))], [a]),
        ([("instance-state-name", ("running",))], [a, b]),
        ([("instance-state-code", ("32",))], [c]),
        ([("instance-id", (b, "i-00000000000000000"))], [b]),
        ([("client-token", ("t1",))], [a]),
        ([("subnet-id", ("subnet-0b",))], [b]),
        ([("availability-zone", ("us-east-1a",))], [a, c]),
        ([("instance-type", ("t3.m*",))], [c]),
        ([("image-id", ("ami-0deb12*",)), ("vpc-id", ("vpc-?",))], [a, b, c]),
        ([("launch-time", ("2026-11-23T*",))], [a, b, c]),
        ([("state-reason-code", ("Client.User*",))], [c]),
        ([("tag:role", ("W*",))], []),
        ([("instance-lifecycle", ("spot",))], []),
    ]
    for given, found in cases:
        assert sim.ids(*given) == found, given


def test_filters_tell_capitals_apart(sim: Sim) -> None:
    (capital,) = sim.launch(1, TagSpecifications=tags(role="Web"))
    assert sim.ids(("tag:role", ("Web",))) == [capital]
    assert sim.ids(("tag:role", ("web",))) == []
    assert sim.ids(("tag:Role", ("Web",))) == []


def test_a_forgotten_machine_leaves_no_trace_in_any_filter(sim: Sim) -> None:
    (one,) = sim.launch(1, under="t", TagSpecifications=tags(a="1"))
    sim.clock.advance(BOOTED_S)
    sim.controls.impair(ids(one))
    sim.call(actions.CREATE_TAGS, Resources=[one], Tags=[{"Key": "a", "Value": "2"}])
    sim.terminate(one)
    sim.clock.advance(4000)
    states = ("pending", "running", "shutting-down", "terminated")
    for given in [
        ("instance-state-name", states),
        ("tag:a", ("1", "2")),
        ("tag-key", ("a",)),
        ("client-token", ("t",)),
    ]:
        assert sim.ids(given) == []
    checks = filters(("instance-status.status", ["initializing", "ok", "impaired", "not-applicable"]))
    assert sim.call(actions.DESCRIBE_INSTANCE_STATUS, Filters=checks, IncludeAllInstances=True).rows == []


def test_a_backslash_takes_a_wildcards_meaning_away(sim: Sim) -> None:
    (star,) = sim.launch(1, TagSpecifications=tags(glob="a*"))
    (other,) = sim.launch(1, TagSpecifications=tags(glob="ab"))
    assert sim.ids(("tag:glob", ("a*",))) == [star, other]
    assert sim.ids(("tag:glob", ("a\\*",))) == [star]


@pytest.mark.parametrize(
    ("action", "params", "code"),
    [
        (actions.DESCRIBE_INSTANCES, {"Filters": filters(("instance-state", ["running"]))}, "InvalidParameterValue"),
        (actions.DESCRIBE_INSTANCES, {"Filters": filters(("subnet-id", []))}, "InvalidParameterValue"),
        (actions.DESCRIBE_INSTANCES, {"Filters": filters(("instance-id", ["i-1"] * 201))}, "FilterLimitExceeded"),
        (actions.DESCRIBE_INSTANCES, {"Nope": 1}, "UnknownParameter"),
        (actions.DESCRIBE_INSTANCES, {"MaxResults": 4}, "InvalidParameterValue"),
        (actions.DESCRIBE_INSTANCES, {"MaxResults": 1001}, "InvalidParameterValue"),
        (actions.DESCRIBE_INSTANCES, {"NextToken": "nonsense"}, "InvalidNextToken"),
        (actions.DESCRIBE_INSTANCE_STATUS, {"Filters": filters(("tag:a", ["b"]))}, "InvalidParameterValue"),
        (actions.DESCRIBE_INSTANCE_STATUS, {"Filters": filters(("instance-id", ["i-1"]))}, "InvalidParameterValue"),
        (actions.DESCRIBE_INSTANCE_STATUS, {"InstanceIds": ["i-1"] * 101}, "InvalidParameterValue"),
        (actions.DESCRIBE_SUBNETS, {"Filters": filters(("nope", ["x"]))}, "InvalidParameterValue"),
        (actions.DESCRIBE_SUBNETS, {"SubnetIds": ["subnet-nope"]}, "InvalidSubnetID.NotFound"),
        (actions.DESCRIBE_IMAGES, {"ImageIds": ["ami-nope"]}, "InvalidAMIID.NotFound"),
        (actions.DESCRIBE_VPCS, {"VpcIds": ["vpc-nope"]}, "InvalidVpcID.NotFound"),
        (actions.DESCRIBE_TAGS, {"Filters": filters(("nope", ["x"]))}, "InvalidParameterValue"),
    ],
)
def test_what_is_not_ec2s_is_refused(sim: Sim, action: actions.Action[Any], params: dict[str, Any], code: str) -> None:
    with pytest.raises(Ec2Error) as refused:
        sim.call(action, **params)
    assert refused.value.code == code


def test_pages_count_instances_and_lose_none(sim: Sim) -> None:
    made = [one for _ in range(4) for one in sim.launch(3)]
    found: list[str] = []
    params: dict[str, Any] = {"MaxResults": 5}
    sizes = []
    for _ in range(3):
        page = sim.call(actions.DESCRIBE_INSTANCES, **params)
        found.extend(seen.instance.id for seen in page.rows)
        sizes.append(len(page.rows))
        params["NextToken"] = page.next_token
    assert (sizes, page.next_token) == ([5, 5, 2], "")
    assert found == made


def test_a_page_that_is_just_full_is_the_last(sim: Sim) -> None:
    sim.launch(5)
    assert sim.call(actions.DESCRIBE_INSTANCES, MaxResults=5).next_token == ""


def test_a_next_token_fits_its_own_query_only(sim: Sim) -> None:
    sim.launch(6)
    token = sim.call(actions.DESCRIBE_INSTANCES, MaxResults=5).next_token
    with pytest.raises(Ec2Error, match="InvalidNextToken"):
        sim.describe(("tag-key", ("a",)), MaxResults=5, NextToken=token)


def test_max_results_with_ids_is_refused(sim: Sim) -> None:
    made = sim.launch(1)
    for action in (actions.DESCRIBE_INSTANCES, actions.DESCRIBE_INSTANCE_STATUS):
        with pytest.raises(Ec2Error, match="InvalidParameterCombination"):
            sim.call(action, InstanceIds=made, MaxResults=5)


def test_status_shows_running_machines_unless_all_are_asked_for(sim: Sim) -> None:
    first, second = sim.launch(2)
    assert sim.call(actions.DESCRIBE_INSTANCE_STATUS).rows == []
    sim.clock.advance(BOOTED_S)
    sim.controls.stop(ids(second))
    (only,) = sim.call(actions.DESCRIBE_INSTANCE_STATUS).rows
    assert only.instance.id == first
    everything = sim.call(actions.DESCRIBE_INSTANCE_STATUS, IncludeAllInstances=True).rows
    assert [seen.view.checks[0] for seen in everything] == ["ok", "not-applicable"]


def test_status_filters_find_the_impaired(sim: Sim) -> None:
    first, second, _ = sim.launch(3)
    sim.clock.advance(BOOTED_S)
    sim.controls.impair(ids(first), "system")
    sim.controls.impair(ids(second), "ebs")
    for name, found in [
        ("system-status.status", [first]),
        ("attached-ebs-status.status", [second]),
        ("instance-status.status", []),
    ]:
        rows = sim.call(actions.DESCRIBE_INSTANCE_STATUS, Filters=filters((name, ["impaired"]))).rows
        assert [seen.instance.id for seen in rows] == found, name


def test_a_lagging_describe_hides_the_new_and_shows_the_old(sim: Sim) -> None:
    (old,) = sim.launch(1)
    sim.clock.advance(60)
    sim.controls.lag(10)
    (new,) = sim.launch(1)
    sim.terminate(old)
    assert [(s.instance.id, s.view.state) for s in sim.describe()] == [(old, "running")]
    assert sim.ids(("instance-state-name", ("running",))) == [old]
    assert sim.ids(("instance-state-name", ("shutting-down", "terminated"))) == []
    for call in (
        lambda: sim.describe(InstanceIds=[new]),
        lambda: sim.terminate(new),
        lambda: sim.call(actions.CREATE_TAGS, Resources=[new], Tags=[{"Key": "a", "Value": "b"}]),
    ):
        with pytest.raises(Ec2Error, match=r"InvalidInstanceID\.NotFound"):
            call()
    assert sim.ids(("instance-id", (new,))) == []
    sim.clock.advance(10)
    assert sim.ids(("instance-id", (new,))) == [new]
    sim.clock.advance(1)
    assert sim.ids(("instance-state-name", ("terminated",))) == [old]


def test_tags_lag_as_well(sim: Sim) -> None:
    (one,) = sim.launch(1, TagSpecifications=tags(a="old"))
    sim.clock.advance(60)
    sim.controls.lag(10)
    sim.call(actions.CREATE_TAGS, Resources=[one], Tags=[{"Key": "a", "Value": "new"}])
    assert sim.ids(("tag:a", ("old",))) == [one]
    assert sim.ids(("tag:a", ("new",))) == []
    sim.clock.advance(10)
    assert sim.ids(("tag:a", ("old",))) == []
    assert sim.ids(("tag:a", ("new",))) == [one]


def test_an_uneven_lag_shows_parts_and_by_the_seed(sim: Sim) -> None:
    def views(one: Sim) -> list[tuple[int, ...]]:
        one.controls.lag(10, uneven=True)
        made = one.launch(20)
        one.clock.advance(5)
        return [tuple(made.index(found) for found in one.ids()) for _ in range(5)]

    first = views(sim)
    assert any(0 < len(view) < 20 for view in first)
    assert len(set(first)) > 1
    assert views(Sim()) == first


def test_a_lag_longer_than_the_history_is_refused(sim: Sim) -> None:
    with pytest.raises(ControlError):
        sim.controls.lag(10_000)


def test_a_filtered_describe_of_ten_thousand_is_quick(sim: Sim) -> None:
    sim.controls.throttle(None)
    for n in range(12):
        sim.launch(833, SubnetId=f"subnet-0{'abc'[n % 3]}", TagSpecifications=tags(cluster="c"))
    sim.clock.advance(BOOTED_S)
    sim.terminate(*sim.ids(("tag:cluster", ("c",)))[:3])
    began = time.process_time()
    for _ in range(50):
        found = sim.ids(("tag:cluster", ("c",)), ("instance-state-name", ("shutting-down", "terminated")))
        assert len(found) == 3
    assert time.process_time() - began < 0.5, "50 calls; a scan of all takes 1.5 s"
