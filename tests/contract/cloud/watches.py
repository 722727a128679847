"""The CloudWatches under contract, each with a hand on the world behind it."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import uuid4

import boto3
from tests.contract.cloud.worlds import REGION, SteppedClock

from strata.clock import Clock, SystemClock
from strata.cloud.cloudwatch import BotoCloudWatch
from strata.cloud.lazy_sdk import LazySdk
from strata.cloud.port import CloudWatch, MetricQuery, RunRequest
from strata.metrics import DaemonMetrics
from strata.resources import tags
from strata.resources.signal import AlarmValue
from strata_sim.controls import Controls
from strata_sim.http import serving
from strata_sim.inprocess import SimulatedCloud
from strata_sim.inprocess_cloudwatch import SimulatedCloudWatch
from strata_sim.load import LayerKey, Load
from strata_sim.world import World

_KEY = LayerKey("shop", "web")


class WatchWorld(Protocol):
    """A CloudWatch, and how things come to be in it."""

    @property
    def watch(self) -> CloudWatch: ...

    @property
    def clock(self) -> Clock: ...

    async def machine(self, minutes: int) -> str:
        """A machine with detailed monitoring that had 50 percent of CPU in each of the last so many minutes."""
        ...

    def alarm(self, value: AlarmValue) -> str:
        """The name of a new alarm in this state."""
        ...


@dataclass(frozen=True)
class SimulatedWatch:
    watch: CloudWatch
    clock: SteppedClock
    world: World

    @property
    def controls(self) -> Controls:
        return Controls(self.world, REGION)

    async def machine(self, minutes: int) -> str:
        (found,) = await self.machines(1, minutes)
        return found

    async def machines(self, count: int, minutes: int, *, detailed: bool = True) -> Sequence[str]:
        self.controls.throttle(None)
        spec = self.world.catalog.regions[0]
        labels = [{"Key": tags.STACK, "Value": _KEY.stack}, {"Key": tags.LAYER, "Value": _KEY.layer}]
        parameters = {
            "ImageId": spec.images[0].id,
            "InstanceType": "t3.small",
            "SubnetId": spec.subnets[0].id,
            "Monitoring": {"Enabled": detailed},
            "TagSpecifications": [{"ResourceType": "instance", "Tags": labels}],
        }
        request = RunRequest(str(uuid4()), parameters, max_count=count)
        launched = await SimulatedCloud(self.world, REGION, "somebody else").run_instances(request)
        self.clock.step(60)
        self.controls.load(_KEY, Load(mean=50.0 * count))
        self.clock.step(60 * minutes)
        return [machine.instance_id for machine in launched]

    def alarm(self, value: AlarmValue, *, composite: bool = False) -> str:
        name = f"alarm-{uuid4()}"
        self.controls.alarm(name, value, composite=composite)
        return name

    def calls(self, action: str) -> int:
        return sum(1 for call in self.world.log.since(0) if call.action == action)


@dataclass(frozen=True)
class MotoWatch:
    watch: CloudWatch
    clock: Clock
    endpoint: str

    async def machine(self, minutes: int) -> str:
        instance_id = f"i-{uuid4().hex[:17]}"
        now = self.clock.now().replace(second=0, microsecond=0)
        points = [
            {
                "MetricName": "CPUUtilization",
                "Dimensions": [{"Name": "InstanceId", "Value": instance_id}],
                "Timestamp": now - timedelta(minutes=minute),
                "Value": 50.0,
            }
            for minute in range(1, minutes + 1)
        ]
        with closing(boto3.client("cloudwatch", region_name=REGION, endpoint_url=self.endpoint)) as client:
            client.put_metric_data(Namespace="AWS/EC2", MetricData=points)  # type: ignore[arg-type]
        return instance_id

    def alarm(self, value: AlarmValue) -> str:
        name = f"alarm-{uuid4()}"
        with closing(boto3.client("cloudwatch", region_name=REGION, endpoint_url=self.endpoint)) as client:
            client.put_metric_alarm(
                AlarmName=name,
                ComparisonOperator="GreaterThanThreshold",
                EvaluationPeriods=1,
                MetricName="CPUUtilization",
                Namespace="AWS/EC2",
                Period=60,
                Statistic="Average",
                Threshold=80,
            )
            client.set_alarm_state(AlarmName=name, StateValue=value, StateReason="the test says so")
        return name


def cpu(instance_id: str, period_s: int = 60) -> MetricQuery:
    return MetricQuery("AWS/EC2", "CPUUtilization", (("InstanceId", instance_id),), period_s)


def recent(clock: Clock, minutes: int) -> dict[str, datetime]:
    """The last so many minutes, as get_metric_data takes them."""
    return {"start_at": clock.now() - timedelta(minutes=minutes), "end_at": clock.now()}


def in_process() -> SimulatedWatch:
    clock = SteppedClock()
    world = World(clock, random.Random(1))
    return SimulatedWatch(SimulatedCloudWatch(world, REGION), clock, world)


@asynccontextmanager
async def over_http(sdk: LazySdk) -> AsyncIterator[SimulatedWatch]:
    clock = SteppedClock()
    world = World(clock, random.Random(1))
    async with serving(world) as endpoint:
        watch = BotoCloudWatch(REGION, endpoint, SystemClock(), DaemonMetrics("test"), sdk=sdk)
        try:
            yield SimulatedWatch(watch, clock, world)
        finally:
            await watch.close()


@asynccontextmanager
async def at_moto(endpoint: str, sdk: LazySdk) -> AsyncIterator[MotoWatch]:
    watch = BotoCloudWatch(REGION, endpoint, SystemClock(), DaemonMetrics("test"), sdk=sdk)
    try:
        yield MotoWatch(watch, SystemClock(), endpoint)
    finally:
        await watch.close()
