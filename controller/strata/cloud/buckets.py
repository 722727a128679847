"""EC2's published token buckets, as arithmetic: no waiting, no clock. `gate.py` waits with them.

EC2 counts per action, account and region; resource tokens count the machines that a call touches. Our copies start
full, as EC2's are for an account that was quiet, and others may share the account. So EC2 can throttle all the same:
then the copy is emptied and refills at half the pace, which comes back over half a minute.

Numbers: docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html; SSM's GetParameters has 40 a second.
CloudWatch's are quotas of its own: docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_limits.html.
"""

import math
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Rate:
    """A bucket of `size` tokens that refills at `refill_per_s`."""

    size: float
    refill_per_s: float

    def times(self, factor: float) -> "Rate":
        """What an account has whose limits AWS raised so many times."""
        return Rate(self.size * factor, self.refill_per_s * factor)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one action is limited by. Lower `rank` goes first when calls compete for the connections."""

    rank: int
    requests: Rate
    resources: Rate | None = None
    mutating: bool = True


_FILTERED: Final = Rate(100, 20)  # a Describe with a filter or paging
_UNFILTERED: Final = Rate(50, 10)  # one by ids alone
_LAUNCHED: Final = Rate(1000, 2)  # a token a machine
_ENDED: Final = Rate(1000, 20)

# Each action has its own buckets. Healing (end, launch, start) goes before tags, tags before all reading.
LIMITS: Final = {
    "RunInstances": Limits(0, Rate(5, 2), _LAUNCHED),
    "StartInstances": Limits(0, Rate(5, 2), _LAUNCHED),
    "TerminateInstances": Limits(0, Rate(100, 5), _ENDED),
    "StopInstances": Limits(0, Rate(50, 5), _ENDED),
    "RebootInstances": Limits(0, Rate(50, 5)),
    "CreateTags": Limits(1, Rate(100, 10)),
    "DescribeInstances": Limits(2, _FILTERED, mutating=False),
    "DescribeInstanceStatus": Limits(2, _FILTERED, mutating=False),
    "DescribeInstanceStatus by id": Limits(2, _UNFILTERED, mutating=False),
    "DescribeSpotInstanceRequests": Limits(2, _FILTERED, mutating=False),
    "DescribeImages": Limits(3, _FILTERED, mutating=False),
    "DescribeSubnets": Limits(3, _FILTERED, mutating=False),
    "GetParameters": Limits(3, Rate(40, 40), mutating=False),
    "GetMetricData": Limits(3, Rate(50, 50), mutating=False),
    "DescribeAlarms": Limits(3, Rate(9, 9), mutating=False),
    "GetCallerIdentity": Limits(2, Rate(40, 40), mutating=False),
}

_RAMP_S: Final = 60.0  # the pace grows from 0 to 1 in this time, so from a half in 30 s
_MIN_PACE: Final = 1 / 8
_SAME_THROTTLE_S: Final = 1.0  # calls that were in flight together are throttled together: once is enough
_DUST: Final = 1e-6  # of a token: what floating point may lose


class TokenBucket:
    """One bucket. Times are seconds of any one clock that never goes back."""

    def __init__(self, rate: Rate, now_s: float) -> None:
        self._rate = rate
        self._tokens = rate.size
        self._held = 0.0  # taken by calls that are on their way
        self._at_s = now_s  # when _tokens was right
        self._ramp_from = 1.0  # the pace at _ramp_at_s; it grows to 1 from there
        self._ramp_at_s = now_s
        self._throttled_at_s = -math.inf

    def take(self, count: float, now_s: float) -> bool:
        """Take `count` tokens if they are there. More than the bucket holds counts as all it holds.

        The call that they are for is on its way until settle(): EC2 takes its tokens when it arrives, at any moment
        until then, so a full bucket must not begin to refill before.
        """
        if self.wait_s(count, now_s) > 0:
            return False
        self._tokens -= min(count, self._rate.size)
        self._held += min(count, self._rate.size)
        return True

    def settle(self, count: float, now_s: float) -> None:
        """A call that took `count` tokens has its answer: EC2 has surely taken them by now."""
        self._refill(now_s)
        self._held = max(0.0, self._held - min(count, self._rate.size))

    def wait_s(self, count: float, now_s: float) -> float:
        """How long until `count` tokens are there, if nobody takes any; 0 if they are."""
        self._refill(now_s)
        missing = min(count, self._rate.size) - self._tokens
        if missing <= _DUST:
            return 0.0
        paced_s = self._paced_s(now_s - self._ramp_at_s) + missing / self._rate.refill_per_s
        return self._elapsed_s(paced_s) - (now_s - self._ramp_at_s)

    def empty(self, now_s: float) -> None:
        """EC2 throttled us: its bucket is empty, whatever ours says. Refill at half the pace for a while."""
        self._refill(now_s)
        self._tokens = min(self._tokens, 0.0)
        self._slow_down(now_s)

    def halve(self, now_s: float) -> None:
        """EC2 throttled us, perhaps by this bucket and perhaps by another: half of our tokens may not be there."""
        self._refill(now_s)
        if now_s - self._throttled_at_s >= _SAME_THROTTLE_S:
            self._tokens /= 2
            self._throttled_at_s = now_s

    def _slow_down(self, now_s: float) -> None:
        if now_s - self._throttled_at_s < _SAME_THROTTLE_S:
            return
        pace = min(1.0, self._ramp_from + (now_s - self._ramp_at_s) / _RAMP_S)
        self._ramp_from = max(_MIN_PACE, pace / 2)
        self._ramp_at_s = self._throttled_at_s = now_s

    def _refill(self, now_s: float) -> None:
        gained_s = self._paced_s(now_s - self._ramp_at_s) - self._paced_s(self._at_s - self._ramp_at_s)
        room = max(self._tokens, self._rate.size - self._held)
        self._tokens = min(room, self._tokens + gained_s * self._rate.refill_per_s)
        self._at_s = now_s

    def _paced_s(self, elapsed_s: float) -> float:
        """The seconds of full-pace refill that `elapsed_s` after the ramp's start are worth: the pace's integral."""
        ramp_s = min(elapsed_s, (1 - self._ramp_from) * _RAMP_S)
        return self._ramp_from * ramp_s + ramp_s * ramp_s / (2 * _RAMP_S) + (elapsed_s - ramp_s)

    def _elapsed_s(self, paced_s: float) -> float:
        """The inverse of `_paced_s`."""
        ramp_s = (1 - self._ramp_from) * _RAMP_S
        at_full_pace_s = paced_s - self._paced_s(ramp_s)
        if at_full_pace_s >= 0:
            return ramp_s + at_full_pace_s
        return _RAMP_S * (math.sqrt(self._ramp_from**2 + 2 * paced_s / _RAMP_S) - self._ramp_from)
