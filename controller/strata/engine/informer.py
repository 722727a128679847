"""A live copy of everything under one prefix of the store, and the news of what changed in it.

Owns the cache and the watch that feeds it. Never writes to the store, never waits for its readers. The cache is
the store at `revision`, whole: all changes of a revision are applied before any callback hears of one.

A watch can go deaf without an error, so none is trusted: a session ends without a sign of life or past its age,
and the whole prefix is listed again after every fault and now and then without one. A listing replaces the
cache, so the deletes that nobody delivered follow from it.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Hashable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import groupby
from math import inf
from typing import Generic, TypeVar

import structlog

from strata.clock import Clock
from strata.engine.cache import Cache, Entry
from strata.errors import Compacted, Regressed, StoreAuthError, StoreError
from strata.metrics import DaemonMetrics
from strata.store.port import KeyEvent, KeyValue, Listing, Store, WatchBatch

T = TypeVar("T")

__all__ = ["Change", "Entry", "Informer", "InformerTiming", "Subscriber", "export_watch_age"]

_BURST = 256  # objects decoded before other work gets a turn
_JITTER = 0.2
_RETRY_BASE_S = 0.2
_RETRY_CAP_S = 5.0

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Change(Generic[T]):
    """A key came (`old` None), changed, or went (`new` None). `replay`: it was there before the hearer listened."""

    key: str
    old: Entry[T] | None
    new: Entry[T] | None
    replay: bool = False


Subscriber = Callable[[Change[T]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class InformerTiming:
    """The bounds of a watch. `silence_s` must be several times the interval of the store's signs of life."""

    silence_s: float = 30.0
    session_s: float = 600.0
    relist_s: float = 900.0
    list_timeout_s: float = 60.0


class _WatchEnded(StoreError):  # noqa: N818 - it never leaves this module
    """The session gave no sign of life in time, or its stream just stopped."""


class Informer(Generic[T]):
    """Mirrors `prefix`. All but run() and wait_synced() is synchronous and never blocks.

    `on_regressed` is called when the store went back in time or is another one, before the cache follows it.
    """

    def __init__(
        self,
        store: Store,
        prefix: str,
        decode: Callable[[KeyValue], T],
        *,
        clock: Clock,
        rng: random.Random,
        timing: InformerTiming | None = None,
        on_regressed: Callable[[Regressed], None] | None = None,
    ) -> None:
        self.prefix = prefix
        self.revision = 0
        self.regressed: Regressed | None = None  # the last time that it happened; never cleared
        self._store = store
        self._decode = decode
        self._clock = clock
        self._rng = rng
        self._timing = timing or InformerTiming()
        self._on_regressed = on_regressed
        self._cache: Cache[T] = Cache()
        self._subscribers: list[Subscriber[T]] = []
        self._synced = asyncio.Event()
        self._store_id = ""
        self._alive_at_s = -inf
        self._relist_at_s = -inf

    @property
    def synced(self) -> bool:
        """Whether the store was listed once. The cache may be old since: see age_s()."""
        return self._synced.is_set()

    async def wait_synced(self) -> None:
        await self._synced.wait()

    def age_s(self) -> float:
        """Seconds since the store last gave a sign of life; infinity before the first listing."""
        return self._clock.monotonic_s() - self._alive_at_s

    def get(self, key: str) -> Entry[T] | None:
        return self._cache.get(key)

    def entries(self, prefix: str = "") -> list[Entry[T]]:
        """All entries whose whole key starts with `prefix`, in key order, poisoned ones included."""
        return self._cache.entries(prefix)

    def poisoned(self) -> list[Entry[T]]:
        """The entries that could not be decoded or indexed, in key order."""
        return self._cache.poisoned()

    def by_index(self, name: str, value: Hashable) -> list[Entry[T]]:
        """All entries that the index files under `value`, in key order. Raises KeyError for an unknown index."""
        return self._cache.by_index(name, value)

    def add_index(self, name: str, values_of: Callable[[Entry[T]], Iterable[Hashable]]) -> None:
        """File every entry under the values that `values_of` gives; it is asked for entries without `obj`, too.

        An entry for which it raises is not filed in this index, and becomes a poisoned one.
        """
        self._cache.add_index(name, values_of)

    def subscribe(self, subscriber: Subscriber[T]) -> Callable[[], None]:
        """Call `subscriber` for all that is there, at once (replay), and then for each change.

        What it raises is logged and concerns nobody else. Returns the function that ends the subscription.
        """
        self._tell([subscriber], [_replayed(entry) for entry in self.entries()])
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)

    @asynccontextmanager
    async def subscribed(self, subscriber: Subscriber[T]) -> AsyncIterator[None]:
        """As subscribe(), but the replay leaves turns to others: for a subscriber that does much, of many objects.

        Changes are told from the first moment on, so the replay of a key may come after a change of it; it then has
        the entry as it is by then."""
        keys = [entry.key for entry in self.entries()]
        self._subscribers.append(subscriber)
        try:
            for count, key in enumerate(keys, start=1):
                entry = self.get(key)
                if entry is not None:
                    self._tell([subscriber], [_replayed(entry)])
                if count % _BURST == 0:
                    await asyncio.sleep(0)
            yield
        finally:
            self._subscribers.remove(subscriber)

    async def run(self) -> None:
        """Follow the store until cancelled; faults of the store are logged and retried for ever."""
        failures = 0
        self._relist_at_s = -inf  # whatever ended an earlier run, nothing that it missed stays missed
        while True:
            revision_before = self.revision
            try:
                await self._session()
                failures = 0
                continue
            except Regressed as error:
                self._report_regressed(error)
            except Compacted as error:
                _log.info("watch fell behind, listing again", prefix=self.prefix, error=str(error))
            except StoreError as error:
                _log.warning("watch failed", prefix=self.prefix, reason=type(error).__name__, error=str(error))
            self._relist_at_s = -inf
            failures = 1 if self.revision > revision_before else failures + 1
            await asyncio.sleep(self._retry_s(failures))

    async def _session(self) -> None:
        """List if that is due, then watch for at most a session's age. Raises StoreError for any fault."""
        await self._check_store()
        if self._clock.monotonic_s() >= self._relist_at_s:
            await self._relist()
        until_s = min(self._clock.monotonic_s() + self._jittered(self._timing.session_s), self._relist_at_s)
        async with AsyncExitStack() as stack:
            batches = await self._open(stack)
            while (batch := await self._next(batches, until_s)) is not None:
                self._apply(batch)

    async def _check_store(self) -> None:
        """Raise Regressed if it is another store than before, which revisions do not tell once it has more of them."""
        try:
            status = await self._store.status()
        except StoreAuthError:
            return  # some users may read keys and not ask for the status: revisions alone must do then
        known, self._store_id = self._store_id, status.store_id
        if known not in ("", status.store_id):
            raise Regressed(self.revision, status.revision)

    async def _open(self, stack: AsyncExitStack) -> AsyncIterator[WatchBatch]:
        watch = self._store.watch(self.prefix, start_revision=self.revision + 1)
        try:
            async with asyncio.timeout(self._timing.silence_s):
                return await stack.enter_async_context(watch)
        except TimeoutError:
            raise _WatchEnded(f"not open after {self._timing.silence_s:g} s") from None

    async def _next(self, batches: AsyncIterator[WatchBatch], until_s: float) -> WatchBatch | None:
        """The next batch, or None when the session is over. Raises _WatchEnded after too long a silence."""
        left_s = until_s - self._clock.monotonic_s()
        if left_s <= 0:
            return None
        try:
            async with asyncio.timeout(min(left_s, self._timing.silence_s)) as limit:
                return await anext(batches)
        except StopAsyncIteration:
            raise _WatchEnded("the stream ended") from None
        except TimeoutError:
            if not limit.expired():
                raise
            if left_s <= self._timing.silence_s:
                return None
            raise _WatchEnded(f"no sign of life for {self._timing.silence_s:g} s") from None

    async def _relist(self) -> None:
        try:
            async with asyncio.timeout(self._timing.list_timeout_s):
                listing = await self._store.list(self.prefix)
        except TimeoutError:
            raise _WatchEnded(f"a listing took more than {self._timing.list_timeout_s:g} s") from None
        self._relist_at_s = self._clock.monotonic_s() + self._jittered(self._timing.relist_s)
        if listing.revision < self.revision:
            self._report_regressed(Regressed(self.revision, listing.revision))
        self._replace(await self._entries_of(listing), listing.revision)

    async def _entries_of(self, listing: Listing) -> dict[str, Entry[T]]:
        entries: dict[str, Entry[T]] = {}
        for count, kv in enumerate(listing.items, start=1):
            known = self._cache.get(kv.key)
            # The revision alone does not do: a store that went back may have given it to another value.
            same = known is not None and known.mod_revision == kv.mod_revision and known.value == kv.value
            entries[kv.key] = known if known is not None and same else self._entry(kv)
            if count % _BURST == 0:
                await asyncio.sleep(0)
        return entries

    def _replace(self, entries: dict[str, Entry[T]], revision: int) -> None:
        """Make the cache equal to a listing. Without an await: the cache is never seen half replaced, and no
        cancellation comes between a change and the news of it."""
        replay = not self.synced
        changes = [self._remove(key) for key in sorted(self._cache.keys() - entries.keys())]
        changes += [self._put(e, replay=replay) for e in entries.values() if self._cache.get(e.key) is not e]
        self.revision = revision
        self._alive_at_s = self._clock.monotonic_s()
        self._synced.set()
        self._tell(self._subscribers, changes)

    def _apply(self, batch: WatchBatch) -> None:
        self._alive_at_s = self._clock.monotonic_s()
        for revision, events in groupby(batch.events, key=lambda event: event.mod_revision):
            if revision <= self.revision:
                continue  # the listing had it already
            changes = [change for event in events if (change := self._follow(event)) is not None]
            self.revision = revision
            self._tell(self._subscribers, changes)
        self.revision = max(self.revision, batch.revision)

    def _follow(self, event: KeyEvent) -> Change[T] | None:
        if event.kv is not None:
            return self._put(self._entry(event.kv), replay=False)
        return self._remove(event.key) if self._cache.get(event.key) is not None else None

    def _put(self, entry: Entry[T], *, replay: bool) -> Change[T]:
        old = self._cache.get(entry.key)
        new = self._cache.put(entry)
        if new.error is not None:
            _log.error("object is poisoned", key=new.key, mod_revision=new.mod_revision, error=new.error)
        return Change(entry.key, old, new, replay)

    def _remove(self, key: str) -> Change[T]:
        old = self._cache.get(key)
        self._cache.remove(key)
        return Change(key, old, None)

    def _entry(self, kv: KeyValue) -> Entry[T]:
        try:
            return Entry(kv.key, kv.value, self._decode(kv), kv.mod_revision)
        except Exception as error:  # noqa: BLE001 - one poisoned object must not stop the others
            return Entry(kv.key, kv.value, None, kv.mod_revision, f"{type(error).__name__}: {error}")

    def _tell(self, subscribers: list[Subscriber[T]], changes: list[Change[T]]) -> None:
        for change in changes:
            for subscriber in tuple(subscribers):  # one may end its subscription while it is told
                try:
                    subscriber(change)
                except Exception as error:  # noqa: BLE001 - one subscriber must not stop the others
                    _log.error("subscriber failed", key=change.key, exc_info=error)

    def _report_regressed(self, error: Regressed) -> None:
        _log.error("the store went back in time", prefix=self.prefix, wanted=error.wanted, found=error.found)
        self.regressed = error
        if self._on_regressed is not None:
            self._on_regressed(error)

    def _retry_s(self, failures: int) -> float:
        return min(_RETRY_CAP_S, _RETRY_BASE_S * 2.0 ** min(failures - 1, 10)) * self._rng.uniform(0.5, 1.0)

    def _jittered(self, interval_s: float) -> float:
        return interval_s * self._rng.uniform(1 - _JITTER, 1 + _JITTER)


def _replayed(entry: Entry[T]) -> Change[T]:
    return Change(entry.key, None, entry, replay=True)


def export_watch_age(metrics: DaemonMetrics, informers: Iterable[Informer[T]]) -> None:
    """Have the watch_age metric show the oldest of these informers."""
    watched = tuple(informers)
    metrics.watch_age.set_function(lambda: max((informer.age_s() for informer in watched), default=0.0))
