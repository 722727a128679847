"""Spot requests and their interruption: notice, two minutes, the end. And DescribeSpotInstanceRequests."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from strata_sim import events
from strata_sim.calls import Trace
from strata_sim.errors import Ec2Error
from strata_sim.filters import Extract, compile_filters
from strata_sim.machines import Instance, View
from strata_sim.paging import Page, cursor_of, page_of
from strata_sim.region import Region
from strata_sim.shapes import Params
from strata_sim.steps import begin_end

NOTICE_S = 120.0
RECLAIM = "Server.SpotInstanceTermination"
_LIVE = frozenset({"pending", "running", "stopping", "stopped"})


class SpotRequest(NamedTuple):
    """The one-time request that an instance came from, as one reply has it."""

    instance: Instance
    view: View
    tags: Mapping[str, str]

    @property
    def state(self) -> str:
        return "active" if self.view.state in _LIVE else "closed"

    @property
    def status_code(self) -> str:
        if self.view.state in _LIVE:
            return "marked-for-termination" if self.view.marked else "fulfilled"
        by_ec2 = self.view.reason.code == RECLAIM
        return "instance-terminated-no-capacity" if by_ec2 else "instance-terminated-by-user"


def interrupt(region: Region, instance: Instance, by: str) -> None:
    """Give the two-minute notice, and end the instance when they are over, unless somebody did before."""

    def reclaim(region: Region, instance: Instance, at_s: float) -> None:
        if instance.view.state in _LIVE:
            begin_end(region, instance, RECLAIM, by, at_s)

    region.change(instance, region.now_s, marked=True)
    region.tell(events.interruption(region.event_place(), instance.id), region.now_s)
    region.later(instance, region.now_s + NOTICE_S, reclaim)


def recommend_rebalance(region: Region, instance: Instance) -> None:
    """Say that an interruption is likelier than usual. Nothing need follow."""
    region.tell(events.rebalance(region.event_place(), instance.id), region.now_s)


def describe_spot_instance_requests(region: Region, params: Params, _trace: Trace) -> Page[SpotRequest]:
    filters = compile_filters(params.get("Filters", ()), _FILTERS, lambda row: row.tags)
    cursor = cursor_of(params, "SpotInstanceRequestIds")
    wanted = params.get("SpotInstanceRequestIds")
    rows = [row for row in _rows(region) if wanted is None or row.instance.birth.spot_request_id in wanted]
    if wanted is not None and len(rows) < len(set(wanted)):
        missing = sorted(set(wanted) - {row.instance.birth.spot_request_id for row in rows})
        raise Ec2Error(
            "InvalidSpotInstanceRequestID.NotFound", f"The spot instance request ID '{missing[0]}' does not exist"
        )
    later = (row for row in rows if row.instance.birth.seq > cursor.after)
    return page_of((row for row in later if all(one.matches(row) for one in filters)), _seq, cursor)


def _rows(region: Region) -> Iterator[SpotRequest]:
    observe = region.observer()
    for instance in region.spot.values():
        view = observe(instance)
        if view is not None:
            yield SpotRequest(instance, view, region.tags.get(instance.birth.spot_request_id, {}))


def _seq(row: SpotRequest) -> int:
    return row.instance.birth.seq


_FILTERS: dict[str, Extract[SpotRequest]] = {
    "instance-id": lambda row: (row.instance.id,),
    "launch.instance-type": lambda row: (row.instance.birth.type,),
    "launched-availability-zone": lambda row: (row.instance.birth.zone,),
    "spot-instance-request-id": lambda row: (row.instance.birth.spot_request_id,),
    "state": lambda row: (row.state,),
    "status-code": lambda row: (row.status_code,),
    "type": lambda _row: ("one-time",),
}
