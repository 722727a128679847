"""RunInstances: partial fills, what is refused and how, what a machine is born with."""

import base64
from typing import Any

import msgspec
import pytest
from tests.unit.sim.kit import BOOTED_S, Sim, tags

from strata_sim import actions
from strata_sim.catalog import SubnetSpec, TypeSpec, default_catalog, default_region
from strata_sim.errors import Ec2Error
from strata_sim.knobs import Limits


def code_of(sim: Sim, count: int = 1, **changes: Any) -> str:
    with pytest.raises(Ec2Error) as refused:
        sim.run(count, **changes)
    assert sim.ids() == [], "a refused launch made something"
    return refused.value.code


def test_a_launch_takes_what_the_pool_has_if_that_is_enough(sim: Sim) -> None:
    sim.controls.capacity("t3.small", "us-east-1a", 2)
    assert len(sim.launch(5)) == 2
    with pytest.raises(Ec2Error, match="InsufficientInstanceCapacity"):
        sim.launch(1)
    assert len(sim.launch(1, SubnetId="subnet-0b")) == 1
    assert len(sim.launch(1, InstanceType="t3.micro")) == 1


def test_fewer_than_min_count_is_nothing_at_all(sim: Sim) -> None:
    sim.controls.capacity("t3.small", None, 2)
    assert code_of(sim, 5, MinCount=3) == "InsufficientInstanceCapacity"
    assert len(sim.launch(2)) == 2, "the refused launch used up capacity"


def test_the_spot_pool_is_another_pool(sim: Sim) -> None:
    sim.controls.capacity("t3.small", "us-east-1a", 0, "spot")
    assert code_of(sim, InstanceMarketOptions={"MarketType": "spot"}) == "InsufficientInstanceCapacity"
    assert len(sim.launch(1)) == 1


def test_account_limits_hold_for_what_is_pending_or_running(sim: Sim) -> None:
    sim.controls.limits(Limits(instances=2))
    first, _ = sim.launch(3)
    with pytest.raises(Ec2Error, match="InstanceLimitExceeded"):
        sim.launch(1)
    sim.terminate(first)
    assert len(sim.launch(1)) == 1
    sim.controls.limits(Limits(vcpus=5))
    with pytest.raises(Ec2Error, match="VcpuLimitExceeded"):
        sim.launch(1)


def test_launch_indexes_count_up_in_one_reservation(sim: Sim) -> None:
    reservation = sim.run(4)
    assert [seen.instance.birth.ami_launch_index for seen in reservation.seen] == [0, 1, 2, 3]
    assert {seen.instance.birth.reservation_id for seen in reservation.seen} == {reservation.reservation_id}


def test_a_full_subnet_refuses_until_an_address_comes_back() -> None:
    region = default_region()
    small = SubnetSpec(id="subnet-small", zone="us-east-1a", vpc_id="vpc-0", cidr="172.31.200.0/28")
    catalog = msgspec.structs.replace(
        default_catalog(), regions=(msgspec.structs.replace(region, subnets=(*region.subnets, small)),)
    )
    sim = Sim(catalog)
    made = sim.run(20, SubnetId="subnet-small").seen
    assert len(made) == 11
    with pytest.raises(Ec2Error, match="InsufficientFreeAddressesInSubnet"):
        sim.launch(1, SubnetId="subnet-small")
    sim.terminate(made[4].instance.id)
    sim.clock.advance(5)
    (again,) = sim.run(1, SubnetId="subnet-small").seen
    assert again.view.private_ip == made[4].view.private_ip
    assert made[4].instance.view.private_ip == ""


def test_a_type_that_the_zone_does_not_have_is_unsupported() -> None:
    region = default_region()
    rare = TypeSpec(name="p9.huge", zones=("us-east-1b",))
    catalog = msgspec.structs.replace(
        default_catalog(), regions=(msgspec.structs.replace(region, types=(*region.types, rare)),)
    )
    assert code_of(Sim(catalog), InstanceType="p9.huge") == "Unsupported"
    assert len(Sim(catalog).launch(1, InstanceType="p9.huge", SubnetId="subnet-0b")) == 1


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"ImageId": "ami-00000000000000000"}, "InvalidAMIID.NotFound"),
        ({"ImageId": "debian"}, "InvalidAMIID.Malformed"),
        ({"SubnetId": "subnet-nope"}, "InvalidSubnetID.NotFound"),
        ({"SecurityGroupIds": ["sg-nope"]}, "InvalidGroup.NotFound"),
        ({"KeyName": "nope"}, "InvalidKeyPair.NotFound"),
        ({"IamInstanceProfile": {"Name": "nope"}}, "InvalidParameterValue"),
        ({"IamInstanceProfile": {"Arn": "arn:aws:iam::123456789012:instance-profile/nope"}}, "InvalidParameterValue"),
        ({"InstanceType": "t3.nope"}, "InvalidParameterValue"),
        ({"InstanceType": "t4g.small"}, "InvalidParameterValue"),
        ({"MinCount": 0}, "InvalidParameterValue"),
        ({"MinCount": 2}, "InvalidParameterCombination"),
        ({"MinCount": "1"}, "InvalidParameterValue"),
        ({"MetadataOptions": {"HttpTokens": "maybe"}}, "InvalidParameterValue"),
        ({"MetadataOptions": {"HttpPutResponseHopLimit": 65}}, "InvalidParameterValue"),
        ({"BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 4}}]}, "InvalidBlockDeviceMapping"),
        ({"BlockDeviceMappings": [{"DeviceName": "/dev/sdf", "Ebs": {}}]}, "MissingParameter"),
        ({"BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeType": "gp9"}}]}, "InvalidParameterValue"),
        ({"UserData": base64.b64encode(b"x" * 16385).decode()}, "InvalidParameterValue"),
        ({"UserData": "not base64!"}, "InvalidUserData.Malformed"),
        ({"NetworkInterfaces": []}, "UnknownParameter"),
        ({"MetadataOptions": {"Nope": "x"}}, "UnknownParameter"),
        ({"ClientToken": "x" * 65}, "InvalidParameterValue"),
        ({"DryRun": True}, "DryRunOperation"),
        ({"TagSpecifications": [{"ResourceType": "planet", "Tags": []}]}, "InvalidParameterValue"),
    ],
)
def test_a_wrong_request_is_refused_with_ec2s_own_code(sim: Sim, changes: dict[str, Any], code: str) -> None:
    assert code_of(sim, **changes) == code


def test_sixteen_kibibytes_of_user_data_are_allowed(sim: Sim) -> None:
    assert len(sim.launch(1, UserData=base64.b64encode(b"x" * 16384).decode())) == 1


def test_a_missing_parameter_is_named(sim: Sim) -> None:
    with pytest.raises(Ec2Error, match="ImageId") as refused:
        sim.call(actions.RUN_INSTANCES, MinCount=1, MaxCount=1)
    assert refused.value.code == "MissingParameter"


def test_a_machine_is_born_with_all_that_was_asked_for(sim: Sim) -> None:
    (seen,) = sim.run(
        1,
        TagSpecifications=tags(a="1"),
        MetadataOptions={"HttpTokens": "required"},
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 16, "Encrypted": True}}],
        IamInstanceProfile={"Name": "strata-instance"},
        SecurityGroupIds=["sg-0"],
        KeyName="ops",
        Monitoring={"Enabled": True},
    ).seen
    birth = seen.instance.birth
    assert seen.view.tags == {"a": "1"}
    assert birth.metadata_options["HttpTokens"] == "required"
    assert [(v.device_name, v.size_gib, v.encrypted) for v in birth.volumes] == [("/dev/xvda", 16, True)]
    assert (birth.profile_arn, birth.security_group_ids, birth.key_name, birth.monitoring) == (
        "arn:aws:iam::123456789012:instance-profile/strata-instance", ("sg-0",), "ops", True,
    )  # fmt: skip
    assert seen.view.private_ip.startswith("172.31.")


@pytest.mark.parametrize(
    ("fate", "state", "checks"),
    [
        ("terminated", "terminated", "not-applicable"),
        ("impaired", "running", "impaired"),
        ("stuck", "pending", "initializing"),
    ],
)
def test_a_boot_can_be_told_to_go_wrong_once(sim: Sim, fate: Any, state: str, checks: str) -> None:
    sim.controls.boots(fate)
    sim.launch(1)
    sim.launch(1)
    sim.clock.advance(BOOTED_S)
    bad, good = sim.describe()
    assert (bad.view.state, bad.view.checks[0]) == (state, checks)
    assert (good.view.state, good.view.checks[0]) == ("running", "ok")
