"""The port to Prometheus: what the HTTP client and its in-process twin both promise.

Nothing here retries. A call ends by itself, with an answer or with SignalError, within some ten seconds.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from strata.resources.signal import Point


class Prometheus(Protocol):
    """One Prometheus server."""

    async def query_range(self, query: str, *, start_at: datetime, end_at: datetime, step_s: int) -> tuple[Point, ...]:
        """The query's value at `start_at` and every step after it until `end_at`, oldest first; moments without a value
        (none, NaN) are left out. Raises SignalError: unreachable, refused, or an answer of more than one series."""
        ...


PrometheusSource = Callable[[str], Prometheus]  # by the name in the daemon's settings; raises SignalError for no such
