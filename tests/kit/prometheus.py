"""A Prometheus of a test: a query's value is a function of the time. It may be silent, slow, or refuse."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from strata.errors import SignalError
from strata.resources.signal import Point


@dataclass(slots=True)
class FakePrometheus:
    """`values` by query. `failure`: what every call raises; `takes_s`: how long a call takes."""

    values: dict[str, Callable[[datetime], float | None]] = field(default_factory=dict)
    failure: SignalError | None = None
    takes_s: float = 0.01
    calls: int = 0

    async def query_range(self, query: str, *, start_at: datetime, end_at: datetime, step_s: int) -> tuple[Point, ...]:
        self.calls += 1
        await asyncio.sleep(self.takes_s)
        if self.failure is not None:
            raise self.failure
        if query not in self.values:
            raise SignalError("BadQuery", f"no such query: {query}")
        count = int((end_at - start_at).total_seconds()) // step_s
        moments = [start_at + timedelta(seconds=step_s * n) for n in range(count + 1)]
        found = ((at, self.values[query](at)) for at in moments)
        return tuple(Point(at, value) for at, value in found if value is not None)
