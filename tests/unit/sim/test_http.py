"""The HTTP face, as boto3 sees it: botocore's own parser judges the shapes."""

import http.client
import json
import os
import random
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError
from tests.unit.sim.kit import DEBIAN

_CONFIG = Config(retries={"total_max_attempts": 1}, read_timeout=20)
_FAST = {"pending_s": 0, "status_ok_s": 0, "stopping_s": 0, "shutting_down_s": 0, "terminated_visible_s": 3600}


class Site:
    """A running simulator process and clients for it."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.ec2 = self.client("ec2")

    def client(self, service: Any, region: str = "us-east-1") -> Any:
        return boto3.client(
            service,
            region_name=region,
            endpoint_url=self.endpoint,
            aws_access_key_id="AKIATESTER",
            aws_secret_access_key="secret",  # noqa: S106 - the simulator checks none
            config=_CONFIG,
        )

    def get(self, path: str) -> Any:
        with urlopen(f"{self.endpoint}/_sim/{path}", timeout=20) as reply:  # noqa: S310 - a loopback URL of our own
            return json.load(reply)

    def post(self, path: str, **body: Any) -> Any:
        sent = Request(f"{self.endpoint}/_sim/{path}", json.dumps(body).encode())  # noqa: S310 - likewise
        with urlopen(sent, timeout=20) as reply:  # noqa: S310 - likewise
            return json.load(reply)

    def run(self, count: int = 1, **changes: Any) -> list[str]:
        given = {"ImageId": DEBIAN, "InstanceType": "t3.small", "SubnetId": "subnet-0a", "MinCount": 1}
        reply = self.ec2.run_instances(**(given | {"MaxCount": count} | changes))
        return [one["InstanceId"] for one in reply["Instances"]]

    def instances(self, **params: Any) -> list[dict[str, Any]]:
        reply = self.ec2.describe_instances(**params)
        return [one for reservation in reply["Reservations"] for one in reservation["Instances"]]


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "strata_sim", "--seed", str(random.Random(1).getrandbits(30)), *arguments],
        stdout=subprocess.PIPE,
        text=True,
    )


def endpoint_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    endpoint: str = json.loads(process.stdout.readline())["endpoint"]
    return endpoint


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with start("--exit-with-parent") as process:
        yield endpoint_of(process)
        process.terminate()
        assert process.wait(10) == 0


@pytest.fixture
def site(endpoint: str) -> Iterator[Site]:
    site = Site(endpoint)
    site.post("delays", **_FAST)
    site.post("throttle", off=True)
    yield site
    site.post("faults", clear=True)
    site.post("lag", seconds=0)
    for kind in ("t3.small", "t3.micro"):
        site.post("capacity", type=kind)
    everything = [one["instanceId"] for one in site.get("instances")["instances"]]
    if everything:
        site.post("terminate", ids=everything)


def code_of(caught: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_a_launch_comes_back_whole(site: Site) -> None:
    reply = site.ec2.run_instances(
        ImageId=DEBIAN,
        InstanceType="t3.small",
        SubnetId="subnet-0a",
        MinCount=1,
        MaxCount=2,
        ClientToken="whole",
        UserData="#!/bin/sh\necho '<&>'\n",
        KeyName="ops",
        SecurityGroupIds=["sg-0"],
        IamInstanceProfile={"Name": "strata-instance"},
        Monitoring={"Enabled": True},
        MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 2},
        BlockDeviceMappings=[
            {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 16, "VolumeType": "gp3", "Encrypted": True}}
        ],
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "a<b", "Value": "x & 'y'"}]}],
    )
    first, second = reply["Instances"]
    assert (first["State"]["Name"], first["AmiLaunchIndex"], second["AmiLaunchIndex"]) == ("pending", 0, 1)
    (one, _) = site.instances(InstanceIds=[first["InstanceId"], second["InstanceId"]])
    assert one["State"] == {"Code": 16, "Name": "running"}
    assert one["Tags"] == [{"Key": "a<b", "Value": "x & 'y'"}]
    assert one["ClientToken"] == "whole"
    assert (one["Placement"]["AvailabilityZone"], one["SubnetId"], one["VpcId"]) == ("us-east-1a", "subnet-0a", "vpc-0")
    assert one["MetadataOptions"]["HttpTokens"] == "required"
    assert one["MetadataOptions"]["HttpPutResponseHopLimit"] == 2
    assert one["SecurityGroups"] == [{"GroupId": "sg-0", "GroupName": "sg-0"}]
    assert one["IamInstanceProfile"]["Arn"].endswith(":instance-profile/strata-instance")
    assert (one["KeyName"], one["Monitoring"]["State"], one["RootDeviceName"]) == ("ops", "enabled", "/dev/xvda")
    assert one["LaunchTime"].tzinfo is not None
    assert one["PrivateIpAddress"].startswith("172.31.")


def test_token_rules_hold_over_the_wire(site: Site) -> None:
    made = site.run(2, ClientToken="wire")
    assert site.run(2, ClientToken="wire") == made
    with pytest.raises(ClientError) as mismatch:
        site.run(3, ClientToken="wire")
    assert code_of(mismatch) == ("IdempotentParameterMismatch", 400)
    site.ec2.terminate_instances(InstanceIds=made)
    with pytest.raises(ClientError) as terminated:
        site.run(2, ClientToken="wire")
    assert code_of(terminated) == ("IdempotentInstanceTerminated", 400)


def test_stop_start_reboot_and_terminate_say_what_changed(site: Site) -> None:
    (one,) = site.run()
    assert site.instances(InstanceIds=[one])[0]["State"]["Name"] == "running"
    (stopping,) = site.ec2.stop_instances(InstanceIds=[one])["StoppingInstances"]
    assert (stopping["PreviousState"]["Name"], stopping["CurrentState"]["Name"]) == ("running", "stopping")
    (starting,) = site.ec2.start_instances(InstanceIds=[one])["StartingInstances"]
    assert (starting["PreviousState"]["Name"], starting["CurrentState"]["Name"]) == ("stopped", "pending")
    site.ec2.reboot_instances(InstanceIds=[one])
    site.ec2.modify_instance_attribute(InstanceId=one, DisableApiTermination={"Value": True})
    with pytest.raises(ClientError) as protected:
        site.ec2.terminate_instances(InstanceIds=[one])
    assert code_of(protected) == ("OperationNotPermitted", 400)
    site.ec2.modify_instance_attribute(InstanceId=one, DisableApiTermination={"Value": False})
    (ending,) = site.ec2.terminate_instances(InstanceIds=[one])["TerminatingInstances"]
    assert (ending["InstanceId"], ending["CurrentState"]["Name"]) == (one, "shutting-down")
    (gone,) = site.instances(InstanceIds=[one])
    assert (gone["State"]["Name"], gone["StateReason"]["Code"]) == ("terminated", "Client.UserInitiatedShutdown")
    assert "SubnetId" not in gone
    assert "PrivateIpAddress" not in gone


def test_status_checks_tell_who_is_impaired_and_since_when(site: Site) -> None:
    one, other = site.run(2)
    site.post("impair", ids=[one], part="system")
    rows = {row["InstanceId"]: row for row in site.ec2.describe_instance_status()["InstanceStatuses"]}
    assert rows[other]["SystemStatus"]["Status"] == "ok"
    assert rows[one]["SystemStatus"]["Status"] == "impaired"
    assert rows[one]["SystemStatus"]["Details"][0]["ImpairedSince"].tzinfo is not None
    assert rows[one]["AttachedEbsStatus"]["Status"] == "ok"
    found = site.ec2.describe_instance_status(Filters=[{"Name": "system-status.status", "Values": ["impaired"]}])
    assert [row["InstanceId"] for row in found["InstanceStatuses"]] == [one]
    site.ec2.terminate_instances(InstanceIds=[one])
    everything = site.ec2.describe_instance_status(InstanceIds=[one], IncludeAllInstances=True)
    assert everything["InstanceStatuses"][0]["InstanceStatus"]["Status"] == "not-applicable"


def test_tags_are_created_deleted_and_described(site: Site) -> None:
    one, other = site.run(2)
    site.ec2.create_tags(Resources=[one, other], Tags=[{"Key": "n<", "Value": "1"}, {"Key": "m", "Value": ""}])
    site.ec2.delete_tags(Resources=[other], Tags=[{"Key": "n<"}])
    rows = site.ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [one, other]}])["Tags"]
    assert {(row["ResourceId"], row["Key"], row["Value"]) for row in rows} == {
        (one, "m", ""), (one, "n<", "1"), (other, "m", ""),
    }  # fmt: skip
    assert [i["InstanceId"] for i in site.instances(Filters=[{"Name": "tag:n<", "Values": ["1"]}])] == [one]


def test_the_catalogue_is_described(site: Site) -> None:
    subnets = site.ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": ["vpc-0"]}])["Subnets"]
    assert [(one["SubnetId"], one["AvailabilityZone"]) for one in subnets] == [
        ("subnet-0a", "us-east-1a"), ("subnet-0b", "us-east-1b"), ("subnet-0c", "us-east-1c"),
    ]  # fmt: skip
    (image,) = site.ec2.describe_images(ImageIds=[DEBIAN])["Images"]
    assert (image["RootDeviceName"], image["State"], image["Architecture"]) == ("/dev/xvda", "available", "x86_64")
    (vpc,) = site.ec2.describe_vpcs(VpcIds=["vpc-0"])["Vpcs"]
    assert vpc["CidrBlock"] == "172.31.0.0/16"
    assert site.client("sts").get_caller_identity()["Account"] == "123456789012"


def test_parameters_come_from_ssm(site: Site) -> None:
    ssm = site.client("ssm")
    debian = "/aws/service/debian/release/12/latest/amd64"
    amazon = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
    reply = ssm.get_parameters(Names=[debian, amazon, "/nope"])
    assert {one["Name"] for one in reply["Parameters"]} == {debian, amazon}
    assert reply["InvalidParameters"] == ["/nope"]
    assert ssm.get_parameter(Name=debian)["Parameter"]["Value"] == DEBIAN
    with pytest.raises(ClientError) as missing:
        ssm.get_parameter(Name="/nope")
    assert code_of(missing) == ("ParameterNotFound", 400)


def test_boto3s_paginator_walks_all_pages(site: Site) -> None:
    made = site.run(7) + site.run(6)
    pages = list(
        site.ec2.get_paginator("describe_instances").paginate(
            Filters=[{"Name": "instance-id", "Values": made}], PaginationConfig={"PageSize": 5}
        )
    )
    sizes = [sum(len(r["Instances"]) for r in page["Reservations"]) for page in pages]
    found = [one["InstanceId"] for page in pages for r in page["Reservations"] for one in r["Instances"]]
    assert (sizes, sorted(found)) == ([5, 5, 3], sorted(made))


@pytest.mark.parametrize(
    ("knob", "body", "code", "status"),
    [
        ("capacity", {"type": "t3.small", "zone": "us-east-1a", "count": 0}, "InsufficientInstanceCapacity", 500),
        ("faults", {"code": "InternalError"}, "InternalError", 500),
        ("faults", {"code": "AuthFailure"}, "AuthFailure", 401),
        ("faults", {"code": "UnauthorizedOperation"}, "UnauthorizedOperation", 403),
        ("faults", {"code": "RequestLimitExceeded"}, "RequestLimitExceeded", 503),
        ("faults", {"code": "RequestExpired"}, "RequestExpired", 400),
    ],
)
def test_a_refusal_has_ec2s_shape_and_status(
    site: Site, knob: str, body: dict[str, Any], code: str, status: int
) -> None:
    site.post(knob, **body)
    with pytest.raises(ClientError) as refused:
        site.run()
    assert code_of(refused) == (code, status)
    assert refused.value.response["ResponseMetadata"]["RequestId"]


def test_a_lost_reply_was_done_and_an_unreachable_endpoint_did_nothing(site: Site) -> None:
    before = site.get("health")["calls"]
    for kind, made in [("lose-reply", 1), ("unreachable", 0)]:
        site.post("faults", kind=kind, actions=["RunInstances"])
        with pytest.raises(ConnectionClosedError):
            site.run(ClientToken=f"cut-{kind}")
        assert len(site.instances(Filters=[{"Name": "client-token", "Values": [f"cut-{kind}"]}])) == made
    calls = [one for one in site.get(f"calls?since={before}")["calls"] if one["action"] == "RunInstances"]
    assert [(one["answered"], len(one["made"]), one["caller"]) for one in calls] == [
        (False, 1, "AKIATESTER"), (False, 0, "AKIATESTER"),
    ]  # fmt: skip


def test_throttling_is_a_503_and_can_be_tuned(site: Site) -> None:
    site.post("throttle", scale=1.0)
    site.post("throttle", drain="RunInstances")
    with pytest.raises(ClientError) as refused:
        site.run()
    assert code_of(refused) == ("RequestLimitExceeded", 503)
    site.post("throttle", off=True)
    assert len(site.run()) == 1


def test_a_lag_hides_new_machines_over_the_wire(site: Site) -> None:
    site.post("lag", seconds=600)
    (one,) = site.run()
    with pytest.raises(ClientError) as unseen:
        site.instances(InstanceIds=[one])
    assert code_of(unseen) == ("InvalidInstanceID.NotFound", 400)
    assert one in {row["instanceId"] for row in site.get("instances")["instances"]}


def test_unknown_actions_parameters_and_regions_are_refused(site: Site) -> None:
    with pytest.raises(ClientError) as action:
        site.ec2.describe_volumes()
    assert code_of(action) == ("InvalidAction", 400)
    with pytest.raises(ClientError) as parameter:
        site.run(NetworkInterfaces=[{"DeviceIndex": 0}])
    assert code_of(parameter) == ("UnknownParameter", 400)
    with pytest.raises(ConnectionClosedError):
        site.client("ec2", "eu-west-1").describe_vpcs()


def test_an_unsigned_request_is_refused(site: Site) -> None:
    connection = http.client.HTTPConnection(site.endpoint.removeprefix("http://"), timeout=10)
    connection.request("POST", "/", "Action=DescribeVpcs&Version=2016-11-15")
    reply = connection.getresponse()
    text = reply.read().decode()
    connection.close()
    assert reply.status == 403
    assert "<Code>MissingAuthenticationToken</Code>" in text


def test_the_admin_api_selects_by_tag_and_shows_lives(site: Site) -> None:
    one, other = site.run(2)
    site.ec2.create_tags(Resources=[one], Tags=[{"Key": "pick", "Value": "me"}])
    assert site.post("stop", tags={"pick": "me"})["ids"] == [one]
    (row,) = site.get("instances?tag=pick=me")["instances"]
    assert (row["instanceId"], row["state"], row["checks"]["instance"]) == (one, "stopped", "not-applicable")
    assert site.post("start", tags={"pick": None})["ids"] == [one]
    assert site.post("terminate", ids=[one, other], reason="Server.SpotInstanceTermination")["ids"] == [one, other]
    lives = {life["instanceId"]: life for life in site.get("lives")["lives"]}
    assert (lives[one]["madeBy"], lives[one]["endedBy"]) == ("AKIATESTER", "world")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("terminate", {}),
        ("terminate", {"ids": ["i-nope"]}),
        ("terminate", {"tags": {"a": "b"}, "reason": "Because"}),
        ("capacity", {"type": "t3.nope", "count": 0}),
        ("capacity", {"type": "t3.small", "zone": "mars-1a"}),
        ("throttle", {}),
        ("throttle", {"scale": 0}),
        ("lag", {"seconds": -1}),
        ("delays", {"nope_s": 1}),
        ("faults", {"kind": "nope"}),
        ("faults", {"actions": ["Nope"]}),
        ("boots", {"fate": "nope"}),
        ("lag", {"seconds": 1, "region": "mars-north-1"}),
    ],
)
def test_a_wrong_control_says_why_and_changes_nothing(site: Site, path: str, body: dict[str, Any]) -> None:
    before = site.get("world")
    with pytest.raises(HTTPError) as refused:
        site.post(path, **body)
    with refused.value as reply:
        assert reply.code == 400
        assert json.load(reply)["error"]
    assert site.get("world") == before


def test_a_world_file_says_what_there_is(tmp_path: Path) -> None:
    file = tmp_path / "world.yaml"
    file.write_text(
        """
        account_id: "999999999999"
        throttle: null
        delays: {pending_s: 0, status_ok_s: 0}
        regions:
          - name: eu-west-1
            vpcs: [{id: vpc-9, cidr: 10.0.0.0/16}]
            subnets: [{id: subnet-9, zone: eu-west-1a, vpc_id: vpc-9, cidr: 10.0.1.0/24}]
            images: [{id: ami-00000000000000009, name: mine, root_device_name: /dev/sda1}]
            types: [{name: t3.nano, vcpus: 2, memory_mib: 512}]
            security_groups: {sg-9: vpc-9}
            parameters: {/mine: ami-00000000000000009}
        """
    )
    with start("--world", str(file)) as process:
        site = Site(endpoint_of(process))
        ec2 = site.client("ec2", "eu-west-1")
        reply = ec2.run_instances(
            ImageId="ami-00000000000000009", InstanceType="t3.nano", SubnetId="subnet-9", MinCount=1, MaxCount=1
        )
        assert (reply["OwnerId"], reply["Instances"][0]["RootDeviceName"]) == ("999999999999", "/dev/sda1")
        process.terminate()
        assert process.wait(10) == 0


def test_the_simulator_ends_with_its_parent() -> None:
    code = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-m', 'strata_sim', '--exit-with-parent'], stdout=subprocess.PIPE)\n"
        "line = child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        watched = os.pidfd_open(child)  # before the parent dies, so that the number is still the child's
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait(10)
    ended, _, _ = select.select([watched], [], [], 10)
    os.close(watched)
    assert ended, "the simulator outlived its parent"
