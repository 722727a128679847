"""What a region has before anybody launches anything: networks, images, types, parameters, keys, groups, profiles.

Plain data, with the field names that a world file has.
"""

import msgspec


class SubnetSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    zone: str
    vpc_id: str
    cidr: str
    map_public_ip: bool = True


class VpcSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    cidr: str


class ImageSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    name: str
    root_device_name: str = "/dev/xvda"
    root_size_gib: int = 8
    architecture: str = "x86_64"
    state: str = "available"


class TypeSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`zones` None: offered in all of the region's zones."""

    name: str
    vcpus: int = 2
    memory_mib: int = 4096
    architecture: str = "x86_64"
    zones: tuple[str, ...] | None = None


class RegionSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`security_groups`: id -> the VPC's id. `parameters`: SSM parameter name -> value."""

    name: str
    vpcs: tuple[VpcSpec, ...]
    subnets: tuple[SubnetSpec, ...]
    images: tuple[ImageSpec, ...]
    types: tuple[TypeSpec, ...]
    security_groups: dict[str, str]
    parameters: dict[str, str] = {}
    key_names: tuple[str, ...] = ()
    instance_profiles: tuple[str, ...] = ()


class Catalog(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    regions: tuple[RegionSpec, ...]
    account_id: str = "123456789012"


_TYPES = (
    TypeSpec(name="t3.micro", memory_mib=1024),
    TypeSpec(name="t3.small", memory_mib=2048),
    TypeSpec(name="t3.medium", memory_mib=4096),
    TypeSpec(name="t3.large", memory_mib=8192),
    TypeSpec(name="m5.large", memory_mib=8192),
    TypeSpec(name="m5a.large", memory_mib=8192),
    TypeSpec(name="m6i.large", memory_mib=8192),
    TypeSpec(name="c6i.large", memory_mib=4096),
    TypeSpec(name="t4g.small", memory_mib=2048, architecture="arm64"),
)
_DEBIAN = ImageSpec(id="ami-0deb12000000000a1", name="debian-12-amd64")
_AMAZON = ImageSpec(id="ami-0a12023000000000a", name="al2023-ami-x86_64")


def default_region(name: str = "us-east-1") -> RegionSpec:
    """One VPC with three subnets of a /20 each, two images, the common types."""
    return RegionSpec(
        name=name,
        vpcs=(VpcSpec(id="vpc-0", cidr="172.31.0.0/16"),),
        subnets=tuple(
            SubnetSpec(id=f"subnet-0{zone}", zone=f"{name}{zone}", vpc_id="vpc-0", cidr=f"172.31.{16 * n}.0/20")
            for n, zone in enumerate("abc")
        ),
        images=(_DEBIAN, _AMAZON),
        types=_TYPES,
        security_groups={"sg-0": "vpc-0"},
        parameters={
            "/aws/service/debian/release/12/latest/amd64": _DEBIAN.id,
            "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64": _AMAZON.id,
        },
        key_names=("ops",),
        instance_profiles=("strata-instance",),
    )


def default_catalog() -> Catalog:
    return Catalog(regions=(default_region(),))
