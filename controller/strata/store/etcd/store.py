"""The store on etcd: the port's methods on this package's parts. Entry point: `open_etcd`."""

import asyncio
import math
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

from strata.clock import Clock
from strata.errors import Compacted, LeaseNotFound, Regressed, StoreUnavailable
from strata.store.etcd import lease, rpc_pb2
from strata.store.etcd.auth import Login
from strata.store.etcd.calls import Calls
from strata.store.etcd.endpoints import Endpoints
from strata.store.etcd.errors import Failure, Meaning
from strata.store.etcd.kv import encode_key, key_value, range_of, txn_request, txn_result
from strata.store.etcd.lease import EtcdLease
from strata.store.etcd.maintenance import Maintenance
from strata.store.etcd.methods import PUT, RANGE, TXN
from strata.store.etcd.settings import EtcdSettings
from strata.store.etcd.watch import Watch
from strata.store.expiring import ExpiringLeases
from strata.store.limits import check_txn
from strata.store.port import (
    Compare,
    KeyValue,
    Lease,
    Listing,
    Operation,
    Page,
    StoreStatus,
    TxnResult,
    WatchBatch,
)  # fmt: skip

_LIST_ATTEMPTS = 3


@asynccontextmanager
async def open_etcd(settings: EtcdSettings, clock: Clock, rng: random.Random) -> AsyncIterator["EtcdStore"]:
    """Connect, check the servers' versions, and own the store's tasks until the block ends.

    Raises StoreUnavailable if no endpoint answers within the budget, StoreAuthError, StoreError for a version that
    must not be used, OSError for a certificate that cannot be read.
    """
    failure: BaseException | None = None
    async with asyncio.TaskGroup() as tasks:
        store = EtcdStore(settings, clock, rng, tasks)
        try:
            await store.maintenance.check_versions()
            yield store
        except BaseException as error:  # noqa: BLE001 - raised below, as it is: a TaskGroup would make a group of it
            failure = error
        finally:
            await store.close()
    if failure is not None:
        raise failure


class EtcdStore:
    """Implements `strata.store.port.Store`. Made by `open_etcd`."""

    def __init__(self, settings: EtcdSettings, clock: Clock, rng: random.Random, tasks: asyncio.TaskGroup) -> None:
        self._settings = settings
        self._clock = clock
        self._rng = rng
        self._tasks = tasks
        self._endpoints = Endpoints(settings)
        self._login = Login(settings)
        self._calls = Calls(self._endpoints, self._login, settings, clock, rng)
        self._leases: list[EtcdLease] = []
        self._expiring = ExpiringLeases(self._grant_expiring, clock)
        self._cluster_id = 0  # of the last read
        self.maintenance = Maintenance(self._calls, self._endpoints, self._login, settings)

    async def get(self, key: str) -> KeyValue | None:
        response = await self._range(rpc_pb2.RangeRequest(key=encode_key(key)))
        return key_value(response.kvs[0]) if response.kvs else None

    async def page(self, prefix: str, *, limit: int, start_key: str | None = None, revision: int = 0) -> Page:
        key, range_end = range_of(prefix, start_key)
        request = rpc_pb2.RangeRequest(key=key, range_end=range_end, limit=limit, revision=revision)
        response = await self._range(request)
        items = tuple(map(key_value, response.kvs))
        return Page(
            items=items,
            revision=revision or response.header.revision,
            next_key=items[-1].key + "\0" if response.more else None,
            remaining_count=response.count - len(items),
        )

    async def list(self, prefix: str) -> Listing:
        for _ in range(_LIST_ATTEMPTS):
            try:
                return await self._list_at_one_revision(prefix)
            except Compacted:  # between two pages: only a listing from the start is whole
                continue
        raise StoreUnavailable(f"{prefix}: compacted {_LIST_ATTEMPTS} times while it was listed")

    async def txn(self, compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult:
        check_txn(compares, operations)
        request = txn_request(compares, operations)
        send = self._calls.write if operations else self._calls.read
        return txn_result(await send(TXN, request))

    @asynccontextmanager
    async def watch(
        self, prefix: str, *, start_revision: int, with_previous: bool = False
    ) -> AsyncIterator[AsyncIterator[WatchBatch]]:
        if start_revision < 1:
            raise ValueError("a watch starts at a revision: list first")
        watch = Watch(
            prefix, start_revision, with_previous=with_previous, cluster_id=self._cluster_id, calls=self._calls,
            endpoints=self._endpoints, login=self._login, settings=self._settings, tasks=self._tasks, clock=self._clock,
            rng=self._rng,
        )  # fmt: skip
        async with aclosing(watch.batches()) as batches:
            yield batches

    async def grant(self, ttl_s: float) -> Lease:
        granted = await lease.grant(self._calls, self._clock, math.ceil(ttl_s))
        if self._calls.closed:
            raise StoreUnavailable("the store was closed")
        kept = EtcdLease(
            granted, calls=self._calls, endpoints=self._endpoints, login=self._login, settings=self._settings,
            tasks=self._tasks, clock=self._clock, rng=self._rng,
        )  # fmt: skip
        self._leases = [old for old in self._leases if old.safe_until_s() > self._clock.monotonic_s()] + [kept]
        return kept

    async def put_expiring(self, key: str, value: bytes, ttl_s: int) -> None:
        lease_id = await self._expiring.lease_for(ttl_s)
        try:
            await self._put(key, value, lease_id)
        except LeaseNotFound:  # revoked by hand, or the store is another one
            self._expiring.forget(lease_id)
            await self._put(key, value, await self._expiring.lease_for(ttl_s))

    async def status(self) -> StoreStatus:
        return await self.maintenance.status()

    async def close(self) -> None:
        self._calls.close()
        for kept in self._leases:
            kept.abandon()
        await self._endpoints.close()

    async def _put(self, key: str, value: bytes, lease_id: int) -> None:
        await self._calls.write(PUT, rpc_pb2.PutRequest(key=encode_key(key), value=value, lease=lease_id))

    async def _grant_expiring(self, ttl_s: int) -> int:
        return (await lease.grant(self._calls, self._clock, ttl_s)).lease_id

    async def _list_at_one_revision(self, prefix: str) -> Listing:
        page = await self.page(prefix, limit=self._settings.page_size)
        items = [*page.items]
        while page.next_key is not None:
            page = await self.page(
                prefix, limit=self._settings.page_size, start_key=page.next_key, revision=page.revision
            )
            items += page.items
        return Listing(tuple(items), page.revision)

    async def _range(self, request: rpc_pb2.RangeRequest) -> rpc_pb2.RangeResponse:
        try:
            response = await self._calls.read(RANGE, request)
        except Failure as failure:
            if failure.meaning is Meaning.COMPACTED:
                raise Compacted(request.revision + 1) from None  # at least: the answer names no revision
            current = await self._calls.read(RANGE, rpc_pb2.RangeRequest(key=request.key, keys_only=True))
            raise Regressed(request.revision, current.header.revision) from None
        self._cluster_id = response.header.cluster_id
        return response
