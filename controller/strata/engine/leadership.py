"""Who may act: an election over one key of the store, and the proof of having won it.

The leader's key hangs on a lease. Three things end a leadership, whichever comes first: the lease is lost, the
time until which the store cannot have expired it is over, or the key is gone or somebody else's. They cancel the
scope of the leader; its writes are refused from then on by `fence`, its cloud calls by `require`.

The lease is given back only after the scope has ended, so that nobody starts to act while we still do.
"""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from strata.clock import Clock
from strata.engine.cancellation import being_cancelled
from strata.errors import Ambiguous, NotLeader, StoreError, StrataError
from strata.metrics import DaemonMetrics
from strata.store.port import CreateRevisionIs, KeyValue, Lease, Put, Store

_PAUSE_S = 1.0  # between a leadership, or a failed attempt, and the next campaign
_REVOKE_TIMEOUT_S = 5.0
_SLOW_END_S = 30.0
_SHORTEST_SLEEP_S = 0.01

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Leader:
    """Who leads, as the key says. Empty text and None: the key does not say."""

    identity: str = ""
    address: str = ""
    since: datetime | None = None


class Leadership:
    """The right to act, while it lasts. Every transaction of a reconciler compares `fence`."""

    def __init__(self, identity: str, fence: CreateRevisionIs, lease: Lease, clock: Clock) -> None:
        self.identity = identity
        self.fence = fence
        self._lease = lease
        self._clock = clock
        self._ended = False

    @property
    def lost(self) -> bool:
        return self.remaining_s() <= 0

    def remaining_s(self) -> float:
        """Seconds for which nobody else can lead; 0 once lost. Judged by the clock at each call, so that a
        process that was frozen sees it at once, before any task of ours had a turn."""
        if self._ended:
            return 0.0
        return max(0.0, self._lease.safe_until_s() - self._clock.monotonic_s())

    def require(self, margin_s: float = 0.0) -> None:
        """Raise NotLeader when the leadership is lost or less than `margin_s` of it remains."""
        remaining_s = self.remaining_s()
        if remaining_s <= 0:
            raise NotLeader("the leadership is lost")
        if remaining_s < margin_s:
            raise NotLeader(f"{remaining_s:.1f} s of the lease remain, {margin_s:g} s are needed")

    def end(self) -> None:
        """Lose it for good, now. Idempotent."""
        self._ended = True


Lead = Callable[[Leadership], Awaitable[None]]


class Election:
    """Campaigns for `key`. `identity` must be new in each process: a restart is another candidate."""

    def __init__(
        self,
        store: Store,
        key: str,
        identity: str,
        *,
        address: str,
        ttl_s: float,
        clock: Clock,
        rng: random.Random,
        metrics: DaemonMetrics,
    ) -> None:
        self.identity = identity
        self.leadership: Leadership | None = None  # while we lead
        self.known_leader: Leader | None = None  # as last seen; for redirects, never for decisions
        self._store = store
        self._key = key
        self._address = address
        self._ttl_s = ttl_s
        self._clock = clock
        self._rng = rng
        self._metrics = metrics

    async def run(self, lead: Lead) -> None:
        """Campaign until cancelled; run `lead` whenever we lead. It is cancelled when the leadership is lost; if
        it returns or raises, the leadership is given up and we campaign again, after the others had a chance."""
        while True:
            try:
                await self._wait_vacant()
                await self._campaign(lead)
            except StoreError as error:
                _log.warning("campaign failed", reason=type(error).__name__, error=str(error))
            await asyncio.sleep(_PAUSE_S * self._rng.uniform(0.5, 1.5))

    async def _wait_vacant(self) -> None:
        while True:
            holder, revision = await self._look()
            if holder is None:
                return
            await self._wait_change(revision)

    async def _campaign(self, lead: Lead) -> None:
        lease = await self._store.grant(self._ttl_s)
        try:
            leadership = await self._claim(lease)
            if leadership is not None:
                await self._lead(leadership, lease, lead)
        finally:
            await _give_back(lease)

    async def _claim(self, lease: Lease) -> Leadership | None:
        vacant = CreateRevisionIs(self._key, 0)
        try:
            async with asyncio.timeout(self._ttl_s):
                result = await self._store.txn([vacant], [Put(self._key, self._value(), lease.lease_id)])
        except (Ambiguous, TimeoutError):
            # The key is ours if it hangs on our lease, which nobody else has.
            holder = await self._store.get(self._key)
            ours = holder is not None and holder.lease_id == lease.lease_id
            return self._leadership(holder.create_revision, lease) if holder is not None and ours else None
        # A key that did not exist is created at the transaction's own revision.
        return self._leadership(result.revision, lease) if result.succeeded else None

    def _value(self) -> bytes:
        since = self._clock.now().isoformat()
        return json.dumps({"identity": self.identity, "address": self._address, "since": since}).encode()

    def _leadership(self, create_revision: int, lease: Lease) -> Leadership:
        return Leadership(self.identity, CreateRevisionIs(self._key, create_revision), lease, self._clock)

    async def _lead(self, leadership: Leadership, lease: Lease, lead: Lead) -> None:
        _log.info("leadership gained", identity=self.identity, fence=leadership.fence.create_revision)
        self.leadership = leadership
        self.known_leader = Leader(self.identity, self._address, self._clock.now())
        self._metrics.leader.set(1)
        self._metrics.leader_changes.inc()
        reason = "cancelled"
        try:
            reason = await self._scope(leadership, lease, lead)
        finally:
            self.leadership = self.known_leader = None
            self._metrics.leader.set(0)
            self._metrics.leader_changes.inc()
            _log.info("leadership ended", identity=self.identity, reason=reason)

    async def _scope(self, leadership: Leadership, lease: Lease, lead: Lead) -> str:
        """Run `lead` until the first reason to stop, which is returned; nothing of it runs any more then."""
        async with asyncio.TaskGroup() as group:
            leading = group.create_task(_ending(lead(leadership), "lead returned"), name="lead")
            guards = [
                group.create_task(_ending(lease.lost(), "the lease is lost")),
                group.create_task(_ending(self._expiry(leadership), "the lease ran out")),
                group.create_task(_ending(self._usurped(leadership), "the key is gone or another's")),
            ]
            try:
                done, _ = await asyncio.wait((leading, *guards), return_when=asyncio.FIRST_COMPLETED)
                return " and ".join(sorted(task.result() for task in done))
            finally:
                leadership.end()  # before the cancellation: what the scope does while it unwinds must not act
                for task in (leading, *guards):
                    task.cancel()
                await _complain_until_done(leading)

    async def _expiry(self, leadership: Leadership) -> None:
        """Return when the lease may have expired, even if its keeper hangs and never says so."""
        while (remaining_s := leadership.remaining_s()) > 0:  # noqa: ASYNC110 - each renewal moves it
            await asyncio.sleep(max(remaining_s, _SHORTEST_SLEEP_S))

    async def _usurped(self, leadership: Leadership) -> None:
        """Return when the key is not ours any more: deleted by hand, or the store was restored from a backup."""
        while True:
            try:
                holder, revision = await self._look()
                if holder is None or holder.create_revision != leadership.fence.create_revision:
                    return
                await self._wait_change(revision)
            except StoreError as error:  # the lease says how long we may go on without the store
                _log.warning("cannot see the leader's key", reason=type(error).__name__, error=str(error))
                await asyncio.sleep(_PAUSE_S)

    async def _look(self) -> tuple[KeyValue | None, int]:
        """The key as it is, and a revision at which it was so."""
        listing = await self._store.list(self._key)
        holder = next((kv for kv in listing.items if kv.key == self._key), None)
        self.known_leader = leader_of(holder.value) if holder is not None else None
        return holder, listing.revision

    async def _wait_change(self, revision: int) -> None:
        """Return when the key changed after `revision`, or after half a lease's time: a watch may be deaf."""
        try:
            async with asyncio.timeout(self._ttl_s * self._rng.uniform(0.4, 0.6)) as limit:
                async with self._store.watch(self._key, start_revision=revision + 1) as batches:
                    async for batch in batches:
                        if any(event.key == self._key for event in batch.events):
                            return
                await asyncio.sleep(_PAUSE_S)  # the stream just ended: do not spin
        except TimeoutError:
            if not limit.expired():
                raise


async def current_leader(store: Store, key: str) -> Leader | None:
    """Who leads now, by one read; None: nobody."""
    holder = await store.get(key)
    return leader_of(holder.value) if holder is not None else None


def leader_of(value: bytes) -> Leader:
    """What the key's value says. An unreadable value is a leader all the same, of whom nothing is known."""
    try:
        said = json.loads(value)
        return Leader(str(said["identity"]), str(said["address"]), datetime.fromisoformat(said["since"]))
    except (ValueError, KeyError, TypeError):
        return Leader()


async def _ending(work: Awaitable[None], reason: str) -> str:
    """Wait for `work` and say how it ended. Raises nothing but the cancellation of this very task."""
    try:
        await work
    except asyncio.CancelledError:
        if being_cancelled():
            raise
        return f"{reason}: cancelled from inside"
    except StrataError as error:
        return f"{reason}: {type(error).__name__}: {error}"
    except Exception as error:  # noqa: BLE001 - however the scope ends, the lease must be given back
        _log.error("the leader's scope failed", exc_info=error)
        return f"{reason}: {type(error).__name__}: {error}"
    return reason


async def _complain_until_done(task: asyncio.Task[str]) -> None:
    """Wait for a cancelled scope, however long: two scopes of one process must never overlap."""
    while not task.done():
        await asyncio.wait({task}, timeout=_SLOW_END_S)
        if not task.done():
            _log.error("the leader's scope does not end", task=task.get_name())


async def _give_back(lease: Lease) -> None:
    try:
        async with asyncio.timeout(_REVOKE_TIMEOUT_S):
            await lease.revoke()
    except (StoreError, TimeoutError) as error:
        _log.warning("lease not revoked, it runs out by itself", reason=type(error).__name__)
