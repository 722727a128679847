"""Which spot machines of a region EC2 is about to take back, or says it might. Read for the observer, never decided on
here.

A notice is EC2's own word, by DescribeSpotInstanceRequests. A recommendation is in no Describe: it counts by its event
alone, for a machine that Describe shows as ours, spot and running.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

import structlog

from strata.clock import Clock
from strata.cloud.port import Cloud, Filter
from strata.errors import CloudError
from strata.planner.facts import Notice, NoticeKind
from strata.resources.machine import Machine

log = structlog.get_logger(__name__)

_MARKED: Filter = ("status-code", ("marked-for-termination",))


class Notices:
    """The notices of one region."""

    def __init__(self, cloud: Cloud, cluster: Filter, clock: Clock, *, region: str) -> None:
        """`cluster` is the filter by our cluster's tag: spot requests carry it as machines do."""
        self._cloud = cloud
        self._cluster = cluster
        self._clock = clock
        self._region = region
        self._given: dict[str, tuple[NoticeKind, float]] = {}  # since when, in monotonic seconds
        self._failed = ""

    def of(self, instance_id: str, now: datetime) -> Notice | None:
        given = self._given.get(instance_id)
        if given is None:
            return None
        kind, since_s = given
        return Notice(kind, now - timedelta(seconds=self._clock.monotonic_s() - since_s))

    async def read(self, machines: Iterable[Machine | None]) -> set[str]:
        """Ask what is marked, if any of these machines is spot and live; the ids of which that is news. Notices of all
        other machines are forgotten. A failed read is no failed poll: a notice only makes haste."""
        spot = {m.instance_id for m in machines if m is not None and m.live and m.lifecycle == "spot"}
        self._given = {i: given for i, given in self._given.items() if i in spot}
        if not spot:
            return set()
        try:
            marked = await self._cloud.describe_spot_requests([self._cluster, _MARKED])
        except CloudError as error:
            if error.kind != self._failed:  # the first of a row of equal ones is said
                log.warning("notices not read", region=self._region, reason=error.kind.value, error=str(error))
            self._failed = error.kind
            return set()
        self._failed = ""
        return {request.instance_id for request in marked if self._note(request.instance_id, "interruption", spot)}

    def recommend(self, machine: Machine) -> bool:
        """EC2 recommended to replace this machine; whether that is news."""
        running_spot = machine.lifecycle == "spot" and machine.state == "running"
        return running_spot and self._note(machine.instance_id, "rebalance", {machine.instance_id})

    def _note(self, instance_id: str, kind: NoticeKind, spot: set[str]) -> bool:
        known = self._given.get(instance_id)
        if instance_id not in spot or (known is not None and (known[0] == kind or kind == "rebalance")):
            return False
        self._given[instance_id] = (kind, self._clock.monotonic_s())
        return True
