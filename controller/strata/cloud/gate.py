"""Lets calls through to one region: no more at once than there are connections, no faster than EC2's buckets allow.

A call gets its tokens and its connection in the same moment. Were tokens taken first, calls that then queue for a
connection would go out together later, faster than the bucket that was asked. Order: by rank, then by arrival;
within an action strictly by arrival, so that a large launch is not starved by small ones. Some connections are kept
for mutating calls: reads that hang until their time-out hold no launch up. All times are the event loop's.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from strata.cloud.buckets import LIMITS, Limits, TokenBucket

CONNECTIONS: Final = 12  # beyond 16 threads the interpreter's lock eats what they gain
_KEPT_FOR_MUTATIONS: Final = 4
_SHORTEST_WAIT_S: Final = 0.001  # a timer that rounds down must not make a busy loop


@dataclass(slots=True)
class _Waiter:
    arrival: int
    resources: int
    admitted: asyncio.Future[None]


@dataclass(slots=True)
class _Lane:
    """The calls of one action, in order of arrival."""

    limits: Limits
    requests: TokenBucket
    resources: TokenBucket | None
    waiting: deque[_Waiter] = field(default_factory=deque)

    def wait_s(self, waiter: _Waiter, now_s: float) -> float:
        of_requests_s = self.requests.wait_s(1, now_s)
        return max(of_requests_s, self.resources.wait_s(waiter.resources, now_s)) if self.resources else of_requests_s

    def take(self, waiter: _Waiter, now_s: float) -> None:
        self.requests.take(1, now_s)
        if self.resources:
            self.resources.take(waiter.resources, now_s)

    def settle(self, resources: int, now_s: float) -> None:
        self.requests.settle(1, now_s)
        if self.resources:
            self.resources.settle(resources, now_s)


class Gate:
    """The gate of one region and account. Belongs to one event loop."""

    def __init__(self, on_wait: Callable[[str], None], *, rate: float = 1.0) -> None:
        """`on_wait` is told the lane of each call that has to wait for tokens. `rate` times the published limits is
        what the account has."""
        self._on_wait = on_wait
        self._rate = rate
        self._free = CONNECTIONS
        self._lanes: dict[str, _Lane] = {}
        self._arrivals = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    async def admit(self, lane: str, resources: int) -> None:
        """Wait until a call of this lane, touching so many machines, may go. Then `release` must be called once.

        A caller that is cancelled here has sent nothing, and owes no release."""
        loop = asyncio.get_running_loop()
        waiter = _Waiter(next(self._arrivals), resources, loop.create_future())
        self._lane(lane, loop.time()).waiting.append(waiter)
        self._let_through()
        if not waiter.admitted.done() and self._free:
            self._on_wait(lane)
        try:
            await waiter.admitted
        except asyncio.CancelledError:
            if waiter.admitted.done() and not waiter.admitted.cancelled():
                self.release(lane, resources)
            else:
                self._let_through()  # the next in the lane may want fewer tokens
            raise

    def release(self, lane: str, resources: int) -> None:
        """A call that was admitted, with just these words, has ended: its connection is free."""
        now_s = asyncio.get_running_loop().time()
        self._lane(lane, now_s).settle(resources, now_s)
        self._free += 1
        self._let_through()

    def throttled(self, lane: str) -> None:
        """EC2 throttled a call of this lane that our buckets had let through."""
        now_s = asyncio.get_running_loop().time()
        buckets = self._lane(lane, now_s)
        buckets.requests.empty(now_s)
        if buckets.resources:
            buckets.resources.halve(now_s)

    def _lane(self, name: str, now_s: float) -> _Lane:
        if name not in self._lanes:
            limits = LIMITS[name]
            resources = TokenBucket(limits.resources.times(self._rate), now_s) if limits.resources else None
            requests = TokenBucket(limits.requests.times(self._rate), now_s)
            self._lanes[name] = _Lane(limits, requests, resources)
        return self._lanes[name]

    def _let_through(self) -> None:
        """Admit all that may go now, in order, and come back when the next may."""
        loop = asyncio.get_running_loop()
        now_s, waits_s = loop.time(), []
        for lane in self._in_order():
            if (wait_s := lane.wait_s(lane.waiting[0], now_s)) > 0:
                waits_s.append(wait_s)
                continue
            waiter = lane.waiting.popleft()
            lane.take(waiter, now_s)
            self._free -= 1
            waiter.admitted.set_result(None)
        if self._timer:
            self._timer.cancel()
        soonest_s = max(_SHORTEST_WAIT_S, min(waits_s, default=0.0))
        self._timer = loop.call_later(soonest_s, self._let_through) if waits_s else None

    def _in_order(self) -> Iterator[_Lane]:
        """Lanes whose first call may have a connection, best first; a lane comes again after its first call went."""
        held_up: set[int] = set()
        while True:
            lanes = [lane for lane in self._lanes.values() if id(lane) not in held_up and self._has_room(lane)]
            if not lanes:
                return
            best = min(lanes, key=lambda lane: (lane.limits.rank, lane.waiting[0].arrival))
            first = best.waiting[0]
            yield best
            if best.waiting and best.waiting[0] is first:
                held_up.add(id(best))

    def _has_room(self, lane: _Lane) -> bool:
        while lane.waiting and lane.waiting[0].admitted.done():  # cancelled while it waited
            lane.waiting.popleft()
        return bool(lane.waiting) and self._free > (0 if lane.limits.mutating else _KEPT_FOR_MUTATIONS)
