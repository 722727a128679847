"""Somebody else's EC2: the plain path of 20 machines with a real daemon against moto_server, unmodified.

moto knows no throttling, no transitions and no client tokens, and of a launch of many it makes MinCount. So each pool
(type and zone) gives Strata one machine of those it asked for, and is then closed to it for minutes, as one without
capacity: the stack names enough types for every launch of the test. And it wants a size of the root volume, which EC2
takes from the image. What is asserted is asked with boto3 alone.
"""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from tests.kit.cluster import Installation, until
from tests.kit.etcd import DEBIAN, Etcd, find_binary
from tests.kit.moto import Moto

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

pytestmark = [pytest.mark.slow, pytest.mark.moto, pytest.mark.etcd]

_REGION = "us-east-1"
_ANY = "any"  # moto takes all credentials
_SIZES = ("micro", "small", "medium", "large", "xlarge", "2xlarge")
_TYPES = [f"{family}.{size}" for family in ("t3", "t3a", "t2") for size in _SIZES]
_LIVE = ("pending", "running", "stopping", "stopped")


@pytest.fixture
def moto_installation(tmp_path: Path) -> Iterator[Installation]:
    etcd = Etcd(find_binary(DEBIAN), tmp_path)
    flags = ("--poll-interval", "0.5", "--ec2-rate", "1000")
    with Installation(tmp_path, Moto(tmp_path), etcd, flags) as installation:
        yield installation


@pytest.fixture
def ec2(moto_installation: Installation) -> "Iterator[EC2Client]":
    endpoint = moto_installation.ec2.url
    client = boto3.client(
        "ec2", region_name=_REGION, endpoint_url=endpoint, aws_access_key_id=_ANY, aws_secret_access_key=_ANY
    )
    with closing(client):
        yield client


def _documents(ec2: "EC2Client", image_id: str, *, web: int, workers: int) -> str:
    subnets = ec2.describe_subnets()["Subnets"]
    group = ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
    places = "".join(f"    - {{id: {one['SubnetId']}, zone: {one['AvailabilityZone']}}}\n" for one in subnets)
    stack = f"""
apiVersion: strata.dev/v1alpha1
kind: Stack
metadata: {{name: shop}}
spec:
  region: {_REGION}
  endpoint: moto
  vpcId: {subnets[0]["VpcId"]}
  subnets:
{places}  instance:
    image: {{id: {image_id}}}
    types: [{", ".join(_TYPES)}]
    securityGroupIds: [{group}]
    rootVolume: {{sizeGiB: 8}}
"""
    layers = "".join(
        f"""
---
apiVersion: strata.dev/v1alpha1
kind: Layer
metadata: {{name: {name}, namespace: shop}}
spec:
  capacity: {{always: {count}}}
  update: {{maxSurge: 4}}
  shutdown: {{drain: false}}
"""
        for name, count in (("web", web), ("workers", workers))
    )
    return stack + layers


def _machines(ec2: "EC2Client") -> list[Any]:
    reservations = ec2.describe_instances(Filters=[{"Name": "instance-state-name", "Values": list(_LIVE)}])
    return [machine for one in reservations["Reservations"] for machine in one["Instances"]]


def _tags(machine: Any) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in machine["Tags"]}


def _apply(installation: Installation, documents: str) -> None:
    done = installation.strata("apply", "-f", "-", stdin=documents)
    assert done.returncode == 0, done.stderr


def _names(web: int, workers: int) -> list[str]:
    counts = {"web": web, "workers": workers}
    return sorted(f"{layer}-{n}" for layer, count in counts.items() for n in range(1, count + 1))


def _settled(installation: Installation, ec2: "EC2Client", count: int) -> bool:
    """So many Instances, all online, and as many machines."""
    rows = installation.objects("instances", "shop")
    online = [row for row in rows if row["status"].get("phase") == "online"]
    return len(rows) == len(online) == count == len(_machines(ec2))


def _tagged(ec2: "EC2Client") -> list[str]:
    return sorted(_tags(machine).get("strata.dev/instance", "") for machine in _machines(ec2))


def test_twenty_machines_are_launched_healed_scaled_rolled_and_deleted(
    moto_installation: Installation, ec2: "EC2Client"
) -> None:
    old, new, *_ = [image["ImageId"] for image in ec2.describe_images()["Images"]]
    moto_installation.start_daemon("a")

    _apply(moto_installation, _documents(ec2, old, web=12, workers=8))
    until(lambda: _settled(moto_installation, ec2, 20), within_s=60, what="20 are online")
    until(lambda: _tagged(ec2) == _names(12, 8), within_s=20, what="each has its name")
    zones = [machine["Placement"]["AvailabilityZone"] for machine in _machines(ec2)]
    assert max(zones.count(zone) for zone in zones) - min(zones.count(zone) for zone in set(zones)) <= 2

    victims = [machine["InstanceId"] for machine in _machines(ec2)][:3]
    ec2.terminate_instances(InstanceIds=victims)
    until(lambda: _settled(moto_installation, ec2, 20), within_s=60, what="three are launched anew")
    assert not set(victims) & {machine["InstanceId"] for machine in _machines(ec2)}
    until(lambda: _tagged(ec2) == _names(12, 8), within_s=20, what="under the same names")

    before = {machine["InstanceId"] for machine in _machines(ec2)}
    _apply(moto_installation, _documents(ec2, old, web=14, workers=5))
    until(lambda: _settled(moto_installation, ec2, 19), within_s=60, what="one layer grows, one shrinks")
    assert len(before & {machine["InstanceId"] for machine in _machines(ec2)}) == 12 + 5

    _apply(moto_installation, _documents(ec2, new, web=14, workers=5))
    until(
        lambda: {machine["ImageId"] for machine in _machines(ec2)} == {new} and _settled(moto_installation, ec2, 19),
        within_s=90,
        what="all have the other image",
    )

    deleted = moto_installation.strata("delete", "stack", "shop", "--timeout", "60s")
    assert deleted.returncode == 0, deleted.stderr
    assert _machines(ec2) == []
    assert moto_installation.objects("instances") == []
