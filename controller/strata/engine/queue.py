"""The work queue: which key is next, never what is to be done with it.

It holds keys, not events: a pass reads all it needs, so a hundred changes of one key are one pass. A key is in
at most one of three places:

    waiting      in `_normal` or `_low`; a worker may take it
    processing   a worker has it
    both         processing, and in `_again`: it changed since the worker took it, and waits anew after done()

and, independent of that, may have one timer (`_due`) that adds it later. Not thread-safe: one loop, which is the
one that constructs it.

A key whose pass failed rests until its backoff ends. What is added meanwhile is not lost, the timer brings it; only
news (see add) wakes it earlier. Without that rule the status that a failing pass writes would bring its key back at
once, as often as its text changes.
"""

import asyncio
import enum
import heapq
import math
import random
from collections import OrderedDict, deque
from collections.abc import Hashable
from contextlib import suppress
from typing import Generic, TypeVar

from strata.metrics import DaemonMetrics

K = TypeVar("K", bound=Hashable)

_NORMAL_IN_A_ROW = 7  # one LOW key is served after this many NORMAL ones, so that neither can starve the other
_MAX_DOUBLINGS = 40  # 2 ** 40 is beyond any cap, and no float overflow
_HEAP_SLACK = 64


class Priority(enum.IntEnum):
    """NORMAL: something changed. LOW: a replay after a start, a resync; nothing is known to have changed."""

    NORMAL = 0
    LOW = 1


class QueueClosed(Exception):  # noqa: N818 - a state, not a fault
    """The queue gives out no more keys."""


class WorkQueue(Generic[K]):
    """A deduplicating queue of keys with two priorities, delays and a backoff a key."""

    def __init__(
        self,
        name: str,
        *,
        metrics: DaemonMetrics,
        rng: random.Random,
        backoff_base_s: float = 0.2,
        backoff_cap_s: float = 120.0,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._rng = rng
        self._backoff_base_s = backoff_base_s
        self._backoff_cap_s = backoff_cap_s
        # key -> when it was first added (loop time): the wait counts from there, also over a promotion
        self._normal: OrderedDict[K, float] = OrderedDict()
        self._low: OrderedDict[K, float] = OrderedDict()
        self._normal_in_a_row = 0
        self._processing: set[K] = set()
        self._again: dict[K, tuple[Priority, float, bool]] = {}  # priority, since when, whether it is news
        self._getters: deque[asyncio.Future[None]] = deque()
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._sequence = 0  # keeps the heap from ever comparing keys
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due_s = math.inf
        self._failures: dict[K, int] = {}
        self._rests_until_s: dict[K, float] = {}  # a timer ends each of these rests
        self._closed = False
        self._wait = metrics.queue_wait.labels(name)
        metrics.queue_depth.labels(name).set_function(lambda: self.depth)  # read at a scrape: free for add and get

    @property
    def depth(self) -> int:
        """How many keys wait for a worker; those with a timer do not."""
        return len(self._normal) + len(self._low) + len(self._again)

    @property
    def idle(self) -> bool:
        """Whether no key waits and none is processed; timers may be set."""
        return not (self._processing or self.depth)

    def add(self, key: K, priority: Priority = Priority.NORMAL, *, news: bool = False) -> None:
        """Have `key` processed after now. A key that a worker holds is processed once more after it.

        `news`: something changed that may make a pass succeed that failed before: what people want, or what the
        world outside is like. Anything else waits for the end of the key's backoff."""
        if self._closed:
            return
        if key in self._processing:
            known_priority, added_s, was_news = self._again.get(key, (priority, self._loop.time(), news))
            self._again[key] = (min(priority, known_priority), added_s, news or was_news)
        elif news or not self._rests(key):
            self._enqueue(key, priority, self._loop.time())

    def add_after(self, key: K, delay_s: float) -> None:
        """Add `key` in `delay_s`. Of several delays of one key the one that ends first counts.

        Raises:
            ValueError: the delay is infinite or not a number.
        """
        if not math.isfinite(delay_s):
            raise ValueError(f"a delay must be finite, not {delay_s}")
        if self._closed:
            return
        if delay_s <= 0:
            self.add(key)
            return
        due_s = self._loop.time() + delay_s
        if not self._rests(key) and self._due.get(key, math.inf) > due_s:
            self._set_timer(key, due_s)

    def add_backoff(self, key: K, *, rest: bool = True) -> float:
        """Add `key` after its backoff, which doubles with each call until forget(). Returns the delay chosen.

        `rest`: nothing but news brings the key earlier."""
        failures = self._failures.get(key, 0)
        delay_s = min(self._backoff_cap_s, self._backoff_base_s * 2.0 ** min(failures, _MAX_DOUBLINGS))
        delay_s *= self._rng.uniform(0.5, 1.0)  # keys that failed together do not come back together
        if self._closed:
            return delay_s
        self._failures[key] = failures + 1
        if rest:
            self._rests_until_s[key] = due_s = self._loop.time() + delay_s
            self._set_timer(key, due_s)  # in place of any other: an earlier one would end in the rest
        else:
            self.add_after(key, delay_s)
        return delay_s

    def forget(self, key: K) -> None:
        """Start the key's backoff anew. Does not remove the key."""
        self._failures.pop(key, None)
        self._rests_until_s.pop(key, None)

    async def get(self) -> K:
        """Take the next key; nobody else gets it before done(key).

        Raises:
            QueueClosed: close() was called.
        """
        while not (self._normal or self._low):
            if self._closed:
                raise QueueClosed
            await self._wait_for_key()
        key, added_s = self._pop()
        self._processing.add(key)
        self._wait.observe(self._loop.time() - added_s)
        return key

    def done(self, key: K) -> None:
        """Give back a key taken with get(). Raises KeyError for a key that is not being processed."""
        self._processing.remove(key)
        again = self._again.pop(key, None)
        if again is None:
            return
        priority, added_s, news = again
        if news or not self._rests(key):
            self._enqueue(key, priority, added_s)

    def close(self) -> None:
        """Drop all that waits, and end every get() with QueueClosed. Keys are not events: nothing is lost for good."""
        self._closed = True
        for waiting in (self._normal, self._low, self._again, self._due, self._heap, self._failures):
            waiting.clear()
        self._rests_until_s.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._getters:
            self._wake_one()

    def _rests(self, key: K) -> bool:
        return self._loop.time() < self._rests_until_s.get(key, -math.inf)

    def _enqueue(self, key: K, priority: Priority, added_s: float) -> None:
        if key in self._normal:
            return
        if priority is Priority.NORMAL:
            added_s = self._low.pop(key, added_s)  # promoted, not doubled
            self._normal[key] = added_s
        elif key not in self._low:
            self._low[key] = added_s
        else:
            return
        self._wake_one()

    def _pop(self) -> tuple[K, float]:
        if self._low and (not self._normal or self._normal_in_a_row >= _NORMAL_IN_A_ROW):
            self._normal_in_a_row = 0
            return self._low.popitem(last=False)
        self._normal_in_a_row += 1
        return self._normal.popitem(last=False)

    async def _wait_for_key(self) -> None:
        getter = self._loop.create_future()
        self._getters.append(getter)
        try:
            await getter
        except asyncio.CancelledError:
            if getter.cancelled():
                with suppress(ValueError):  # not there if it was passed over already
                    self._getters.remove(getter)
            elif self._normal or self._low:
                self._wake_one()  # the wake-up was ours and we go: pass it on, else the key would sit
            raise

    def _wake_one(self) -> None:
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result(None)
                return

    def _set_timer(self, key: K, due_s: float) -> None:
        self._due[key] = due_s
        self._sequence += 1
        heapq.heappush(self._heap, (due_s, self._sequence, key))
        self._drop_superseded()
        self._arm()

    def _arm(self) -> None:
        """Have one timer, for the earliest delay."""
        if not self._heap:
            return
        due_s = self._heap[0][0]
        if self._timer is not None:
            if self._timer_due_s <= due_s:
                return
            self._timer.cancel()
        self._timer_due_s = due_s  # kept here: a loop may round its handles
        self._timer = self._loop.call_at(due_s, self._fire)

    def _fire(self) -> None:
        self._timer = None
        now_s = self._loop.time()
        while self._heap and self._heap[0][0] <= now_s:
            due_s, _, key = heapq.heappop(self._heap)
            if self._due.get(key) == due_s:
                del self._due[key]
                self.add(key)
        self._arm()

    def _drop_superseded(self) -> None:
        """Keep the heap bounded by the number of keys, not of calls: an earlier delay leaves the later one behind."""
        if len(self._heap) > 2 * len(self._due) + _HEAP_SLACK:
            self._heap = [item for item in self._heap if self._due.get(item[2]) == item[0]]
            heapq.heapify(self._heap)
