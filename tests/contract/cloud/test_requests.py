"""Every request that the daemon can make, as large as it can make it, judged by AWS's own model and documented limits.

That boto3 sends it proves less: see tests/kit/aws_limits.py. Nothing here proves that an id exists, or a permission.
"""

from datetime import UTC, datetime, timedelta

import pytest
from tests.kit.aws_limits import judge
from tests.kit.judging_sdk import LAUNCHED, JudgingSdk

from strata.clock import SystemClock
from strata.cloud.buckets import LIMITS
from strata.cloud.cloudwatch import BotoCloudWatch
from strata.cloud.ec2 import Ec2Cloud
from strata.cloud.event_queue import MOST_MESSAGES, QueueMessage
from strata.cloud.port import MAX_ALARM_NAMES, MAX_METRIC_QUERIES, MetricQuery, RunRequest
from strata.cloud.sqs import SqsQueue
from strata.metrics import DaemonMetrics
from strata.planner.template import launch_tags, people_tags, run_parameters
from strata.resources import tags
from strata.resources.codec import decode
from strata.resources.instance import Instance
from strata.resources.layer import ResolvedImage
from strata.resources.machine import Market
from strata.resources.stack import ImageSource, InstanceTemplate, RootVolume, SubnetRef

REGION = "us-east-1"
NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
MANY = [f"i-{number:017x}" for number in range(1234)]
UUID = "0" * 8 + "-0000-4000-8000-" + "0" * 12
LONG_NAME = "n" * 40

IMAGE = ResolvedImage(source="id:x", id="ami-0123456789abcdef0", root_device_name="/dev/xvda", resolved_at=NOW)
TEMPLATE = InstanceTemplate(
    image=ImageSource(id=IMAGE.id),
    types=("m5.large",),
    key_name="k" * 255,
    instance_profile="p" * 128,
    security_group_ids=tuple(f"sg-{number:017x}" for number in range(16)),
    root_volume=RootVolume(size_gib=65536),
    detailed_monitoring=True,
    user_data="ü" * 6 * 1024,
)
INSTANCE = decode(
    Instance,
    b'{"apiVersion": "strata.dev/v1alpha1", "kind": "Instance", "metadata": {"name": "%s", "namespace": "%s"},'
    b' "spec": {"layers": ["%s"]}}' % (b"i" * 63, b"n" * 40, b"l" * 40),
)


def launch(market: Market) -> dict[str, object]:
    return run_parameters(
        TEMPLATE,
        IMAGE,
        type_="m5.large",
        subnet=SubnetRef(id="subnet-0123456789abcdef0", zone="us-east-1a"),
        market=market,
        launch_tags=launch_tags(cluster_id=UUID, stack=LONG_NAME, launch_id=UUID, template="v1:" + "f" * 64),
    )


@pytest.fixture
def sdk() -> JudgingSdk:
    return JudgingSdk()


async def ask_ec2_for_all(cloud: Ec2Cloud) -> None:
    ours = (f"tag:{tags.CLUSTER}", (UUID,))
    await cloud.account()
    await cloud.describe_instances([ours, ("instance-id", tuple(MANY))])
    await cloud.describe_instances([ours, ("instance-state-name", ("shutting-down", "terminated", "stopping"))])
    await cloud.describe_spot_requests([ours, ("status-code", ("marked-for-termination",))])
    await cloud.describe_impaired()
    await cloud.describe_health(MANY)
    for market in ("on-demand", "spot"):
        await cloud.run_instances(RunRequest(LAUNCHED[0], launch(market), max_count=100))
    for change in (
        cloud.terminate_instances, cloud.stop_instances, cloud.start_instances, cloud.reboot_instances
    ):  # fmt: skip
        await change(MANY[:500])
    await cloud.create_tags(MANY, people_tags(INSTANCE))
    await cloud.get_parameters([f"/{number}".ljust(2048, "x") for number in range(25)])
    await cloud.describe_images([f"ami-{number:060x}" for number in range(450)])
    await cloud.describe_subnets([f"subnet-{number:057x}" for number in range(450)])


async def ask_cloudwatch_for_all(watch: BotoCloudWatch) -> None:
    queries = [MetricQuery("AWS/EC2", "CPUUtilization", (("InstanceId", one),), 300) for one in MANY]
    for start_at in (NOW - timedelta(hours=6), NOW - timedelta(minutes=6)):
        await watch.get_metric_data(queries[:MAX_METRIC_QUERIES], start_at=start_at, end_at=NOW)
    await watch.describe_alarms([f"{number}".ljust(255, "ä") for number in range(MAX_ALARM_NAMES)])


async def ask_the_queue_for_all(queue: SqsQueue) -> None:
    await queue.receive()
    await queue.delete([QueueMessage(f"receipt {number}", "") for number in range(MOST_MESSAGES)])


async def test_every_request_is_one_that_aws_takes(sdk: JudgingSdk) -> None:
    metrics = DaemonMetrics("test")
    cloud = Ec2Cloud(REGION, None, SystemClock(), metrics, sdk=sdk, rate=1000)
    watch = BotoCloudWatch(REGION, None, SystemClock(), metrics, sdk=sdk)
    await ask_ec2_for_all(cloud)
    await ask_cloudwatch_for_all(watch)
    await ask_the_queue_for_all(SqsQueue(REGION, "https://sqs.example/1/events", SystemClock(), sdk=sdk))
    await cloud.close()
    await watch.close()
    known = {lane.partition(" ")[0] for lane in LIMITS} | {"ReceiveMessage", "DeleteMessageBatch"}
    assert set(sdk.seen) == known, "every action that has a bucket is asked for here"
    assert sdk.seen["DescribeInstanceStatus"] == 3 + 13, "100 ids a call"


@pytest.mark.parametrize(
    "wrong",
    [
        {"UserData": "x" * 16385},
        {"KeyName": " leading"},
        {"KeyName": "ключ"},
        {"InstanceType": 5},
        {"Monitor": {"Enabled": True}},
        {"SecurityGroupIds": [f"sg-{number:017x}" for number in range(17)]},
        {"BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 1025, "VolumeType": "standard"}}]},
        {"BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 8, "VolumeType": "gp9"}}]},
        {"MetadataOptions": {"HttpTokens": "required"}},
        {"ClientToken": "t" * 65},
        {"TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "k" * 129, "Value": ""}]}]},
        {"TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "k", "Value": "v" * 257}]}]},
        {"TagSpecifications": [{"ResourceType": "machine", "Tags": []}]},
    ],
    ids=lambda wrong: next(iter(wrong)),
)  # fmt: skip
def test_the_judge_refuses_what_aws_does(wrong: dict[str, object]) -> None:
    whole = {**launch("on-demand"), "ClientToken": UUID, "MinCount": 1, "MaxCount": 100}
    assert judge("ec2", "RunInstances", whole) == []
    assert judge("ec2", "RunInstances", whole | wrong)
