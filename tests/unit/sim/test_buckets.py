"""The published token buckets, refilled by the clock."""

from typing import Any

import pytest
from tests.unit.sim.kit import DEBIAN, Sim

from strata_sim import actions
from strata_sim.errors import Ec2Error


def calls_until_throttled(sim: Sim, action: actions.Action[Any], most: int = 300, **params: object) -> int:
    for n in range(most):
        try:
            sim.call(action, **params)
        except Ec2Error as error:
            if error.code != "RequestLimitExceeded":
                raise
            return n
    return most


def test_launch_requests_burst_to_five_and_refill_at_two_a_second(sim: Sim) -> None:
    for _ in range(5):
        sim.launch(1)
    with pytest.raises(Ec2Error, match="RequestLimitExceeded") as refused:
        sim.launch(1)
    assert refused.value.http_status == 503
    assert len(sim.ids()) == 5
    sim.clock.advance(1)
    assert len(sim.launch(1) + sim.launch(1)) == 2
    with pytest.raises(Ec2Error, match="RequestLimitExceeded"):
        sim.launch(1)


def test_a_bucket_never_holds_more_than_its_size(sim: Sim) -> None:
    sim.launch(1)
    sim.clock.advance(86_400)
    assert (
        calls_until_throttled(
            sim, actions.RUN_INSTANCES, ImageId=DEBIAN, InstanceType="t3.micro", MinCount=1, MaxCount=1
        )
        == 5
    )


def test_filtered_describes_have_a_bucket_of_their_own(sim: Sim) -> None:
    assert calls_until_throttled(sim, actions.DESCRIBE_INSTANCES) == 50
    assert calls_until_throttled(sim, actions.DESCRIBE_INSTANCES, MaxResults=1000) == 100
    assert calls_until_throttled(sim, actions.DESCRIBE_INSTANCE_STATUS) == 50


def test_instances_are_paid_for_as_well_as_requests(sim: Sim) -> None:
    sim.launch(600)
    with pytest.raises(Ec2Error, match="RequestLimitExceeded"):
        sim.launch(600)
    assert len(sim.ids()) == 600
    sim.launch(400)
    sim.clock.advance(100)
    assert len(sim.launch(200)) == 200


def test_a_repeated_launch_pays_no_instances(sim: Sim) -> None:
    sim.launch(1000, under="t")
    assert len(sim.launch(1000, under="t")) == 1000


def test_throttling_scales_drains_and_turns_off(sim: Sim) -> None:
    sim.controls.throttle(0.4)
    assert calls_until_throttled(sim, actions.DESCRIBE_VPCS) == 20
    sim.controls.throttle(1.0)
    sim.controls.drain("DescribeVpcs")
    assert calls_until_throttled(sim, actions.DESCRIBE_VPCS) == 0
    sim.controls.throttle(None)
    assert calls_until_throttled(sim, actions.DESCRIBE_VPCS) == 300
