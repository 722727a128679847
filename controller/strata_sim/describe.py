"""DescribeInstances and DescribeInstanceStatus: what one call sees, filtered and paged."""

from collections.abc import Callable, Iterator, Mapping

from strata_sim.calls import Trace
from strata_sim.errors import Ec2Error
from strata_sim.filters import INSTANCE_FILTERS, STATUS_FILTERS, Filter, compile_filters
from strata_sim.machines import Instance, Seen, View
from strata_sim.paging import Page, cursor_of, page_of
from strata_sim.region import Region
from strata_sim.shapes import Params

_MAX_STATUS_IDS = 100
_RUNNING: Filter[Seen] = Filter(
    "instance-state-name", frozenset({"running"}), (), INSTANCE_FILTERS["instance-state-name"]
)


def describe_instances(region: Region, params: Params, _trace: Trace) -> Page[Seen]:
    filters = compile_filters(params.get("Filters", ()), INSTANCE_FILTERS, _tags)
    return _page(region, params, filters)


def describe_instance_status(region: Region, params: Params, _trace: Trace) -> Page[Seen]:
    """Running machines only, unless IncludeAllInstances."""
    if len(params.get("InstanceIds", ())) > _MAX_STATUS_IDS:
        raise Ec2Error("InvalidParameterValue", f"At most {_MAX_STATUS_IDS} instance IDs may be given")
    filters = compile_filters(params.get("Filters", ()), STATUS_FILTERS)
    if not params.get("IncludeAllInstances", False):
        filters.append(_RUNNING)
    return _page(region, params, filters)


def _page(region: Region, params: Params, filters: list[Filter[Seen]]) -> Page[Seen]:
    cursor = cursor_of(params, "InstanceIds")
    ids = params.get("InstanceIds")
    named = [one.birth.seq for one in region.require_instances(ids)] if ids else None
    seqs = sorted(set(named)) if named is not None else _candidates(region, filters)
    observe = region.observer()
    rows = _matching((region.by_seq[seq] for seq in seqs if seq > cursor.after), observe, filters)
    return page_of(rows, _seq, cursor)


def _candidates(region: Region, filters: list[Filter[Seen]]) -> list[int]:
    found = region.index.candidates(filters)
    if found is None:
        return list(region.by_seq)  # in the order of their making
    lag_s = region.knobs.lag.seconds
    if lag_s > 0:
        found |= region.changed_since(region.now_s - lag_s) & region.by_seq.keys()
    return sorted(found)


def _matching(
    instances: Iterator[Instance], observe: Callable[[Instance], View | None], filters: list[Filter[Seen]]
) -> Iterator[Seen]:
    for instance in instances:
        view = observe(instance)
        if view is None:
            continue
        seen = Seen(instance, view)
        if all(one.matches(seen) for one in filters):
            yield seen


def _tags(seen: Seen) -> Mapping[str, str]:
    return seen.view.tags


def _seq(seen: Seen) -> int:
    return seen.instance.birth.seq
