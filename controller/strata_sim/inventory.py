"""Reads of what stands in the catalogue: subnets, images, VPCs, SSM parameters, and who is calling."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeVar

from strata_sim.calls import Trace
from strata_sim.catalog import ImageSpec, SubnetSpec, VpcSpec
from strata_sim.errors import Ec2Error
from strata_sim.filters import Extract, compile_filters
from strata_sim.paging import Page, numbered_page
from strata_sim.region import Region
from strata_sim.shapes import Params

T = TypeVar("T", SubnetSpec, ImageSpec, VpcSpec)
_MAX_PARAMETERS = 10


class SubnetRow(NamedTuple):
    spec: SubnetSpec
    free_count: int
    owner_id: str
    tags: Mapping[str, str]


class Parameter(NamedTuple):
    name: str
    value: str
    arn: str


class ParameterAnswer(NamedTuple):
    found: list[Parameter]
    invalid: list[str]


class Identity(NamedTuple):
    account_id: str
    user_id: str
    arn: str


_SUBNET_FILTERS: dict[str, Extract[SubnetSpec]] = {
    "availability-zone": lambda one: (one.zone,),
    "cidr-block": lambda one: (one.cidr,),
    "map-public-ip-on-launch": lambda one: (str(one.map_public_ip).lower(),),
    "state": lambda _: ("available",),
    "subnet-id": lambda one: (one.id,),
    "vpc-id": lambda one: (one.vpc_id,),
}
_IMAGE_FILTERS: dict[str, Extract[ImageSpec]] = {
    "architecture": lambda one: (one.architecture,),
    "image-id": lambda one: (one.id,),
    "name": lambda one: (one.name,),
    "root-device-name": lambda one: (one.root_device_name,),
    "root-device-type": lambda _: ("ebs",),
    "state": lambda one: (one.state,),
    "virtualization-type": lambda _: ("hvm",),
}
_VPC_FILTERS: dict[str, Extract[VpcSpec]] = {
    "cidr": lambda one: (one.cidr,),
    "state": lambda _: ("available",),
    "vpc-id": lambda one: (one.id,),
}


def describe_subnets(region: Region, params: Params, _trace: Trace) -> Page[SubnetRow]:
    known = region.subnets
    found = _found(region, params, "SubnetIds", known, _SUBNET_FILTERS, "InvalidSubnetID.NotFound", "subnet ID")
    return Page(
        [
            SubnetRow(s, region.addresses[s.id].free_count, region.account_id, region.tags.get(s.id, {}))
            for s in found.rows
        ],
        found.next_token,
    )


def describe_images(region: Region, params: Params, _trace: Trace) -> Page[ImageSpec]:
    return _found(region, params, "ImageIds", region.images, _IMAGE_FILTERS, "InvalidAMIID.NotFound", "image id")


def describe_vpcs(region: Region, params: Params, _trace: Trace) -> Page[VpcSpec]:
    return _found(region, params, "VpcIds", region.vpcs, _VPC_FILTERS, "InvalidVpcID.NotFound", "vpc ID")


def _found(
    region: Region,
    params: Params,
    ids_name: str,
    known: Mapping[str, T],
    extracts: Mapping[str, Extract[T]],
    code: str,
    what: str,
) -> Page[T]:
    ids = params.get(ids_name) or list(known)
    missing = [one for one in ids if one not in known]
    if missing:
        quoted = f"[{missing[0]}]" if what == "image id" else missing[0]
        raise Ec2Error(code, f"The {what} '{quoted}' does not exist")
    filters = compile_filters(params.get("Filters", ()), extracts, lambda one: region.tags.get(one.id, {}))
    rows: Iterable[T] = (known[one] for one in dict.fromkeys(ids) if all(f.matches(known[one]) for f in filters))
    return numbered_page(rows, params, ids_name)


def get_parameters(region: Region, params: Params, _trace: Trace) -> ParameterAnswer:
    names = params["Names"]
    if not 1 <= len(names) <= _MAX_PARAMETERS:
        raise Ec2Error("ValidationException", f"Between 1 and {_MAX_PARAMETERS} names must be given")
    found = [_parameter(region, name) for name in dict.fromkeys(names) if name in region.parameters]
    return ParameterAnswer(found, [name for name in names if name not in region.parameters])


def get_parameter(region: Region, params: Params, _trace: Trace) -> Parameter:
    if params["Name"] not in region.parameters:
        raise Ec2Error("ParameterNotFound", f"Parameter {params['Name']} not found.")
    return _parameter(region, params["Name"])


def _parameter(region: Region, name: str) -> Parameter:
    return Parameter(name, region.parameters[name], f"arn:aws:ssm:{region.spec.name}::parameter{name}")


def get_caller_identity(region: Region, _params: Params, _trace: Trace) -> Identity:
    return Identity(region.account_id, "AIDASIMULATED", f"arn:aws:iam::{region.account_id}:user/{region.caller}")
