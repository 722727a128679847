"""The in-memory twin of EtcdStore: the port's semantics without a process, for tests and simulations.

Owns no data: that is MemoryServer's, so that two daemons (two stores) can share one. Starts no task; every operation
lets other tasks run before and after it takes effect, as a real call does.
"""

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

from strata.clock import Clock
from strata.errors import Compacted, LeaseNotFound, Regressed, StoreUnavailable
from strata.store.expiring import ExpiringLeases
from strata.store.limits import check_txn
from strata.store.memory_server import MemoryServer
from strata.store.port import (
    Compare,
    KeyEvent,
    KeyValue,
    Lease,
    Listing,
    Operation,
    Page,
    Put,
    StoreStatus,
    TxnResult,
    WatchBatch,
)

BUDGET_S = 6.0  # as EtcdSettings.budget_s
SILENCE_LIMIT_S = 20.0
PROGRESS_INTERVAL_S = 5.0
_BATCH_REVISIONS = 1000  # etcd's own


class MemoryStore:
    """Implements `strata.store.port.Store`. Without a server it has one of its own."""

    def __init__(self, clock: Clock, server: MemoryServer | None = None) -> None:
        self.server = server or MemoryServer()
        self._clock = clock
        self._is_closed = False
        self._leases: list[MemoryLease] = []
        self._expiring = ExpiringLeases(self._grant_expiring, clock)

    @property
    def clock(self) -> Clock:
        return self._clock

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    def is_reachable(self) -> bool:
        """Whether a call of this store would reach the server now."""
        return self.server.is_up and not self._is_closed

    async def get(self, key: str) -> KeyValue | None:
        await self._reach()
        return self.server.get(key)

    async def page(self, prefix: str, *, limit: int, start_key: str | None = None, revision: int = 0) -> Page:
        await self._reach()
        return self.server.page(prefix, limit, start_key or "", revision)

    async def list(self, prefix: str) -> Listing:
        await self._reach()
        return Listing(self.server.items(prefix), self.server.revision)

    async def txn(self, compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult:
        check_txn(compares, operations)
        await self._reach()
        result = self.server.txn(compares, operations)
        await asyncio.sleep(0)  # who is cancelled here has written and does not know it
        return result

    @asynccontextmanager
    async def watch(
        self, prefix: str, *, start_revision: int, with_previous: bool = False
    ) -> AsyncIterator[AsyncIterator[WatchBatch]]:
        if start_revision < 1:
            raise ValueError("a watch starts at a revision: list first")
        watch = _Watch(self, prefix, start_revision, with_previous=with_previous)
        async with aclosing(watch.batches()) as batches:
            yield batches

    async def grant(self, ttl_s: float) -> Lease:
        await self._reach()
        lease = MemoryLease(self, *self.server.grant(ttl_s))
        self._leases = [old for old in self._leases if not old.is_lost] + [lease]
        await asyncio.sleep(0)
        return lease

    async def put_expiring(self, key: str, value: bytes, ttl_s: int) -> None:
        lease_id = await self._expiring.lease_for(ttl_s)
        try:
            await self.txn([], [Put(key, value, lease_id)])
        except LeaseNotFound:  # the store is another one
            self._expiring.forget(lease_id)
            await self.txn([], [Put(key, value, await self._expiring.lease_for(ttl_s))])

    async def status(self) -> StoreStatus:
        await self._reach()
        return self.server.status()

    async def close(self) -> None:
        self._is_closed = True
        for lease in self._leases:
            lease.abandon()
        self.server.wake()

    async def revoke(self, lease_id: int) -> None:
        """End a lease, for MemoryLease."""
        await self._reach()
        self.server.revoke(lease_id)

    async def _grant_expiring(self, ttl_s: int) -> int:
        await self._reach()
        return self.server.grant(ttl_s)[0]

    async def _reach(self) -> None:
        """Return when the server can be asked. Raises StoreUnavailable when the budget is spent."""
        await asyncio.sleep(0)
        if self.is_reachable():
            return
        try:
            async with asyncio.timeout(BUDGET_S):
                while not self.is_reachable():
                    if self._is_closed:
                        raise StoreUnavailable("the store is closed")
                    await self.server.changed().wait()
        except TimeoutError:
            raise StoreUnavailable(f"no answer in {BUDGET_S:.0f} s") from None


class MemoryLease:
    """A lease renewed by a timer, every third of its TTL."""

    def __init__(self, store: MemoryStore, lease_id: int, ttl_s: int) -> None:
        self._store = store
        self._id = lease_id
        self._ttl_s = ttl_s
        self._safe_until_s = store.clock.monotonic_s() + ttl_s
        self._lost = asyncio.Event()
        self._timer = asyncio.get_running_loop().call_later(ttl_s / 3, self._renew)

    @property
    def lease_id(self) -> int:
        return self._id

    @property
    def ttl_s(self) -> float:
        return self._ttl_s

    @property
    def is_lost(self) -> bool:
        return self._lost.is_set()

    def safe_until_s(self) -> float:
        return self._safe_until_s

    async def lost(self) -> None:
        await self._lost.wait()

    def abandon(self) -> None:
        """Stop renewing without giving it back."""
        self._timer.cancel()
        self._safe_until_s = -math.inf
        self._lost.set()

    async def revoke(self) -> None:
        self.abandon()
        await self._store.revoke(self._id)

    def _renew(self) -> None:
        now_s = self._store.clock.monotonic_s()
        left_s = self._safe_until_s - now_s
        if left_s <= 0:
            self.abandon()
            return
        wait_s = min(left_s, self._ttl_s / 12)  # cut off: try again soon, and know the end when it comes
        if self._store.is_reachable():
            if not self._store.server.keep_alive(self._id):
                self.abandon()
                return
            self._safe_until_s = now_s + self._ttl_s
            wait_s = self._ttl_s / 3
        self._timer = asyncio.get_running_loop().call_later(wait_s, self._renew)


class _Watch:
    """One prefix, from one revision on. Reads the server's history when asked; holds nothing."""

    def __init__(self, store: MemoryStore, prefix: str, start_revision: int, *, with_previous: bool) -> None:
        self._store = store
        self._server = store.server
        self._prefix = prefix
        self._next_revision = start_revision
        self._with_previous = with_previous
        self._incarnation = store.server.incarnation
        self._heard_at_s = store.clock.monotonic_s()

    async def batches(self) -> AsyncGenerator[WatchBatch]:
        """Yield for ever. Raises Compacted, Regressed, StoreUnavailable."""
        self._hear()
        while True:
            changed = self._server.changed()
            if self._store.is_closed:
                raise StoreUnavailable("the store is closed")
            if not self._store.is_reachable():
                if not await self._wait(changed, SILENCE_LIMIT_S):
                    raise StoreUnavailable(f"nothing heard for {SILENCE_LIMIT_S:.0f} s")
                continue
            self._check()
            batch = self._read()
            if batch is None:
                if await self._wait(changed, PROGRESS_INTERVAL_S):
                    continue
                batch = WatchBatch((), self._next_revision - 1)
            await asyncio.sleep(0)
            yield batch
            self._hear()

    def _check(self) -> None:
        if self._incarnation != self._server.incarnation or self._next_revision > self._server.revision + 1:
            raise Regressed(self._next_revision, self._server.revision)
        if self._next_revision < self._server.compacted_revision:
            raise Compacted(self._server.compacted_revision)

    def _read(self) -> WatchBatch | None:
        """The next revisions that concern the prefix, whole; None: there are none yet."""
        while self._next_revision <= self._server.revision:
            last = min(self._server.revision, self._next_revision + _BATCH_REVISIONS - 1)
            events = tuple(self._server.events(self._prefix, self._next_revision, last))
            self._next_revision = last + 1
            if events:
                return WatchBatch(events if self._with_previous else tuple(map(_without_previous, events)), last)
        return None

    async def _wait(self, changed: asyncio.Event, limit_s: float) -> bool:
        """Return True at the next change, False when nothing was heard for `limit_s`."""
        try:
            async with asyncio.timeout(max(0.0, limit_s - self._silent_s())):
                await changed.wait()
        except TimeoutError:
            return False
        return True

    def _hear(self) -> None:
        self._heard_at_s = self._store.clock.monotonic_s()

    def _silent_s(self) -> float:
        return self._store.clock.monotonic_s() - self._heard_at_s


def _without_previous(event: KeyEvent) -> KeyEvent:
    return KeyEvent(event.key, event.kv, event.mod_revision)
