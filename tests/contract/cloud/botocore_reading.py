"""What botocore's own parser makes of a page, in our records: the opinion that our parser is held against."""

from datetime import UTC, datetime
from functools import cache
from typing import Any

import botocore.session
from botocore import parsers

from strata.cloud.parser import Page
from strata.resources.machine import CheckState, Machine, MachineHealth

_WORST_FIRST: tuple[CheckState, ...] = ("impaired", "insufficient-data", "initializing", "ok", "not-applicable")


@cache
def _model() -> Any:
    return botocore.session.get_session().get_service_model("ec2")


def _parse(action: str, page: bytes) -> dict[str, Any]:
    response = {"body": page, "headers": {}, "status_code": 200}
    shape = _model().operation_model(action).output_shape
    parsed: dict[str, Any] = parsers.create_parser("ec2").parse(response, shape)
    return parsed


def describe_instances(page: bytes) -> Page[Machine]:
    parsed = _parse("DescribeInstances", page)
    instances = [one for reservation in parsed["Reservations"] for one in reservation["Instances"]]
    return Page(tuple(_machine(one) for one in instances), parsed.get("NextToken"))


def run_instances(page: bytes) -> Page[Machine]:
    return Page(tuple(_machine(one) for one in _parse("RunInstances", page)["Instances"]))


def describe_instance_status(page: bytes) -> Page[MachineHealth]:
    parsed = _parse("DescribeInstanceStatus", page)
    return Page(tuple(_health(one) for one in parsed["InstanceStatuses"]), parsed.get("NextToken"))


def _machine(one: dict[str, Any]) -> Machine:
    return Machine(
        instance_id=one["InstanceId"],
        state=one["State"]["Name"],
        type=one.get("InstanceType", ""),
        zone=one.get("Placement", {}).get("AvailabilityZone", ""),
        subnet_id=one.get("SubnetId", ""),
        image_id=one.get("ImageId", ""),
        launched_at=_aware(one["LaunchTime"]),
        ami_launch_index=one.get("AmiLaunchIndex", 0),
        client_token=one.get("ClientToken", ""),
        private_ip=one.get("PrivateIpAddress", ""),
        public_ip=one.get("PublicIpAddress", ""),
        lifecycle=one.get("InstanceLifecycle") or "on-demand",
        state_reason=one.get("StateReason", {}).get("Code", ""),
        tags={tag["Key"]: tag["Value"] for tag in one.get("Tags", ())},
    )


def _health(one: dict[str, Any]) -> MachineHealth:
    checks = [one[name] for name in ("InstanceStatus", "SystemStatus", "AttachedEbsStatus") if name in one]
    since = [
        _aware(detail["ImpairedSince"])
        for check in checks
        if check["Status"] == "impaired"
        for detail in check.get("Details", ())
        if "ImpairedSince" in detail
    ]
    statuses = {check["Status"] for check in checks}
    return MachineHealth(
        instance_id=one["InstanceId"],
        state=one["InstanceState"]["Name"],
        checks=next(word for word in _WORST_FIRST if word in statuses),
        impaired_since=min(since, default=None),
    )


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
