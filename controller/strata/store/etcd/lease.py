"""A lease and its keeper. Owns the renewals, and the time until which the lease is surely alive.

Each renewal is a call of its own, not a message on a long stream: a stream that died unseen is what loses leases.
"""

import asyncio
import math
import random
from dataclasses import dataclass

import structlog
from grpc import aio

from strata.clock import Clock
from strata.errors import LeaseNotFound
from strata.store.etcd import rpc_pb2
from strata.store.etcd.auth import Login, Metadata
from strata.store.etcd.calls import Calls
from strata.store.etcd.endpoints import Endpoint, Endpoints
from strata.store.etcd.errors import Failure, Meaning, failure_of
from strata.store.etcd.methods import LEASE_GRANT, LEASE_KEEP_ALIVE, LEASE_REVOKE
from strata.store.etcd.settings import EtcdSettings

_log = structlog.get_logger(__name__)

_RETRY_S = 0.2
_GONE_S = -math.inf


@dataclass(frozen=True, slots=True)
class Granted:
    lease_id: int
    ttl_s: int
    asked_at_s: float


async def grant(calls: Calls, clock: Clock, ttl_s: int) -> Granted:
    """Make a lease. Sent again after a doubt: a grant that nobody knows of expires by itself."""
    asked_at_s = clock.monotonic_s()  # before every attempt: the lease cannot expire earlier than this + TTL
    response = await calls.read(LEASE_GRANT, rpc_pb2.LeaseGrantRequest(TTL=ttl_s))
    return Granted(response.ID, response.TTL, asked_at_s)


class EtcdLease:
    """A lease that `keep` renews every third of its TTL."""

    def __init__(
        self, granted: Granted, *, calls: Calls, endpoints: Endpoints, login: Login, settings: EtcdSettings,
        tasks: asyncio.TaskGroup, clock: Clock, rng: random.Random,
    ) -> None:  # fmt: skip
        self._id = granted.lease_id
        self._ttl_s = granted.ttl_s
        self._safe_until_s = granted.asked_at_s + granted.ttl_s
        self._calls = calls
        self._endpoints = endpoints
        self._login = login
        self._settings = settings
        self._clock = clock
        self._rng = rng
        self._lost = asyncio.Event()
        self._keeper = tasks.create_task(self._keep())

    @property
    def lease_id(self) -> int:
        return self._id

    @property
    def ttl_s(self) -> float:
        return self._ttl_s

    def safe_until_s(self) -> float:
        return self._safe_until_s

    async def lost(self) -> None:
        await self._lost.wait()

    def abandon(self) -> None:
        """Stop renewing without giving it back."""
        self._lose()
        self._keeper.cancel()

    async def revoke(self) -> None:
        self.abandon()
        try:
            # Revoking twice is harmless, so a doubt is answered by sending it again.
            await self._calls.read(LEASE_REVOKE, rpc_pb2.LeaseRevokeRequest(ID=self._id))
        except LeaseNotFound:
            return

    def _lose(self) -> None:
        self._safe_until_s = _GONE_S
        self._lost.set()

    async def _keep(self) -> None:
        try:
            while not self._lost.is_set():
                await asyncio.sleep(self._ttl_s / 3)
                await self._renew()
        except Exception:  # noqa: BLE001 - a defect here must cost this lease, not every task of the process
            _log.exception("the keeper of a lease failed", lease_id=self._id)
        finally:
            self._lose()

    async def _renew(self) -> None:
        """Return when it is renewed, or lost."""
        while (left_s := self._safe_until_s - self._clock.monotonic_s()) > 0:
            endpoint = self._endpoints.current
            try:
                await self._exchange(endpoint, min(self._settings.attempt_timeout_s, self._ttl_s / 3, left_s))
            except Failure as failure:
                if failure.meaning is Meaning.LEASE_GONE:
                    break
                if failure.meaning is not Meaning.STALE_TOKEN:
                    self._endpoints.leave(endpoint)
                await asyncio.sleep(min(left_s, _RETRY_S * (0.5 + self._rng.random())))
            else:
                return
        self._lose()

    async def _exchange(self, endpoint: Endpoint, timeout_s: float) -> None:
        """Renew once. The deadline counts from before the request: the server's count began later."""
        metadata = await self._login.metadata(endpoint, timeout_s)
        sent_at_s = self._clock.monotonic_s()
        try:
            ttl_s = await _keep_alive(endpoint, self._id, metadata, timeout_s)
        except Failure as failure:
            if failure.meaning is Meaning.STALE_TOKEN:
                self._login.forget(metadata)
            raise
        if ttl_s <= 0:
            raise Failure(Meaning.LEASE_GONE, "the lease has expired")
        if not self._lost.is_set():
            self._safe_until_s = sent_at_s + ttl_s


async def _keep_alive(endpoint: Endpoint, lease_id: int, metadata: Metadata, timeout_s: float) -> int:
    """Return the TTL that the server now counts down from; 0: it has no such lease."""
    call = endpoint.stream(LEASE_KEEP_ALIVE)(metadata=metadata, timeout=timeout_s)
    try:
        await call.write(rpc_pb2.LeaseKeepAliveRequest(ID=lease_id))
        answer = await call.read()
    except aio.AioRpcError as error:
        raise failure_of(error) from None
    except asyncio.InvalidStateError:  # what grpc.aio raises for a write on a call that has ended
        raise Failure(Meaning.UNKNOWN, "the keepalive stream has ended") from None
    finally:
        call.cancel()
    if not isinstance(answer, rpc_pb2.LeaseKeepAliveResponse):
        raise Failure(Meaning.UNKNOWN, "the keepalive stream has ended")
    return answer.TTL
