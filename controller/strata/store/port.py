"""The port to the store: what etcd and its in-memory twin both promise.

Callers are the repository, the engine (informer, leadership) and the API server's watch hub. Revisions are
etcd's: one counter for the whole store. Keys are text, values bytes.

Who retries: reads retry inside the adapter until their budget (about 5 s) is spent, then raise
StoreUnavailable. Writes are sent again only when the first attempt surely did not arrive; any doubt is
`Ambiguous`, which the caller resolves by reading.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class KeyValue:
    """One key as the store has it. `lease_id` 0: no lease."""

    key: str
    value: bytes
    create_revision: int
    mod_revision: int
    lease_id: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a listing, read at `revision`. `next_key` is where the next page starts; None: this was the last."""

    items: tuple[KeyValue, ...]
    revision: int
    next_key: str | None
    remaining_count: int = 0


@dataclass(frozen=True, slots=True)
class Listing:
    """A complete listing at one revision, in key order."""

    items: tuple[KeyValue, ...]
    revision: int


@dataclass(frozen=True, slots=True)
class ModRevisionIs:
    """Holds when the key's mod_revision is `mod_revision`; 0 means that the key must not exist."""

    key: str
    mod_revision: int


@dataclass(frozen=True, slots=True)
class CreateRevisionIs:
    """Holds when the key's create_revision is `create_revision`; 0 means that the key must not exist."""

    key: str
    create_revision: int


Compare = ModRevisionIs | CreateRevisionIs


@dataclass(frozen=True, slots=True)
class Put:
    key: str
    value: bytes
    lease_id: int = 0


@dataclass(frozen=True, slots=True)
class Delete:
    key: str


Operation = Put | Delete

MAX_OPERATIONS = 128  # etcd's --max-txn-ops default: for compares and for operations, each


@dataclass(frozen=True, slots=True)
class TxnResult:
    """`revision` is the store's after the transaction. `current` has, if it failed, the compared keys as they
    are now, in the order of the compares (None: does not exist): one round trip for a 409."""

    succeeded: bool
    revision: int
    current: tuple[KeyValue | None, ...] = ()


@dataclass(frozen=True, slots=True)
class KeyEvent:
    """A change of one key. A delete has `kv` None; `mod_revision` is then the delete's. `previous` is the value
    before, when the watch asked for it and the store still had it."""

    key: str
    kv: KeyValue | None
    mod_revision: int
    previous: KeyValue | None = None


@dataclass(frozen=True, slots=True)
class WatchBatch:
    """Whole revisions, in order. Empty `events` is a sign of life: all up to `revision` was delivered."""

    events: tuple[KeyEvent, ...]
    revision: int


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """`store_id` is etcd's cluster id: a restored backup has another one.

    `version` is empty and `db_size_bytes` 0 where the store's user may not know them.
    """

    store_id: str
    version: str
    revision: int
    db_size_bytes: int
    alarms: tuple[str, ...] = ()


class Lease(Protocol):
    """A lease that is kept alive by its own task until it is lost or revoked."""

    @property
    def lease_id(self) -> int: ...

    @property
    def ttl_s(self) -> float: ...

    def safe_until_s(self) -> float:
        """Monotonic time until which the store cannot have expired this lease: last renewal *sent* + TTL."""
        ...

    async def lost(self) -> None:
        """Return when the lease is lost for whatever reason: expired, revoked, or its keeper failed."""
        ...

    async def revoke(self) -> None:
        """Give it back; keys attached to it vanish. Never raises for a lease that is gone."""
        ...


class Store(Protocol):
    """A key-value store with revisions, transactions, watches and leases."""

    async def get(self, key: str) -> KeyValue | None:
        """Read one key, linearisably."""
        ...

    async def page(self, prefix: str, *, limit: int, start_key: str | None = None, revision: int = 0) -> Page:
        """Read one page under `prefix`, from `start_key` on, at `revision` (0: now). Raises Compacted."""
        ...

    async def list(self, prefix: str) -> Listing:
        """Read everything under `prefix` at one revision, in pages. Complete, or raises."""
        ...

    async def txn(self, compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult:
        """Do all operations if all compares hold, else none. Raises Ambiguous, StoreUnavailable, NoSpace;
        ValueError for more than MAX_OPERATIONS of either."""
        ...

    def watch(
        self, prefix: str, *, start_revision: int, with_previous: bool = False
    ) -> AbstractAsyncContextManager[AsyncIterator[WatchBatch]]:
        """Deliver every change under `prefix` from `start_revision` on, once, in order.

        Reconnects by itself and resumes after the last event seen; delivers an empty batch at least every
        `progress_interval_s` while the store answers. Reads only when the consumer asks: a slow consumer
        slows its own stream. Raises Compacted or Regressed when a resume is impossible (the caller lists
        again), StoreUnavailable when nothing was heard for the adapter's silence limit.
        """
        ...

    async def grant(self, ttl_s: float) -> Lease:
        """Make a lease that renews itself every third of its TTL."""
        ...

    async def put_expiring(self, key: str, value: bytes, ttl_s: int) -> None:
        """Write a key that vanishes by itself after at least `ttl_s`, whoever lives. Leases may be shared."""
        ...

    async def status(self) -> StoreStatus:
        """Ask one member how it is. Raises StoreUnavailable."""
        ...

    async def close(self) -> None:
        """End all streams and channels. Idempotent."""
        ...
