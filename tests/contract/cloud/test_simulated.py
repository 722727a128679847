"""What every cloud does on a bad day. moto has none: {simulator in-process, simulator over HTTP}."""

import pytest
from tests.contract.cloud.worlds import SimulatedWorld, refusal

from strata.errors import CloudErrorKind
from strata.resources.machine import Machine
from strata_sim.controls import ids
from strata_sim.faults import Fault
from strata_sim.knobs import Limits
from strata_sim.witness import live

UNKNOWN = "i-0fffffffffffffff1"
RUN = frozenset({"RunInstances"})


def ids_of(machines: tuple[Machine, ...]) -> list[str]:
    return [machine.instance_id for machine in machines]


async def test_a_token_launches_once_however_often_it_is_sent(simulated: SimulatedWorld) -> None:
    request = simulated.request("once", 3)
    first = await simulated.cloud.run_instances(request)
    simulated.settle()
    again = await simulated.cloud.run_instances(request)
    assert ids_of(again) == ids_of(first)
    assert {machine.state for machine in again} == {"running"}  # their present state
    assert [machine.ami_launch_index for machine in again] == [0, 1, 2]
    assert len(live(simulated.world)) == 3


async def test_a_token_with_other_parameters_is_a_mismatch(simulated: SimulatedWorld) -> None:
    await simulated.cloud.run_instances(simulated.request("used"))
    error = await refusal(simulated.cloud.run_instances(simulated.request("used", InstanceType="t3.large")))
    assert (error.kind, error.kind.definitive) == (CloudErrorKind.IDEMPOTENT_MISMATCH, False)


async def test_the_token_of_terminated_machines_says_so(simulated: SimulatedWorld) -> None:
    request = simulated.request("ended")
    machines = await simulated.cloud.run_instances(request)
    await simulated.cloud.terminate_instances(ids_of(machines))
    simulated.settle()
    error = await refusal(simulated.cloud.run_instances(request))
    assert error.kind is CloudErrorKind.IDEMPOTENT_TERMINATED


async def test_a_launch_is_filled_in_part_when_there_is_room_for_some(simulated: SimulatedWorld) -> None:
    simulated.controls.capacity("t3.small", simulated.zone, 2)
    machines = await simulated.cloud.run_instances(simulated.request("partial", 5))
    assert len(machines) == 2


async def test_no_capacity_is_told_apart_from_other_refusals(simulated: SimulatedWorld) -> None:
    simulated.controls.capacity("t3.small", simulated.zone, 0)
    error = await refusal(simulated.cloud.run_instances(simulated.request("full")))
    assert (error.kind, error.code) == (CloudErrorKind.CAPACITY, "InsufficientInstanceCapacity")
    simulated.controls.capacity("t3.small", simulated.zone, None)
    simulated.controls.limits(Limits(vcpus=1))
    error = await refusal(simulated.cloud.run_instances(simulated.request("limited")))
    assert error.kind is CloudErrorKind.LIMIT
    assert live(simulated.world) == []


async def test_a_throttled_call_is_not_carried_out(simulated: SimulatedWorld) -> None:
    simulated.controls.drain("RunInstances")
    error = await refusal(simulated.cloud.run_instances(simulated.request("throttled")))
    assert (error.kind, error.kind.definitive) == (CloudErrorKind.THROTTLED, False)
    assert live(simulated.world) == []


@pytest.mark.parametrize("kind", ["lose-reply", "error-after"])
async def test_a_launch_whose_reply_got_lost_is_found_by_sending_it_again(simulated: SimulatedWorld, kind: str) -> None:
    simulated.controls.fault(Fault("lose-reply" if kind == "lose-reply" else "error-after", actions=RUN))
    request = simulated.request("lost", 2)
    error = await refusal(simulated.cloud.run_instances(request))
    assert error.kind is CloudErrorKind.UNKNOWN_RESULT
    machines = await simulated.cloud.run_instances(request)
    assert sorted(ids_of(machines)) == sorted(instance.id for instance in live(simulated.world))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("AuthFailure", CloudErrorKind.UNAUTHORIZED),
        ("UnauthorizedOperation", CloudErrorKind.UNAUTHORIZED),
        ("ServiceUnavailable", CloudErrorKind.UNKNOWN_RESULT),
        ("OptInRequired", CloudErrorKind.UNAUTHORIZED),
    ],
)
async def test_a_refusal_has_its_kind(simulated: SimulatedWorld, code: str, kind: CloudErrorKind) -> None:
    simulated.controls.fault(Fault("refuse", code=code, message="as told", actions=RUN))
    error = await refusal(simulated.cloud.run_instances(simulated.request("refused")))
    assert (error.kind, error.code, error.message, error.action) == (kind, code, "as told", "RunInstances")


async def test_a_list_of_many_pages_is_whole(simulated: SimulatedWorld) -> None:
    launched = await simulated.populate(2500)
    found = await simulated.cloud.describe_instances([("instance-state-name", ("running",))])
    assert sorted(ids_of(found)) == sorted(launched)
    assert simulated.calls("DescribeInstances") == 3


async def test_a_list_that_loses_a_page_is_no_list(simulated: SimulatedWorld) -> None:
    await simulated.populate(1500)
    simulated.controls.fault(Fault("refuse", actions=frozenset({"DescribeInstances"}), skip=1))
    error = await refusal(simulated.cloud.describe_instances([("tag-key", ("run",))]))
    assert error.code == "InternalError"


async def test_describe_lags_behind_what_was_done(simulated: SimulatedWorld) -> None:
    simulated.settle()
    simulated.controls.lag(30)
    machines = await simulated.cloud.run_instances(simulated.request("lagging"))
    by_id = [("instance-id", tuple(ids_of(machines)))]
    assert await simulated.cloud.describe_instances(by_id) == ()
    assert await simulated.cloud.describe_health(ids_of(machines)) == ()
    simulated.settle()
    assert len(await simulated.cloud.describe_instances(by_id)) == 1
    assert len(await simulated.cloud.describe_health(ids_of(machines))) == 1


@pytest.mark.parametrize("part", ["instance", "system", "ebs"])
async def test_a_machine_that_fails_any_check_is_told(simulated: SimulatedWorld, part: str) -> None:
    machines = await simulated.cloud.run_instances(simulated.request("sick", 2))
    simulated.settle()
    sick, well = ids_of(machines)
    assert part in {"instance", "system", "ebs"}
    simulated.controls.impair(ids(sick), part)  # type: ignore[arg-type]
    simulated.settle()
    (health,) = await simulated.cloud.describe_impaired()
    assert (health.instance_id, health.state, health.checks) == (sick, "running", "impaired")
    assert health.impaired_since is not None
    assert {one.instance_id: one.checks for one in await simulated.cloud.describe_health([sick, well])} == {
        sick: "impaired",
        well: "ok",
    }


async def test_health_of_many_machines_with_many_unknown_is_whole(simulated: SimulatedWorld) -> None:
    machines = await simulated.cloud.run_instances(simulated.request("many", 150))
    simulated.settle()
    known = ids_of(machines)
    unknown = [f"i-0{number:016x}" for number in range(120)]
    asked = [one for pair in zip(known, [*unknown, *unknown[:30]], strict=True) for one in pair]
    found = await simulated.cloud.describe_health(asked)
    assert sorted(health.instance_id for health in found) == sorted(known)


async def test_a_protected_machine_is_not_terminated(simulated: SimulatedWorld) -> None:
    machines = await simulated.cloud.run_instances(simulated.request("protected", DisableApiTermination=True))
    simulated.settle()
    error = await refusal(simulated.cloud.terminate_instances(ids_of(machines)))
    assert error.kind is CloudErrorKind.TERMINATION_PROTECTED
    assert len(live(simulated.world)) == 1


async def test_a_terminated_machine_does_not_start(simulated: SimulatedWorld) -> None:
    machines = await simulated.cloud.run_instances(simulated.request("gone"))
    await simulated.cloud.terminate_instances(ids_of(machines))
    simulated.settle()
    error = await refusal(simulated.cloud.start_instances(ids_of(machines)))
    assert error.kind is CloudErrorKind.INCORRECT_STATE


async def test_tagging_an_unknown_machine_names_it(simulated: SimulatedWorld) -> None:
    error = await refusal(simulated.cloud.create_tags([UNKNOWN], {"Name": "x"}))
    assert (error.kind, error.ids) == (CloudErrorKind.NOT_FOUND, (UNKNOWN,))


async def test_user_data_arrives_as_it_was_written(simulated: SimulatedWorld) -> None:
    await simulated.cloud.run_instances(simulated.request("data", UserData="#!/bin/sh\necho 'ä'\n"))
    (instance,) = live(simulated.world)
    assert instance.birth.user_data == "IyEvYmluL3NoCmVjaG8gJ8OkJwo="


async def test_spot_machines_are_told(simulated: SimulatedWorld) -> None:
    (machine,) = await simulated.cloud.run_instances(
        simulated.request("spot", InstanceMarketOptions={"MarketType": "spot"})
    )
    assert machine.lifecycle == "spot"


SPOT = {"MarketType": "spot", "SpotOptions": {"SpotInstanceType": "one-time"}}


async def test_a_spot_request_says_when_ec2_takes_its_machine_back(simulated: SimulatedWorld) -> None:
    tags = [
        {"ResourceType": kind, "Tags": [{"Key": "run", "Value": "spot"}]}
        for kind in ("instance", "spot-instances-request")
    ]
    asked = simulated.request("spot", 2, InstanceMarketOptions=SPOT, TagSpecifications=tags)
    machines = await simulated.cloud.run_instances(asked)
    assert {machine.lifecycle for machine in machines} == {"spot"}
    simulated.settle()
    ours = ("tag:run", ("spot",))
    requests = await simulated.cloud.describe_spot_requests([ours])
    assert {one.instance_id for one in requests} == set(ids_of(machines))
    assert {(one.state, one.status_code) for one in requests} == {("active", "fulfilled")}
    marked = ("status-code", ("marked-for-termination",))
    assert await simulated.cloud.describe_spot_requests([ours, marked]) == ()
    taken = machines[0].instance_id
    simulated.controls.interrupt(ids(taken))
    (notice,) = await simulated.cloud.describe_spot_requests([ours, marked])
    assert (notice.instance_id, notice.tags) == (taken, {"run": "spot"})
    assert await simulated.cloud.describe_spot_requests([("tag:run", ("other",)), marked]) == ()
    simulated.settle()
    simulated.settle()
    simulated.settle()
    (gone,) = await simulated.cloud.describe_instances([("instance-id", (taken,))])
    assert (gone.state, gone.state_reason) == ("terminated", "Server.SpotInstanceTermination")


async def test_spot_capacity_is_another_than_on_demand_capacity(simulated: SimulatedWorld) -> None:
    simulated.controls.capacity("t3.small", None, 0, "spot")
    error = await refusal(simulated.cloud.run_instances(simulated.request("none", InstanceMarketOptions=SPOT)))
    assert (error.kind, error.code) == (CloudErrorKind.CAPACITY, "InsufficientInstanceCapacity")
    (machine,) = await simulated.cloud.run_instances(simulated.request("bought"))
    assert machine.lifecycle == "on-demand"


async def test_a_spot_machine_is_never_stopped(simulated: SimulatedWorld) -> None:
    (machine,) = await simulated.cloud.run_instances(simulated.request("spot", InstanceMarketOptions=SPOT))
    simulated.settle()
    error = await refusal(simulated.cloud.stop_instances([machine.instance_id]))
    assert (error.kind, error.code) == (CloudErrorKind.INVALID, "UnsupportedOperation")
