"""CreateTags, DeleteTags, DescribeTags. A tag call is all or nothing."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from strata_sim.calls import Trace
from strata_sim.errors import Ec2Error
from strata_sim.filters import Extract, compile_filters
from strata_sim.paging import Page, numbered_page
from strata_sim.region import Region
from strata_sim.shapes import Params
from strata_sim.tag_rules import require_room, tags_of

_MAX_RESOURCES = 1000
_TYPES = {
    "i": "instance",
    "vol": "volume",
    "subnet": "subnet",
    "vpc": "vpc",
    "ami": "image",
    "sg": "security-group",
    "sir": "spot-instances-request",
}
_CODES = {
    "i": "InvalidInstanceID",
    "vol": "InvalidVolume",
    "subnet": "InvalidSubnetID",
    "vpc": "InvalidVpcID",
    "ami": "InvalidAMIID",
    "sg": "InvalidGroup",
    "sir": "InvalidSpotInstanceRequestID",
}


class TagRow(NamedTuple):
    resource_id: str
    resource_type: str
    key: str
    value: str


_FILTERS: dict[str, Extract[TagRow]] = {
    "key": lambda row: (row.key,),
    "resource-id": lambda row: (row.resource_id,),
    "resource-type": lambda row: (row.resource_type,),
    "value": lambda row: (row.value,),
}


def create_tags(region: Region, params: Params, trace: Trace) -> None:
    added = tags_of(params["Tags"])
    if not added:
        raise Ec2Error("MissingParameter", "The request must contain the parameter tagSet")
    after = {one: dict(tags) | added for one, tags in _present(region, params).items()}
    for tags in after.values():
        require_room(tags)
    _write(region, after, trace)


def delete_tags(region: Region, params: Params, trace: Trace) -> None:
    """A tag given with a value goes only if it has that value; no tags given: all go."""
    doomed = {one["Key"]: one.get("Value") for one in params.get("Tags", ())}
    after = {
        resource: {key: value for key, value in tags.items() if doomed and not _matches(doomed, key, value)}
        for resource, tags in _present(region, params).items()
    }
    _write(region, after, trace)


def describe_tags(region: Region, params: Params, _trace: Trace) -> Page[TagRow]:
    filters = compile_filters(params.get("Filters", ()), _FILTERS, _tags_of_row)
    rows = (row for row in _rows(region) if all(one.matches(row) for one in filters))
    return numbered_page(rows, params)


def _matches(doomed: Mapping[str, str | None], key: str, value: str) -> bool:
    return key in doomed and doomed[key] in {None, value}


def _present(region: Region, params: Params) -> dict[str, Mapping[str, str]]:
    """Each resource's tags; raises Ec2Error if one of them does not exist, as this call sees it."""
    resources = params["Resources"]
    if len(resources) > _MAX_RESOURCES:
        raise Ec2Error("InvalidParameterValue", f"At most {_MAX_RESOURCES} resources may be tagged in one call")
    instances = region.require_instances([one for one in resources if one.startswith("i-")])
    found: dict[str, Mapping[str, str]] = {one.id: one.view.tags for one in instances}
    for resource in resources:
        if resource not in found:
            _require_other(region, resource)
            found[resource] = region.tags.get(resource, {})
    return found


def _require_other(region: Region, resource: str) -> None:
    known = (region.volumes, region.subnets, region.images, region.spec.security_groups, region.vpcs, region.spot)
    if any(resource in group for group in known):
        return
    prefix = resource.partition("-")[0]
    if prefix not in _CODES:
        raise Ec2Error("InvalidID", f"The ID '{resource}' is not valid")
    raise Ec2Error(f"{_CODES[prefix]}.NotFound", f"The {_TYPES[prefix]} ID '{resource}' does not exist")


def _write(region: Region, after: Mapping[str, dict[str, str]], trace: Trace) -> None:
    for resource, tags in after.items():
        instance = region.instances.get(resource)
        if instance is None:
            region.tags[resource] = tags
        elif tags != instance.view.tags:
            region.change(instance, region.now_s, tags=tags)
        trace.touched.append(resource)


def _rows(region: Region) -> Iterator[TagRow]:
    observe = region.observer()
    for instance in region.instances.values():
        view = observe(instance)
        if view is not None:
            yield from _rows_of(instance.id, view.tags)
    for resource, tags in region.tags.items():
        yield from _rows_of(resource, tags)


def _rows_of(resource: str, tags: Mapping[str, str]) -> Iterator[TagRow]:
    kind = _TYPES[resource.partition("-")[0]]
    for key, value in sorted(tags.items()):
        yield TagRow(resource, kind, key, value)


def _tags_of_row(row: TagRow) -> Mapping[str, str]:
    return {row.key: row.value}
