"""CloudFactory: one Cloud and one CloudWatch for each region and endpoint of the process, over one boto3 session."""

from collections.abc import Mapping
from types import MappingProxyType

from strata.clock import Clock
from strata.cloud.calls import Fence, no_fence
from strata.cloud.cloudwatch import BotoCloudWatch
from strata.cloud.ec2 import Ec2Cloud
from strata.cloud.event_queue import EventQueue
from strata.cloud.lazy_sdk import LazySdk
from strata.cloud.port import Cloud, CloudWatch
from strata.cloud.sqs import SqsQueue
from strata.errors import CloudError, CloudErrorKind
from strata.metrics import DaemonMetrics


class CloudFactory:
    """Makes Clouds and keeps them. Belongs to one event loop."""

    def __init__(
        self,
        endpoints: Mapping[str, str],
        clock: Clock,
        metrics: DaemonMetrics,
        fence: Fence = no_fence,
        *,
        rate: float = 1.0,
        queues: Mapping[tuple[str, str | None], str] = MappingProxyType({}),
    ) -> None:
        """`endpoints` maps the names that a Stack may choose to URLs. `fence` is called right before each mutating
        call is sent, and raises NotLeader if this process may not act. `rate` times EC2's published limits is what
        the account has. `queues` are the URLs of the regions' queues of events."""
        self._endpoints = dict(endpoints)
        self._clock = clock
        self._metrics = metrics
        self._fence = fence
        self._rate = rate
        self._queues = dict(queues)
        self._sdk = LazySdk()
        self._clouds: dict[tuple[str, str | None], Ec2Cloud] = {}
        self._watches: dict[tuple[str, str | None], BotoCloudWatch] = {}

    def __call__(self, region: str, endpoint: str | None) -> Cloud:
        """The Cloud of a region at a named endpoint; None is AWS. Costs nothing until it is used. Raises CloudError
        INVALID for a name that the settings do not know."""
        url, key = self._url(endpoint), (region, endpoint)
        if key not in self._clouds:
            self._clouds[key] = Ec2Cloud(
                region, url, self._clock, self._metrics, sdk=self._sdk, fence=self._fence, rate=self._rate
            )
        return self._clouds[key]

    def cloudwatch(self, region: str, endpoint: str | None) -> CloudWatch:
        """The CloudWatch of a region at a named endpoint, as for the Cloud."""
        url, key = self._url(endpoint), (region, endpoint)
        if key not in self._watches:
            self._watches[key] = BotoCloudWatch(region, url, self._clock, self._metrics, sdk=self._sdk)
        return self._watches[key]

    def queue(self, region: str, endpoint: str | None) -> EventQueue | None:
        """The queue of the events of a region at a named endpoint, for one reader; None: the settings name none."""
        url = self._queues.get((region, endpoint))
        return None if url is None else SqsQueue(region, url, self._clock, sdk=self._sdk)

    async def close(self) -> None:
        """Wait for the calls that run, then close all connections."""
        for cloud in self._clouds.values():
            await cloud.close()
        for watch in self._watches.values():
            await watch.close()

    def _url(self, endpoint: str | None) -> str | None:
        if endpoint is not None and endpoint not in self._endpoints:
            known = ", ".join(sorted(self._endpoints)) or "none"
            message = f"the daemon's settings have no EC2 endpoint {endpoint!r}; they have: {known}"
            raise CloudError(CloudErrorKind.INVALID, "UnknownEndpoint", message)
        return None if endpoint is None else self._endpoints[endpoint]
