"""The data behind MemoryStore: what the etcd process is to EtcdStore. Several stores (daemons) may share one.

Deterministic: no task, no randomness; leases expire on the running loop's time. Its operations are those that befall a
real server: stop, start, compact, wipe, restore.
"""

import asyncio
import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from strata.errors import Compacted, LeaseNotFound, Regressed
from strata.store.port import (
    Compare,
    Delete,
    KeyEvent,
    KeyValue,
    ModRevisionIs,
    Operation,
    Page,
    Put,
    StoreStatus,
    TxnResult,
)

_FIRST_REVISION = 1  # an empty etcd is at 1; its first write makes 2


@dataclass(slots=True)
class _Lease:
    ttl_s: int
    expires_at_s: float
    keys: set[str] = field(default_factory=set)


class MemoryServer:
    """One counter of revisions, the live keys in order, and every revision since the last compaction."""

    def __init__(self) -> None:
        self._incarnation = 0
        self._is_up = True
        self._changed = asyncio.Event()
        self._ttls: dict[int, int] = {}  # of every lease ever granted: a restored backup brings leases back
        self._leases: dict[int, _Lease] = {}
        self._live: dict[str, KeyValue] = {}
        self._keys: list[str] = []
        self._base = _FIRST_REVISION  # the revision of _history[0]
        self._history: list[tuple[KeyEvent, ...]] = [()]
        self._compacted = 0

    @property
    def revision(self) -> int:
        return self._base + len(self._history) - 1

    @property
    def compacted_revision(self) -> int:
        return self._compacted

    @property
    def incarnation(self) -> int:
        """Grows when the store becomes another one; a stream does not survive that."""
        return self._incarnation

    @property
    def is_up(self) -> bool:
        return self._is_up

    def changed(self) -> asyncio.Event:
        """Set at the next change of anything. Take it before looking, and nothing is missed."""
        return self._changed

    def wake(self) -> None:
        """Let everyone who waits look again."""
        self._changed.set()
        self._changed = asyncio.Event()

    # What a client asks

    def get(self, key: str) -> KeyValue | None:
        return self._live.get(key)

    def items(self, prefix: str) -> tuple[KeyValue, ...]:
        live = self._live
        return tuple(live[key] for key in _under(self._keys, prefix, ""))

    def page(self, prefix: str, limit: int, start_key: str, revision: int) -> Page:
        """Raises Compacted, or Regressed for a revision that is still to come."""
        at = revision or self.revision
        if at < self._compacted:
            raise Compacted(self._compacted)
        if at > self.revision:
            raise Regressed(at, self.revision)
        live = self._live if at == self.revision else self._live_at(at)
        keys = _under(self._keys if live is self._live else sorted(live), prefix, start_key)
        shown = keys[:limit] if limit else keys
        remaining_count = len(keys) - len(shown)
        next_key = shown[-1] + "\0" if remaining_count else None
        return Page(tuple(live[key] for key in shown), at, next_key, remaining_count)

    def txn(self, compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult:
        """Raises LeaseNotFound: nothing is written then."""
        if not all(self._holds(compare) for compare in compares):
            current = tuple(self._live.get(compare.key) for compare in compares)
            return TxnResult(succeeded=False, revision=self.revision, current=current)
        for operation in operations:
            if isinstance(operation, Put) and operation.lease_id and operation.lease_id not in self._leases:
                raise LeaseNotFound(f"lease {operation.lease_id}")
        self._apply(operations)
        return TxnResult(succeeded=True, revision=self.revision)

    def events(self, prefix: str, first_revision: int, last_revision: int) -> Iterator[KeyEvent]:
        """Yield the changes under `prefix` from one revision to another, both included, with their previous values."""
        for index in range(first_revision - self._base, last_revision - self._base + 1):
            for event in self._history[index]:
                if event.key.startswith(prefix):
                    yield event

    def grant(self, ttl_s: float) -> tuple[int, int]:
        """Make a lease; return its id and its TTL, in whole seconds as etcd counts."""
        lease_id, whole_s = len(self._ttls) + 1, math.ceil(ttl_s)
        self._ttls[lease_id] = whole_s
        self._begin(lease_id)
        return lease_id, whole_s

    def keep_alive(self, lease_id: int) -> bool:
        """Renew; False: there is no such lease."""
        lease = self._leases.get(lease_id)
        if lease is None:
            return False
        lease.expires_at_s = asyncio.get_running_loop().time() + lease.ttl_s
        return True

    def revoke(self, lease_id: int) -> None:
        """End a lease, if it exists; its keys vanish in one revision."""
        lease = self._leases.pop(lease_id, None)
        if lease is not None:
            self._apply([Delete(key) for key in sorted(lease.keys)])

    def status(self) -> StoreStatus:
        size_bytes = sum(len(key) + len(kv.value) for key, kv in self._live.items())
        return StoreStatus(f"memory-{self._incarnation}", "memory", self.revision, size_bytes)

    # What befalls a server

    def stop(self) -> None:
        """Answer nobody. Leases do not expire meanwhile."""
        self._is_up = False
        self.wake()

    def start(self) -> None:
        """Answer again. As in etcd, every lease begins anew with its full TTL."""
        self._is_up = True
        for lease_id in self._leases:
            self.keep_alive(lease_id)
        self.wake()

    def compact(self, revision: int) -> None:
        """Forget what was before `revision`. Idempotent; a revision to come is ValueError."""
        if revision > self.revision:
            raise ValueError(f"{revision} is still to come: the store is at {self.revision}")
        self._compacted = max(self._compacted, revision)
        del self._history[: max(0, self._compacted - self._base)]
        self._base = max(self._base, self._compacted)
        self.wake()

    def wipe(self) -> None:
        """Be an empty store, as after the loss of the data directory."""
        self._live.clear()
        self._keys.clear()
        self._base = _FIRST_REVISION
        self._history = [()]
        self._compacted = 0
        self._leases.clear()
        self._become_another()

    def restore(self, revision: int) -> None:
        """Be the store as it was at `revision`, as after the restore of a backup: with its leases, under another id."""
        if revision < self._base:
            raise Compacted(self._base)
        self._live = self._live_at(revision)
        self._keys = sorted(self._live)
        del self._history[revision - self._base + 1 :]
        self._leases.clear()
        for key, kv in self._live.items():
            if kv.lease_id:
                if kv.lease_id not in self._leases:
                    self._begin(kv.lease_id)
                self._leases[kv.lease_id].keys.add(key)
        self._become_another()

    # Within

    def _become_another(self) -> None:
        self._incarnation += 1
        self.wake()

    def _holds(self, compare: Compare) -> bool:
        kv = self._live.get(compare.key)
        if isinstance(compare, ModRevisionIs):
            return (kv.mod_revision if kv else 0) == compare.mod_revision
        return (kv.create_revision if kv else 0) == compare.create_revision

    def _apply(self, operations: Sequence[Operation]) -> None:
        """Make one revision of all that changes something; none if nothing does."""
        revision = self.revision + 1
        changes = (self._change(operation, revision) for operation in operations)
        events = tuple(event for event in changes if event is not None)
        if events:
            self._history.append(events)
            self.wake()

    def _change(self, operation: Operation, revision: int) -> KeyEvent | None:
        key = operation.key
        previous = self._live.get(key)
        if previous is not None and previous.lease_id in self._leases:
            self._leases[previous.lease_id].keys.discard(key)
        if isinstance(operation, Put):
            created = revision if previous is None else previous.create_revision
            kv = KeyValue(key, operation.value, created, revision, operation.lease_id)
            self._live[key] = kv
            if previous is None:
                insort(self._keys, key)
            if operation.lease_id:
                self._leases[operation.lease_id].keys.add(key)
            return KeyEvent(key, kv, revision, previous)
        if previous is None:
            return None
        del self._live[key]
        del self._keys[bisect_left(self._keys, key)]
        return KeyEvent(key, None, revision, previous)

    def _live_at(self, revision: int) -> dict[str, KeyValue]:
        """The keys as they were: undo, from the newest revision back."""
        live = dict(self._live)
        for events in reversed(self._history[revision - self._base + 1 :]):
            for event in events:
                if event.previous is None:
                    live.pop(event.key, None)
                else:
                    live[event.key] = event.previous
        return live

    def _begin(self, lease_id: int) -> None:
        loop = asyncio.get_running_loop()
        lease = _Lease(self._ttls[lease_id], loop.time() + self._ttls[lease_id])
        self._leases[lease_id] = lease
        loop.call_at(lease.expires_at_s, self._expire, lease_id, lease)

    def _expire(self, lease_id: int, lease: _Lease) -> None:
        if self._leases.get(lease_id) is not lease:  # revoked, or of a store that was
            return
        loop = asyncio.get_running_loop()
        if self._is_up and lease.expires_at_s <= loop.time():
            self.revoke(lease_id)
            return
        loop.call_at(max(lease.expires_at_s, loop.time() + 1), self._expire, lease_id, lease)


def _under(keys: Sequence[str], prefix: str, start_key: str) -> Sequence[str]:
    """The keys under `prefix`, from `start_key` on; `keys` are sorted. Text sorts as its UTF-8 bytes do."""
    low = bisect_left(keys, max(prefix, start_key))
    high = bisect_right(keys, prefix, lo=low, key=lambda key: key[: len(prefix)])
    return keys[low:high]
