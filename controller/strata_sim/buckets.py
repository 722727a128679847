"""EC2's published token buckets, per (action, class, region): requests, and the instances they touch.

Numbers: docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html. SSM's is its default 40 requests a second;
CloudWatch's are its default quotas of transactions a second.
"""

from dataclasses import dataclass
from typing import Final

from strata_sim.errors import Ec2Error


@dataclass(frozen=True, slots=True)
class Rate:
    size: float
    refill_per_s: float


UNFILTERED: Final = Rate(50, 10)  # a Describe with neither filter nor paging
FILTERED: Final = Rate(100, 20)
MUTATING: Final = Rate(50, 5)
LAUNCHING: Final = Rate(5, 2)  # RunInstances, StartInstances
TERMINATING: Final = Rate(100, 5)
TAGGING: Final = Rate(100, 10)
PARAMETERS: Final = Rate(40, 40)
METRICS: Final = Rate(50, 50)  # GetMetricData
ALARMS: Final = Rate(9, 9)  # DescribeAlarms
LAUNCHED_INSTANCES: Final = Rate(1000, 2)  # RunInstances, StartInstances: a token an instance
MESSAGES: Final = Rate(3000, 3000)  # SQS: practically none
ENDED_INSTANCES: Final = Rate(1000, 20)  # TerminateInstances, StopInstances


class _Bucket:
    def __init__(self, rate: Rate, now_s: float) -> None:
        self._rate = rate
        self._tokens = rate.size
        self._at_s = now_s

    def take(self, count: float, now_s: float) -> bool:
        self._tokens = min(self._rate.size, self._tokens + (now_s - self._at_s) * self._rate.refill_per_s)
        self._at_s = now_s
        if self._tokens < count:
            return False
        self._tokens -= count
        return True

    def empty(self, now_s: float) -> None:
        self._tokens, self._at_s = 0.0, now_s


class Buckets:
    """One region's buckets. `scale` None: no throttling; 0.1: a tenth of the size and of the refill."""

    def __init__(self) -> None:
        self._scale: float | None = 1.0
        self._buckets: dict[tuple[str, Rate], _Bucket] = {}

    @property
    def scale(self) -> float | None:
        return self._scale

    def rescale(self, scale: float | None) -> None:
        """All buckets start anew, full, at this scale."""
        self._scale = scale
        self._buckets.clear()

    def drain(self, action: str, rates: tuple[Rate, ...], now_s: float) -> None:
        """Empty an action's buckets, as if somebody else in the account had used them up."""
        for rate in rates:
            self._bucket(action, rate, now_s).empty(now_s)

    def take(self, action: str, rate: Rate, now_s: float, count: float = 1) -> None:
        """Pay for a request, or for `count` instances. Raises Ec2Error, and takes nothing, if too little is left."""
        if self._scale is not None and not self._bucket(action, rate, now_s).take(count, now_s):
            raise Ec2Error("RequestLimitExceeded", "Request limit exceeded.")

    def _bucket(self, action: str, rate: Rate, now_s: float) -> _Bucket:
        bucket = self._buckets.get((action, rate))
        if bucket is None:
            scale = self._scale or 1.0
            scaled = Rate(max(1.0, rate.size * scale), rate.refill_per_s * scale)
            bucket = self._buckets[action, rate] = _Bucket(scaled, now_s)
        return bucket
