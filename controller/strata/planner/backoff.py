"""The persisted backoff of a slot that keeps failing."""

from datetime import datetime, timedelta

from strata.planner.policy import Policy
from strata.resources.instance import Failures


def retry_at(failures: Failures | None, policy: Policy) -> datetime | None:
    """When the slot may be launched again; None: at once.

    The first failure costs nothing; the n-th waits base x 2^(n-2), up to the cap.
    """
    if failures is None or failures.count <= 1:
        return None
    exponent = min(failures.count - 2, 30)  # beyond it the cap rules anyway, and the power stays small
    delay_s = min(policy.backoff_cap_s, policy.backoff_base_s * 2**exponent)
    return failures.last_at + timedelta(seconds=delay_s)


def failed_again(before: Failures | None, now: datetime, reason: str, message: str) -> Failures:
    count = (before.count if before else 0) + 1
    return Failures(count=count, last_at=now, reason=reason, message=message)
