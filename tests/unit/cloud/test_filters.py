"""Filters as EC2 means them: any value of one, all of several, wildcards, and EC2's limit of values."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strata.cloud.filters import INSTANCE_FIELDS, Matcher, require_checkable, within_limits
from strata.cloud.port import MAX_FILTER_VALUES, Filter
from strata.errors import CloudError, CloudErrorKind
from strata.resources.machine import Machine

MACHINE = Machine(
    instance_id="i-1",
    state="running",
    type="t3.small",
    zone="us-east-1a",
    subnet_id="subnet-0a",
    image_id="ami-1",
    launched_at=datetime(2026, 1, 1, tzinfo=UTC),
    tags={"strata.dev/cluster": "c1", "odd": "a*b"},
)


@pytest.mark.parametrize(
    ("filters", "met"),
    [
        ([], True),
        ([("instance-id", ("i-1",))], True),
        ([("instance-id", ("i-2", "i-1"))], True),
        ([("instance-id", ("i-2",))], False),
        ([("tag:strata.dev/cluster", ("c1",)), ("instance-state-name", ("running", "pending"))], True),
        ([("tag:strata.dev/cluster", ("c1",)), ("instance-state-name", ("stopped",))], False),
        ([("tag:strata.dev/cluster", ("C1",))], False),
        ([("tag:missing", ("",))], False),
        ([("tag:strata.dev/cluster", ("c?",))], True),
        ([("tag:strata.dev/cluster", ("?",))], False),
        ([("tag:strata.dev/cluster", ("*",))], True),
        ([("tag:odd", ("a\\*b",))], True),
        ([("tag:odd", ("a\\?b",))], False),
        ([("tag:odd", ("a.b",))], False),
        ([("tag-key", ("strata.dev/*",))], True),
        ([("tag-key", ("nope",))], False),
        ([("instance-lifecycle", ("spot",))], False),
        ([("instance-type", ("t3.*",)), ("availability-zone", ("us-east-1a",)), ("subnet-id", ("subnet-0a",))], True),
    ],
)
def test_a_machine_is_judged_as_ec2_judges_it(filters: list[Filter], met: bool) -> None:  # noqa: FBT001 - a table
    require_checkable(filters, INSTANCE_FIELDS)
    assert Matcher(filters, INSTANCE_FIELDS)(MACHINE) is met


@pytest.mark.parametrize("filters", [[("vpc-id", ("vpc-0",))], [("instance-id", ())], [("", ("x",))]])
def test_a_filter_that_could_not_be_checked_is_refused(filters: list[Filter]) -> None:
    with pytest.raises(CloudError) as caught:
        require_checkable(filters, INSTANCE_FIELDS)
    assert caught.value.kind is CloudErrorKind.INVALID


@settings(deadline=None)  # matters of time are not what it is about
@given(ids=st.integers(1, 700), stacks=st.integers(1, 300))
def test_split_filters_are_within_the_limit_and_ask_for_the_same(ids: int, stacks: int) -> None:
    filters: list[Filter] = [
        ("instance-id", tuple(f"i-{n}" for n in range(ids))),
        ("tag:stack", tuple(f"s{n}" for n in range(stacks))),
    ]
    asked = list(within_limits(filters))
    assert all(len(values) <= MAX_FILTER_VALUES for some in asked for _, values in some)
    pairs = [(one, stack) for (_, some_ids), (_, some_stacks) in asked for one in some_ids for stack in some_stacks]
    assert len(pairs) == len(set(pairs)) == ids * stacks
