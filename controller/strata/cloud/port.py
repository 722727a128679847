"""The port to EC2, SSM and CloudWatch: what the boto3 adapter and the in-process simulator both promise.

One Cloud speaks to one region at one endpoint. Every read is complete or raises CloudError; nothing here
retries (the caller's queue backs off), sleeps only for the client-side token buckets, and never cancels a
mutating call that was sent.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from strata.resources.machine import Image, Machine, MachineHealth, SpotRequest, Subnet
from strata.resources.signal import AlarmState, Point

Filter = tuple[str, tuple[str, ...]]
MAX_FILTER_VALUES = 200  # EC2's limit for the values of one filter
MAX_METRIC_QUERIES = 500  # GetMetricData's limit for one call
MAX_ALARM_NAMES = 100  # DescribeAlarms' limit for one call


@dataclass(frozen=True, slots=True)
class RunRequest:
    """One RunInstances call. `parameters` is what boto3's run_instances takes, all but ClientToken, MinCount
    and MaxCount: byte-equal canonical JSON of it is what makes two requests the same to EC2."""

    client_token: str
    parameters: Mapping[str, Any]
    max_count: int
    min_count: int = 1


@dataclass(frozen=True, slots=True)
class MetricQuery:
    """One CloudWatch metric, averaged over each period of `period_s` (a multiple of 60)."""

    namespace: str
    metric: str
    dimensions: tuple[tuple[str, str], ...]
    period_s: int


class CloudWatch(Protocol):
    """CloudWatch of one region at one endpoint."""

    async def get_metric_data(
        self, queries: Sequence[MetricQuery], *, start_at: datetime, end_at: datetime
    ) -> Mapping[MetricQuery, tuple[Point, ...]]:
        """All points of these metrics (at most MAX_METRIC_QUERIES: one call and its pages) whose whole periods lie
        between start and end, oldest first. CloudWatch stamps a point with its period's beginning, a Point has the
        end. () where there are none; a query that CloudWatch could not answer alone is left out. Raises CloudError
        if any page failed."""
        ...

    async def describe_alarms(self, names: Sequence[str]) -> Mapping[str, AlarmState]:
        """The states of these alarms (at most MAX_ALARM_NAMES), metric and composite ones; those that do not exist
        are left out. `since` is StateTransitionedTimestamp, where that is not given StateUpdatedTimestamp."""
        ...


BeforeSend = Callable[[], Awaitable[None]]


async def nothing_before() -> None:
    """For who has nothing to write down before a call is sent."""


class Cloud(Protocol):
    """EC2 and SSM of one region at one endpoint."""

    async def account(self) -> str:
        """The id of the account that the credentials are of, asked anew. Raises CloudError, with kind WRONG_ACCOUNT
        where another one is expected."""
        ...

    async def describe_instances(self, filters: Sequence[Filter]) -> tuple[Machine, ...]:
        """All pages of DescribeInstances (1,000 a page) with these filters, each filter checked again on the
        reply. Raises CloudError, also when only a later page failed: never a partial answer."""
        ...

    async def describe_impaired(self) -> tuple[MachineHealth, ...]:
        """The account's machines with an impaired instance, system or attached-EBS status check; complete."""
        ...

    async def describe_health(self, instance_ids: Sequence[str]) -> tuple[MachineHealth, ...]:
        """Status checks of these machines. Ids that EC2 does not know (yet) are left out of the answer."""
        ...

    async def describe_spot_requests(self, filters: Sequence[Filter]) -> tuple[SpotRequest, ...]:
        """All pages of DescribeSpotInstanceRequests with these filters (`tag:KEY`, `instance-id`, `state`,
        `status-code`), each checked again on the reply. Raises CloudError: never a partial answer."""
        ...

    async def run_instances(self, request: RunRequest, before_send: BeforeSend = nothing_before) -> tuple[Machine, ...]:
        """Launch between min_count and max_count machines, once for a client token. The answer is whole: with a
        token that was used before, the machines of the first call in their present state.

        `before_send` is awaited after any wait for tokens, right before the call goes out. If it raises, nothing was
        sent."""
        ...

    async def terminate_instances(self, instance_ids: Sequence[str]) -> None:
        """End these machines. Idempotent. Raises CloudError; with kind NOT_FOUND nothing was done."""
        ...

    async def stop_instances(self, instance_ids: Sequence[str]) -> None: ...

    async def start_instances(self, instance_ids: Sequence[str]) -> None: ...

    async def reboot_instances(self, instance_ids: Sequence[str]) -> None: ...

    async def create_tags(self, resource_ids: Sequence[str], tags: Mapping[str, str]) -> None:
        """Set these tags on all of these resources. Idempotent."""
        ...

    async def get_parameters(self, names: Sequence[str]) -> dict[str, str]:
        """Values of SSM parameters, by name; those that do not exist are left out."""
        ...

    async def describe_images(self, image_ids: Sequence[str]) -> tuple[Image, ...]:
        """These images; those that do not exist, or may not be seen, are left out."""
        ...

    async def describe_subnets(self, subnet_ids: Sequence[str]) -> tuple[Subnet, ...]:
        """These subnets; those that do not exist are left out."""
        ...
