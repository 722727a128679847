"""The watch hub: one store watch a process, feeding every HTTP watch.

It follows everything under the root with one stream, so that one revision orders all kinds and a bookmark is true for
each. When events may have been missed the ring is reset, which sends every watcher back to list again.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from strata.clock import Clock
from strata.errors import Compacted, Regressed, StoreError
from strata.resources.kinds import EVENTS, ROOT, SERVED
from strata.server.failures import too_many, unavailable
from strata.server.ring import Ring, RingEvent
from strata.store.port import Store, WatchBatch

_WATCHERS_LIMIT = 2_000
_RETRY_S = 1.0
_START_WAIT_S = 5.0
_STALE_AFTER_S = 60.0
_NEVER = 2**63
# Launches, leases and the like pass through the same stream and are not kept.
_SERVED_PREFIXES = (*(kind.prefix() for kind in SERVED), EVENTS)

_log = structlog.get_logger(__name__)


class Hub:
    """What watchers read from. `revision`: all events up to it are in the ring, or were."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.revision = 0
        self._store = store
        self._clock = clock
        self._ring = Ring()
        self._news = asyncio.Event()
        self._following = asyncio.Event()
        self._closed = False
        self._watchers = 0
        self._heard_s = clock.monotonic_s()

    @property
    def watcher_count(self) -> int:
        return self._watchers

    @property
    def closed(self) -> bool:
        return self._closed

    async def run(self) -> None:
        """Follow the store until cancelled, whatever happens to it."""
        while True:
            try:
                await self._follow()
            except (Compacted, Regressed) as error:
                _log.warning("the API's watch lost its place: watchers list again", reason=str(error))
                self._lose_place()
            except StoreError as error:
                _log.warning("the API's watch broke; it goes on where it was", reason=repr(error))
            except Exception:  # noqa: BLE001 - one poisoned event must not end every watch for good
                _log.exception("the API's watch failed: watchers list again")
                self._lose_place()
            await asyncio.sleep(_RETRY_S)

    def close(self) -> None:
        """End every watch, now: the process is going."""
        self._closed = True
        self._wake()

    def stale_because(self) -> str:
        """Why watchers may be behind the store; "" if they are not."""
        if not self._following.is_set():
            return "the store's watch has not begun"
        silence_s = self._clock.monotonic_s() - self._heard_s
        return f"the store's watch was silent for {silence_s:.0f} s" if silence_s > _STALE_AFTER_S else ""

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Count a watcher in and out. Raises Refusal 429 when there are too many."""
        if self._watchers >= _WATCHERS_LIMIT:
            raise too_many(f"{_WATCHERS_LIMIT} watches are open already")
        self._watchers += 1
        try:
            yield
        finally:
            self._watchers -= 1

    async def started(self) -> None:
        """Return once the hub follows the store. Raises Refusal 503 if that takes too long."""
        try:
            async with asyncio.timeout(_START_WAIT_S):
                await self._following.wait()
        except TimeoutError:
            raise unavailable("the store is away: nothing can be watched") from None

    def caught_up(self, sequence: int) -> bool:
        """Whether whoever read up to `sequence` has seen all up to `revision`."""
        return self._ring.end == sequence

    def position(self, revision: int) -> int | None:
        """Where a watcher that has seen `revision` begins; None if it is too late for that."""
        return self._ring.position(revision)

    def read(self, sequence: int, limit: int) -> list[RingEvent] | None:
        """Up to `limit` events from `sequence` on; None if the watcher fell behind."""
        return self._ring.read(sequence, limit)

    async def news(self, sequence: int) -> None:
        """Return when there is an event at `sequence`, the ring was reset, or the hub was closed."""
        while self.caught_up(sequence) and not self._closed:
            await self._news.wait()

    async def _follow(self) -> None:
        if not self.revision:
            self._start((await self._store.page(ROOT, limit=1)).revision)
        async with self._store.watch(ROOT, start_revision=self.revision + 1, with_previous=True) as batches:
            async for batch in batches:
                self._take(batch)

    def _start(self, revision: int) -> None:
        self._ring.reset(revision)
        self.revision = revision
        self._heard_s = self._clock.monotonic_s()
        self._following.set()
        self._wake()

    def _lose_place(self) -> None:
        self.revision = 0
        self._following.clear()
        # No revision is recent enough until the place is found again.
        self._ring.reset(_NEVER)
        self._wake()

    def _take(self, batch: WatchBatch) -> None:
        for event in batch.events:
            if event.key.startswith(_SERVED_PREFIXES):
                self._ring.append(event)
        self.revision = max(self.revision, batch.revision)
        self._heard_s = self._clock.monotonic_s()
        if batch.events:
            self._wake()

    def _wake(self) -> None:
        # Those who wait hold the old event; those who come later wait for the new one.
        news, self._news = self._news, asyncio.Event()
        news.set()
