"""What RunInstances refuses, and with which code, before anything is made."""

import base64
import binascii
from dataclasses import dataclass
from typing import Literal

from strata_sim.catalog import ImageSpec, RegionSpec, SubnetSpec, TypeSpec
from strata_sim.errors import Ec2Error, invalid_value
from strata_sim.region import Region
from strata_sim.shapes import Params
from strata_sim.tag_rules import tags_of

USER_DATA_MAX_BYTES = 16384
_TOKEN_MAX = 64
_VOLUME_TYPES = {"gp2": 16384, "gp3": 65536, "io1": 16384, "io2": 65536, "st1": 16384, "sc1": 16384, "standard": 1024}
_TAGGED = ("instance", "volume", "network-interface", "spot-instances-request")
_CHOICES = {
    "HttpTokens": ("optional", "required"),
    "HttpEndpoint": ("enabled", "disabled"),
    "HttpProtocolIpv6": ("enabled", "disabled"),
    "InstanceMetadataTags": ("enabled", "disabled"),
}
_HOPS = range(1, 65)


@dataclass(frozen=True, slots=True)
class Wish:
    """A RunInstances call that nothing speaks against, but perhaps capacity."""

    image: ImageSpec
    type: TypeSpec
    subnet: SubnetSpec
    group_ids: tuple[str, ...]
    profile_arn: str
    market: Literal["on-demand", "spot"]
    metadata_options: dict[str, str | int]
    instance_tags: dict[str, str]
    volume_tags: dict[str, str]
    spot_request_tags: dict[str, str]


def check_counts(params: Params) -> None:
    least, most = params["MinCount"], params["MaxCount"]
    if least < 1:
        raise invalid_value("minCount", least, "Expecting a positive value.")
    if most < least:
        raise Ec2Error("InvalidParameterCombination", "MinCount cannot be greater than MaxCount")
    token = params.get("ClientToken", "")
    if len(token) > _TOKEN_MAX or not token.isascii():
        raise Ec2Error("InvalidParameterValue", f"The client token may have at most {_TOKEN_MAX} ASCII characters")


def subnet_of(region: Region, params: Params) -> SubnetSpec:
    zone = params.get("Placement", {}).get("AvailabilityZone", "")
    if "SubnetId" not in params:
        return _default_subnet(region.spec, zone)
    subnet = region.subnets.get(params["SubnetId"])
    if subnet is None:
        raise Ec2Error("InvalidSubnetID.NotFound", f"The subnet ID '{params['SubnetId']}' does not exist")
    if zone and zone != subnet.zone:
        raise Ec2Error("InvalidParameterValue", f"The subnet '{subnet.id}' is not in the Availability Zone '{zone}'")
    return subnet


def _default_subnet(spec: RegionSpec, zone: str) -> SubnetSpec:
    fitting = [subnet for subnet in spec.subnets if zone in {"", subnet.zone}]
    if not fitting:
        raise Ec2Error("MissingInput", "No default subnet: a subnet must be specified")
    return fitting[0]


def wish_of(region: Region, params: Params, subnet: SubnetSpec) -> Wish:
    """Check everything but token and capacity. Raises Ec2Error."""
    image = _image(region, params["ImageId"])
    kind = _type(region, params.get("InstanceType", "m1.small"), subnet.zone)
    if image.architecture != kind.architecture:
        raise Ec2Error(
            "InvalidParameterValue",
            f"The architecture '{kind.architecture}' of the specified instance type does not match the architecture "
            f"'{image.architecture}' of the specified AMI. Specify an instance type and an AMI that have matching "
            f"architectures, and try again.",
        )
    _check_key(region, params)
    _check_volumes(params, image)
    _check_user_data(params.get("UserData", ""))
    _check_shutdown(params)
    market, tags = _market(params), _tags(params)
    if market != "spot" and "spot-instances-request" in tags:
        raise _not_taggable("spot-instances-request")
    return Wish(
        image=image,
        type=kind,
        subnet=subnet,
        group_ids=_groups(region, params, subnet),
        profile_arn=_profile(region, params),
        market=market,
        metadata_options=_metadata_options(params),
        instance_tags=tags.get("instance", {}),
        volume_tags=tags.get("volume", {}),
        spot_request_tags=tags.get("spot-instances-request", {}),
    )


def _image(region: Region, image_id: str) -> ImageSpec:
    if not image_id.startswith("ami-"):
        raise Ec2Error("InvalidAMIID.Malformed", f'Invalid id: "{image_id}" (expecting "ami-...")')
    image = region.images.get(image_id)
    if image is None:
        raise Ec2Error("InvalidAMIID.NotFound", f"The image id '[{image_id}]' does not exist")
    if image.state != "available":
        raise Ec2Error("InvalidAMIID.Unavailable", f"The image id '[{image_id}]' is no longer available")
    return image


def _type(region: Region, name: str, zone: str) -> TypeSpec:
    kind = region.types.get(name)
    if kind is None:
        raise Ec2Error("InvalidParameterValue", f"Invalid value '{name}' for InstanceType.")
    if kind.zones is not None and zone not in kind.zones:
        raise Ec2Error(
            "Unsupported",
            f"Your requested instance type ({name}) is not supported in your requested Availability Zone ({zone}).",
        )
    return kind


def _groups(region: Region, params: Params, subnet: SubnetSpec) -> tuple[str, ...]:
    wanted = tuple(params.get("SecurityGroupIds", ()))
    for group in wanted:
        if region.spec.security_groups.get(group) is None:
            raise Ec2Error("InvalidGroup.NotFound", f"The security group '{group}' does not exist")
        if region.spec.security_groups[group] != subnet.vpc_id:
            raise Ec2Error(
                "InvalidParameter",
                f"Security group {group} and subnet {subnet.id} belong to different networks.",
            )
    return wanted


def _check_key(region: Region, params: Params) -> None:
    name = params.get("KeyName")
    if name is not None and name not in region.spec.key_names:
        raise Ec2Error("InvalidKeyPair.NotFound", f"The key pair '{name}' does not exist")


def _profile(region: Region, params: Params) -> str:
    asked = params.get("IamInstanceProfile")
    if asked is None:
        return ""
    if len(asked) != 1:
        raise Ec2Error("InvalidParameterCombination", "An instance profile is named by either its ARN or its name")
    prefix = f"arn:aws:iam::{region.account_id}:instance-profile/"
    name: str = asked["Name"] if "Name" in asked else asked["Arn"].removeprefix(prefix)
    if name not in region.spec.instance_profiles:
        what = "name" if "Name" in asked else "arn"
        raise Ec2Error(
            "InvalidParameterValue",
            f"Value ({name}) for parameter iamInstanceProfile.{what} is invalid. Invalid IAM Instance Profile {what}",
        )
    return prefix + name


def _check_volumes(params: Params, image: ImageSpec) -> None:
    seen: set[str] = set()
    for mapping in params.get("BlockDeviceMappings", ()):
        device, ebs = mapping["DeviceName"], mapping.get("Ebs", {})
        if device in seen:
            raise _bad_volume(f"The device '{device}' is used in more than one block-device mapping")
        seen.add(device)
        is_root = device == image.root_device_name
        least_gib = image.root_size_gib if is_root else 1
        size_gib = ebs.get("VolumeSize", image.root_size_gib if is_root else None)
        if size_gib is None and "SnapshotId" not in ebs:
            raise Ec2Error("MissingParameter", "The request must contain the parameter size or snapshotId")
        kind = ebs.get("VolumeType", "gp2")
        if kind not in _VOLUME_TYPES:
            raise Ec2Error("InvalidParameterValue", f"Invalid value '{kind}' for VolumeType")
        if size_gib is not None and not least_gib <= size_gib <= _VOLUME_TYPES[kind]:
            raise _bad_volume(f"Volume of size {size_gib}GB is outside {least_gib}GB to {_VOLUME_TYPES[kind]}GB")
        if "KmsKeyId" in ebs and not ebs.get("Encrypted", False):
            raise Ec2Error("InvalidParameterDependency", "A KMS key may be given for encrypted volumes only")


def _bad_volume(message: str) -> Ec2Error:
    return Ec2Error("InvalidBlockDeviceMapping", message)


def _check_user_data(encoded: str) -> None:
    try:
        decoded = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise Ec2Error("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.") from None
    if len(decoded) > USER_DATA_MAX_BYTES:
        raise Ec2Error("InvalidParameterValue", f"User data is limited to {USER_DATA_MAX_BYTES} bytes")


def _check_shutdown(params: Params) -> None:
    behavior = params.get("InstanceInitiatedShutdownBehavior", "stop")
    if behavior not in {"stop", "terminate"}:
        raise invalid_value("instanceInitiatedShutdownBehavior", behavior)


def _market(params: Params) -> Literal["on-demand", "spot"]:
    options = params.get("InstanceMarketOptions")
    if options is None:
        return "on-demand"
    if options.get("MarketType") != "spot":
        raise invalid_value("InstanceMarketOptions.MarketType", options.get("MarketType"))
    spot = options.get("SpotOptions", {})
    if spot.get("SpotInstanceType", "one-time") != "one-time":
        raise Ec2Error("UnsupportedOperation", "Persistent spot requests are not simulated")
    if spot.get("InstanceInterruptionBehavior", "terminate") != "terminate":
        raise Ec2Error("InvalidParameterCombination", "One-time spot requests can only be interrupted by termination")
    return "spot"


def _metadata_options(params: Params) -> dict[str, str | int]:
    asked: dict[str, str | int] = params.get("MetadataOptions", {})
    for name, choices in _CHOICES.items():
        if name in asked and asked[name] not in choices:
            raise invalid_value(f"MetadataOptions.{name}", asked[name])
    if asked.get("HttpPutResponseHopLimit", 1) not in _HOPS:
        raise invalid_value("MetadataOptions.HttpPutResponseHopLimit", asked["HttpPutResponseHopLimit"])
    defaults: dict[str, str | int] = {
        "HttpTokens": "optional",
        "HttpPutResponseHopLimit": 1,
        "HttpEndpoint": "enabled",
        "HttpProtocolIpv6": "disabled",
        "InstanceMetadataTags": "disabled",
    }
    return defaults | asked


def _not_taggable(kind: str) -> Ec2Error:
    return Ec2Error("InvalidParameterValue", f"'{kind}' is not a valid taggable resource type for this operation.")


def _tags(params: Params) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for one in params.get("TagSpecifications", ()):
        kind = one.get("ResourceType", "")
        if kind not in _TAGGED:
            raise _not_taggable(kind)
        if kind in found:
            raise Ec2Error("InvalidParameterValue", f"Two tag specifications for the resource type '{kind}'")
        found[kind] = tags_of(one.get("Tags", ()))
    return found
