"""How a machine is made: the effective template, its digest, and RunInstances' parameters."""

from collections.abc import Mapping
from typing import Any

import msgspec

from strata.resources import tags
from strata.resources.codec import to_plain
from strata.resources.digest import digest
from strata.resources.instance import Instance
from strata.resources.layer import Layer, ResolvedImage
from strata.resources.machine import Market
from strata.resources.stack import ImageSource, InstanceTemplate, RootVolume, SpotShare, Stack, SubnetRef

DIGEST_VERSION = "v1"

# EC2 refuses the tags of a spot request where there is none.
_TAGGED: Mapping[Market, tuple[str, ...]] = {
    "on-demand": ("instance", "volume"),
    "spot": ("instance", "volume", "spot-instances-request"),
}
# With tags in the metadata EC2 refuses keys with a slash, as ours; an account may have them on for all that do not say.
_METADATA = {"HttpEndpoint": "enabled", "HttpTokens": "required", "InstanceMetadataTags": "disabled"}
# One-time: EC2 itself never launches another one. No price: up to that of on-demand, and never interrupted for it.
_SPOT = {
    "MarketType": "spot",
    "SpotOptions": {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"},
}


def effective(stack: Stack, layer: Layer, instance: Instance | None = None) -> InstanceTemplate:
    """The stack's defaults, overridden field by field by the layer, then by the instance."""
    overrides = (stack.spec.instance, layer.spec.instance, instance.spec.instance if instance else None)
    said: dict[str, Any] = {}
    for template in overrides:
        values = ((name, getattr(template, name, None)) for name in InstanceTemplate.__struct_fields__)
        said |= {name: value for name, value in values if value is not None}
    return InstanceTemplate(**said)


def spot_share(stack: Stack, layer: Layer) -> SpotShare | None:
    """The layer's share of spot machines, else its stack's; None: on demand alone."""
    return layer.spec.instance.spot or stack.spec.instance.spot


def image_key(image: ImageSource) -> str:
    """One text for an image source, to tell whether a resolved image is still the one that was asked for."""
    return f"id:{image.id}" if image.id else f"ssm:{image.ssm_parameter}"


def missing_fields(template: InstanceTemplate) -> tuple[str, ...]:
    """The fields without which nothing can be launched, as paths below spec.instance."""
    wanted = {"image": template.image, "types": template.types}
    return tuple(name for name, value in wanted.items() if not value)


def template_digest(template: InstanceTemplate, image: ResolvedImage) -> str:
    """A digest of all that a running machine cannot change. Types are left out: one more type to fall back on is
    no reason to roll (a machine whose type is no longer named has drifted all the same)."""
    normalised = to_plain(msgspec.structs.replace(template, types=None, image=ImageSource(id=image.id)))
    normalised["rootVolume"] = to_plain(template.root_volume or RootVolume())
    return digest(normalised, version=DIGEST_VERSION)


def run_parameters(
    template: InstanceTemplate,
    image: ResolvedImage,
    *,
    type_: str,
    subnet: SubnetRef,
    market: Market,
    launch_tags: dict[str, str],
) -> dict[str, Any]:
    """boto3's run_instances keyword arguments, all but ClientToken, MinCount and MaxCount."""
    root = template.root_volume or RootVolume()
    ebs: dict[str, Any] = {"VolumeType": root.type, "Encrypted": root.encrypted, "DeleteOnTermination": True}
    if root.size_gib:
        ebs["VolumeSize"] = root.size_gib
    tag_list = [{"Key": key, "Value": value} for key, value in sorted(launch_tags.items())]
    parameters: dict[str, Any] = {
        "ImageId": image.id,
        "InstanceType": type_,
        "SubnetId": subnet.id,
        "BlockDeviceMappings": [{"DeviceName": image.root_device_name, "Ebs": ebs}],
        "MetadataOptions": _METADATA,
        "Monitoring": {"Enabled": bool(template.detailed_monitoring)},
        "TagSpecifications": [{"ResourceType": kind, "Tags": tag_list} for kind in _TAGGED[market]],
    }
    if market == "spot":
        parameters["InstanceMarketOptions"] = _SPOT
    return parameters | _optional_parameters(template)


def _optional_parameters(template: InstanceTemplate) -> dict[str, Any]:
    profile = template.instance_profile
    said: dict[str, Any] = {
        "KeyName": template.key_name,
        "SecurityGroupIds": list(template.security_group_ids or ()),
        "IamInstanceProfile": profile and {"Arn" if profile.startswith("arn:") else "Name": profile},
        "UserData": template.user_data,
    }
    return {name: value for name, value in said.items() if value}


def launch_tags(*, cluster_id: str, stack: str, launch_id: str, template: str) -> dict[str, str]:
    """The tags of a machine from its first moment on; the only ones that are ever read to decide anything."""
    return {tags.CLUSTER: cluster_id, tags.STACK: stack, tags.LAUNCH: launch_id, tags.TEMPLATE: template}


def people_tags(instance: Instance) -> dict[str, str]:
    """The tags that follow the launch, for people and bills."""
    stack, name = instance.metadata.namespace, instance.metadata.name
    return {
        tags.LAYER: instance.spec.layers[0],
        tags.INSTANCE: name,
        tags.NAME: f"{name}.{stack}",
    }
