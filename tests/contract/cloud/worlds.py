"""The clouds under contract, each with what a test must know of the world behind it."""

import random
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from strata.clock import SystemClock
from strata.cloud.ec2 import Ec2Cloud
from strata.cloud.lazy_sdk import LazySdk
from strata.cloud.port import Cloud, RunRequest
from strata.errors import CloudError
from strata.metrics import DaemonMetrics
from strata.resources.machine import Subnet
from strata_sim.controls import Controls
from strata_sim.http import serving
from strata_sim.inprocess import SimulatedCloud
from strata_sim.world import World

REGION = "us-east-1"
_MOTO_PARAMETER = "/test/image"


async def refusal(call: Awaitable[Any]) -> CloudError:
    """The error that this call raises."""
    with pytest.raises(CloudError) as caught:
        await call
    return caught.value


class SteppedClock:
    """Stands still but when told: the simulated world's clock, not the caller's."""

    def __init__(self) -> None:
        self._now_s = 0.0

    def now(self) -> datetime:
        return datetime(2026, 1, 5, 12, 0, tzinfo=UTC) + timedelta(seconds=self._now_s)

    def monotonic_s(self) -> float:
        return self._now_s

    def step(self, seconds: float) -> None:
        self._now_s += seconds


@dataclass(frozen=True)
class CloudWorld:
    """A cloud, and a network, an image and a parameter that exist in it."""

    cloud: Cloud
    image_id: str
    subnet_id: str
    zone: str
    vpc_id: str
    parameter: tuple[str, str]
    metrics: DaemonMetrics = field(default_factory=lambda: DaemonMetrics("test"))

    def settle(self) -> None:
        """Let all that is under way come to its end. moto knows no under way."""

    def request(self, token: str, count: int = 1, **parameters: Any) -> RunRequest:
        """A launch under a token, tagged `run`: the token."""
        tags = [{"Key": "run", "Value": token}, {"Key": "note", "Value": "<ä & b>"}]
        whole = {
            "ImageId": self.image_id,
            "InstanceType": "t3.small",
            "SubnetId": self.subnet_id,
            "TagSpecifications": [{"ResourceType": "instance", "Tags": tags}],
        }
        return RunRequest(token, whole | parameters, max_count=count)


@dataclass(frozen=True, kw_only=True)
class SimulatedWorld(CloudWorld):
    """One that can be told to go wrong."""

    world: World
    clock: SteppedClock

    @property
    def controls(self) -> Controls:
        return Controls(self.world, REGION)

    def settle(self) -> None:
        self.clock.step(60)

    async def populate(self, count: int) -> list[str]:
        """Machines that somebody else launched: the caller's own buckets would make so many wait for minutes."""
        self.controls.throttle(None)
        other = SimulatedCloud(self.world, REGION, "somebody else")
        batches = [other.run_instances(self.request(f"other-{start}", 500)) for start in range(0, count, 500)]
        launched = [machine.instance_id for batch in batches for machine in await batch]
        self.settle()
        return launched

    def calls(self, action: str) -> int:
        """How many calls of this action reached the simulator."""
        return sum(1 for call in self.world.log.since(0) if call.action == action)


def in_process() -> SimulatedWorld:
    world, clock = _world()
    return _simulated(SimulatedCloud(world, REGION), world, clock, DaemonMetrics("test"))


@asynccontextmanager
async def over_http(sdk: LazySdk) -> AsyncIterator[SimulatedWorld]:
    world, clock = _world()
    metrics = DaemonMetrics("test")
    async with serving(world) as endpoint:
        cloud = Ec2Cloud(REGION, endpoint, SystemClock(), metrics, sdk=sdk)
        try:
            yield _simulated(cloud, world, clock, metrics)
        finally:
            await cloud.close()


@dataclass(frozen=True)
class MotoFacts:
    """What a moto_server was born with. Asking it is slow: once a session."""

    endpoint: str
    image_id: str
    subnet: Subnet


def moto_facts(endpoint: str) -> MotoFacts:
    """Find out, with boto3 alone, and publish the test's parameter."""
    with (
        closing(boto3.client("ec2", region_name=REGION, endpoint_url=endpoint)) as ec2,
        closing(boto3.client("ssm", region_name=REGION, endpoint_url=endpoint)) as ssm,
    ):
        subnet = ec2.describe_subnets()["Subnets"][0]
        image_id = ec2.describe_images()["Images"][0]["ImageId"]
        ssm.put_parameter(Name=_MOTO_PARAMETER, Value=image_id, Type="String", Overwrite=True)
    return MotoFacts(endpoint, image_id, Subnet(subnet["SubnetId"], subnet["AvailabilityZone"], subnet["VpcId"]))


@asynccontextmanager
async def at_moto(moto: MotoFacts, sdk: LazySdk) -> AsyncIterator[CloudWorld]:
    metrics = DaemonMetrics("test")
    cloud = Ec2Cloud(REGION, moto.endpoint, SystemClock(), metrics, sdk=sdk)
    try:
        yield CloudWorld(
            cloud=cloud,
            image_id=moto.image_id,
            subnet_id=moto.subnet.subnet_id,
            zone=moto.subnet.zone,
            vpc_id=moto.subnet.vpc_id,
            parameter=(_MOTO_PARAMETER, moto.image_id),
            metrics=metrics,
        )
    finally:
        await cloud.close()


def _world() -> tuple[World, SteppedClock]:
    clock = SteppedClock()
    return World(clock, random.Random(1)), clock


def _simulated(cloud: Cloud, world: World, clock: SteppedClock, metrics: DaemonMetrics) -> SimulatedWorld:
    spec = world.catalog.regions[0]
    image = spec.images[0]
    name = next(name for name, value in spec.parameters.items() if value == image.id)
    return SimulatedWorld(
        cloud=cloud,
        image_id=image.id,
        subnet_id=spec.subnets[0].id,
        zone=spec.subnets[0].zone,
        vpc_id=spec.subnets[0].vpc_id,
        parameter=(name, image.id),
        metrics=metrics,
        world=world,
        clock=clock,
    )
