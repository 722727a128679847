"""The in-process face: the cloud's port on the core, with places to cut a caller before and after the effect."""

import asyncio
import random

import pytest
from tests.kit.virtual_time import VirtualClock, run_virtual
from tests.unit.sim.kit import DEBIAN, REGION

from strata.cloud.port import Cloud, RunRequest
from strata.errors import CloudError, CloudErrorKind
from strata_sim import witness
from strata_sim.controls import Controls, ids
from strata_sim.faults import Fault
from strata_sim.inprocess import SimulatedCloud
from strata_sim.world import World

PARAMETERS = {
    "ImageId": DEBIAN,
    "InstanceType": "t3.small",
    "SubnetId": "subnet-0a",
    "UserData": "#!/bin/sh\n",
    "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "c", "Value": "x"}]}],
}


class Stage:
    def __init__(self) -> None:
        self.world = World(VirtualClock(), random.Random(3))
        self.cloud: Cloud = SimulatedCloud(self.world, REGION)
        self.controls = Controls(self.world, REGION)


def request(name: str = "t", count: int = 2) -> RunRequest:
    return RunRequest(name, PARAMETERS, count)


def test_a_life_through_the_port() -> None:
    async def life() -> None:
        stage = Stage()
        made = await stage.cloud.run_instances(request())
        assert [(m.state, m.ami_launch_index, m.client_token) for m in made] == [
            ("pending", 0, "t"),
            ("pending", 1, "t"),
        ]
        first, second = (m.instance_id for m in made)
        await asyncio.sleep(3)
        assert [h.checks for h in await stage.cloud.describe_health([first, "i-00000000000000000", second])] == [
            "ok",
            "ok",
        ]
        stage.controls.impair(ids(first), "system")
        (sick,) = await stage.cloud.describe_impaired()
        assert (sick.instance_id, sick.checks) == (first, "impaired")
        await stage.cloud.create_tags([first], {"Name": "web-1"})
        await stage.cloud.stop_instances([first])
        await asyncio.sleep(1)
        await stage.cloud.start_instances([first])
        await asyncio.sleep(3)
        await stage.cloud.reboot_instances([first])
        await stage.cloud.terminate_instances([second])
        machines = await stage.cloud.describe_instances([("tag:c", ("x",))])
        assert [(m.state, m.tags) for m in machines] == [
            ("running", {"c": "x", "Name": "web-1"}),
            ("shutting-down", {"c": "x"}),
        ]

    run_virtual(life())


def test_reads_of_the_catalogue_leave_out_what_is_not_there() -> None:
    async def read() -> None:
        cloud = Stage().cloud
        name = "/aws/service/debian/release/12/latest/amd64"
        assert await cloud.get_parameters([name, "/nope"]) == {name: DEBIAN}
        (image,) = await cloud.describe_images([DEBIAN, "ami-nope"])
        assert (image.image_id, image.root_device_name) == (DEBIAN, "/dev/xvda")
        (subnet,) = await cloud.describe_subnets(["subnet-0b", "subnet-nope"])
        assert (subnet.subnet_id, subnet.zone, subnet.vpc_id) == ("subnet-0b", "us-east-1b", "vpc-0")

    run_virtual(read())


def test_many_pages_are_one_answer() -> None:
    async def read() -> None:
        stage = Stage()
        stage.controls.throttle(None)
        for n in range(3):
            await stage.cloud.run_instances(request(f"t{n}", 900))
        assert len({m.instance_id for m in await stage.cloud.describe_instances([("tag:c", ("x",))])}) == 2700

    run_virtual(read())


@pytest.mark.parametrize(("step", "made"), [(1, 0), (2, 2)])
def test_a_caller_can_be_cut_before_and_after_the_effect(step: int, made: int) -> None:
    async def cut() -> None:
        stage = Stage()
        async with asyncio.TaskGroup() as tasks:
            launch = tasks.create_task(stage.cloud.run_instances(request()))
            for _ in range(step):
                await asyncio.sleep(0)
            launch.cancel()
        assert len(witness.live(stage.world)) == made
        assert len(await stage.cloud.run_instances(request())) == 2
        assert len(witness.live(stage.world)) == 2

    run_virtual(cut())


@pytest.mark.parametrize(
    ("fault", "kind", "made"),
    [
        (Fault("refuse", "AuthFailure"), CloudErrorKind.UNAUTHORIZED, 0),
        (Fault("refuse", "UnauthorizedOperation"), CloudErrorKind.UNAUTHORIZED, 0),
        (Fault("refuse", "ExpiredToken"), CloudErrorKind.UNAUTHORIZED, 0),
        (Fault("refuse", "RequestExpired"), CloudErrorKind.CLOCK_SKEW, 0),
        (Fault("refuse", "InternalError"), CloudErrorKind.UNKNOWN_RESULT, 0),
        (Fault("refuse", "Unavailable"), CloudErrorKind.UNKNOWN_RESULT, 0),
        (Fault("unreachable"), CloudErrorKind.UNREACHABLE, 0),
        (Fault("error-after", "InternalError"), CloudErrorKind.UNKNOWN_RESULT, 2),
        (Fault("lose-reply"), CloudErrorKind.UNKNOWN_RESULT, 2),
    ],
)
def test_a_fault_befalls_one_call_and_the_log_tells_what_was_done(
    fault: Fault, kind: CloudErrorKind, made: int
) -> None:
    async def fail() -> None:
        stage = Stage()
        stage.controls.fault(fault)
        with pytest.raises(CloudError) as failed:
            await stage.cloud.run_instances(request())
        assert failed.value.kind is kind
        assert len(witness.live(stage.world)) == made
        call = list(stage.world.log.since(0))[-1]
        assert (len(call.made), call.answered) == (made, fault.kind == "refuse")
        assert len(await stage.cloud.run_instances(request())) == 2
        assert witness.doubled(stage.world) == {}

    run_virtual(fail())


def test_an_unknown_region_is_unreachable() -> None:
    async def call() -> None:
        cloud = SimulatedCloud(Stage().world, "mars-north-1")
        with pytest.raises(CloudError) as failed:
            await cloud.describe_instances([])
        assert failed.value.kind is CloudErrorKind.UNREACHABLE

    run_virtual(call())


def test_latency_passes_on_both_sides_of_the_effect() -> None:
    async def call() -> None:
        stage = Stage()
        stage.world.latency_s = 4.0
        await stage.cloud.run_instances(request())
        (life, _) = witness.lives(stage.world)
        assert (life.made_at_s, asyncio.get_running_loop().time()) == (2.0, 4.0)

    run_virtual(call())
