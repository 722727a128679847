"""Tags: EC2's limits, and calls that do all or nothing."""

from typing import Any

import pytest
from tests.unit.sim.kit import Sim, tags

from strata_sim import actions
from strata_sim.errors import Ec2Error


def pairs(**given: str) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in given.items()]


def test_tags_are_set_changed_and_removed(sim: Sim) -> None:
    first, second = sim.launch(2, TagSpecifications=tags(a="1"))
    sim.call(actions.CREATE_TAGS, Resources=[first, second], Tags=pairs(a="2", b="3"))
    assert [seen.view.tags for seen in sim.describe()] == [{"a": "2", "b": "3"}] * 2
    sim.call(actions.DELETE_TAGS, Resources=[first], Tags=[{"Key": "a", "Value": "other"}, {"Key": "b"}])
    assert sim.describe()[0].view.tags == {"a": "2"}
    sim.call(actions.DELETE_TAGS, Resources=[first])
    assert sim.describe()[0].view.tags == {}
    assert sim.ids(("tag:b", ("3",))) == [second]


def test_one_unknown_resource_and_nothing_is_tagged(sim: Sim) -> None:
    (one,) = sim.launch(1)
    for resource, code in [
        ("i-00000000000000000", "InvalidInstanceID.NotFound"),
        ("vol-00000000000000000", "InvalidVolume.NotFound"),
        ("what", "InvalidID"),
    ]:
        with pytest.raises(Ec2Error) as refused:
            sim.call(actions.CREATE_TAGS, Resources=[one, resource], Tags=pairs(a="1"))
        assert refused.value.code == code
    assert sim.describe()[0].view.tags == {}


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ([{"Key": "k" * 129, "Value": ""}], "InvalidParameterValue"),
        ([{"Key": "k", "Value": "v" * 257}], "InvalidParameterValue"),
        ([{"Key": "", "Value": "v"}], "InvalidParameterValue"),
        ([{"Key": "aws:x", "Value": "v"}], "InvalidParameterValue"),
        ([{"Key": "AWS:x", "Value": "v"}], "InvalidParameterValue"),
        ([{"Key": "k", "Value": "1"}, {"Key": "k", "Value": "2"}], "InvalidParameterValue"),
        ([{"Key": f"k{n}", "Value": ""} for n in range(51)], "TagLimitExceeded"),
    ],
)
def test_tags_that_ec2_refuses_are_refused_at_launch_and_later(
    sim: Sim, given: list[dict[str, Any]], code: str
) -> None:
    with pytest.raises(Ec2Error) as at_launch:
        sim.run(1, TagSpecifications=[{"ResourceType": "instance", "Tags": given}])
    assert sim.ids() == []
    (one,) = sim.launch(1)
    with pytest.raises(Ec2Error) as later:
        sim.call(actions.CREATE_TAGS, Resources=[one], Tags=given)
    assert (at_launch.value.code, later.value.code) == (code, code)
    assert sim.describe()[0].view.tags == {}


def test_the_longest_and_the_most_are_allowed(sim: Sim) -> None:
    (one,) = sim.launch(1, TagSpecifications=tags(**{f"{n:03d}" + "k" * 125: "v" * 256 for n in range(50)}))
    with pytest.raises(Ec2Error, match="TagLimitExceeded"):
        sim.call(actions.CREATE_TAGS, Resources=[one], Tags=pairs(another=""))
    assert len(sim.describe()[0].view.tags) == 50


def test_describe_tags_filters_and_pages(sim: Sim) -> None:
    first, _ = sim.launch(2, TagSpecifications=tags(a="1", b="2", c="3"))
    rows = sim.call(actions.DESCRIBE_TAGS, Filters=[{"Name": "resource-id", "Values": [first]}]).rows
    assert [(row.key, row.value, row.resource_type) for row in rows] == [
        ("a", "1", "instance"), ("b", "2", "instance"), ("c", "3", "instance"),
    ]  # fmt: skip
    page = sim.call(actions.DESCRIBE_TAGS, MaxResults=5)
    rest = sim.call(actions.DESCRIBE_TAGS, MaxResults=5, NextToken=page.next_token)
    assert (len(page.rows), len(rest.rows), rest.next_token) == (5, 1, "")


def test_volumes_are_tagged_at_creation_and_forgotten_with_their_machine(sim: Sim) -> None:
    given = [{"ResourceType": "volume", "Tags": pairs(kind="root")}]
    (seen,) = sim.run(1, TagSpecifications=given).seen
    (volume,) = seen.instance.birth.volumes
    (row,) = sim.call(actions.DESCRIBE_TAGS, Filters=[{"Name": "key", "Values": ["kind"]}]).rows
    assert (row.resource_id, row.resource_type, row.value) == (volume.volume_id, "volume", "root")
    sim.terminate(seen.instance.id)
    sim.clock.advance(1)
    assert sim.states() == ["terminated"]
    sim.clock.advance(3601)
    assert sim.call(actions.DESCRIBE_TAGS).rows == []
