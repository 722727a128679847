"""Unary calls: deadlines, retries, rotation, login. Owns the one retry loop of this package.

A read is sent again after any failure that may pass, until the budget is spent. A write is sent again only if the
attempt surely did not reach a server, or the server surely refused it; any doubt is Ambiguous.
"""

import asyncio
import random
from dataclasses import dataclass, field

from grpc import aio

from strata.clock import Clock
from strata.errors import Ambiguous, StoreAuthError, StoreUnavailable
from strata.store.etcd.auth import Login, Metadata
from strata.store.etcd.endpoints import Endpoint, Endpoints
from strata.store.etcd.errors import Failure, Meaning, failure_of
from strata.store.etcd.methods import Method, RequestT, ResponseT
from strata.store.etcd.settings import EtcdSettings

_BACKOFF_S = 0.05
_BACKOFF_CAP_S = 0.8
_MAX_DOUBLINGS = 4


@dataclass(slots=True)
class _Budget:
    """What is left of one call."""

    end_s: float
    attempts: int = 0
    logged_in_again: bool = False
    last: Failure = field(default_factory=lambda: Failure(Meaning.UNSENT, "not tried"))


class Calls:
    """Sends unary requests to the endpoint in use."""

    def __init__(
        self, endpoints: Endpoints, login: Login, settings: EtcdSettings, clock: Clock, rng: random.Random
    ) -> None:
        self._endpoints = endpoints
        self._login = login
        self._settings = settings
        self._clock = clock
        self._rng = rng
        self._closed = False

    def close(self) -> None:
        """Refuse calls from now on; those in flight end when their channel closes."""
        self._closed = True

    @property
    def closed(self) -> bool:
        return self._closed

    async def read(self, method: Method[RequestT, ResponseT], request: RequestT) -> ResponseT:
        """Send something that may be done twice. Raises StoreUnavailable, Failure (a meaning that is the caller's)."""
        return await self._send(method, request, may_repeat=True)

    async def write(self, method: Method[RequestT, ResponseT], request: RequestT) -> ResponseT:
        """Send something that must be done once. Raises Ambiguous, StoreUnavailable, Failure."""
        return await self._send(method, request, may_repeat=False)

    async def _send(self, method: Method[RequestT, ResponseT], request: RequestT, *, may_repeat: bool) -> ResponseT:
        budget = _Budget(self._clock.monotonic_s() + self._settings.budget_s)
        while True:
            endpoint = self._endpoints.current
            timeout_s = self._timeout_s(budget)
            metadata: Metadata = ()
            sent = False
            try:
                if not (may_repeat or endpoint.is_connected):  # a read learns more from the call's own error
                    await endpoint.connect(timeout_s)
                metadata = await self._login.metadata(endpoint, timeout_s)
                sent = True
                return await self.attempt(endpoint, method, request, metadata, timeout_s)
            except (Failure, asyncio.CancelledError, aio.UsageError) as error:
                failure = self.failure_of(error)
                if sent and not may_repeat and failure.meaning is Meaning.UNKNOWN:
                    self._endpoints.leave(endpoint)
                    raise Ambiguous(f"{method.path} to {endpoint.url}: {failure.details}") from None
                await self._before_next(budget, endpoint, metadata, failure)

    async def attempt(
        self, endpoint: Endpoint, method: Method[RequestT, ResponseT], request: RequestT, metadata: Metadata,
        timeout_s: float,
    ) -> ResponseT:  # fmt: skip
        """Send once, to this endpoint. Raises Failure."""
        try:
            response: ResponseT = await endpoint.unary(method)(request, timeout=timeout_s, metadata=metadata)
        except aio.AioRpcError as error:
            raise failure_of(error) from None
        return response

    def failure_of(self, error: BaseException) -> Failure:
        """The failure of an attempt. A channel closed under a call raises a CancelledError that is not the task's:
        that one is a failure; the task's own is raised again.
        """
        if isinstance(error, Failure):
            return error
        task = asyncio.current_task()
        if not self._closed or (task is not None and task.cancelling()):
            raise error
        return Failure(Meaning.UNKNOWN, "the store was closed")

    async def _before_next(self, budget: _Budget, endpoint: Endpoint, metadata: Metadata, failure: Failure) -> None:
        """Return when the next attempt may begin. Raises if there is none."""
        budget.last = failure
        budget.attempts += 1
        if failure.meaning is Meaning.STALE_TOKEN:
            self._log_in_again(budget, metadata, failure)
            return
        if (final := failure.final()) is not None:
            raise final from None
        if failure.meaning in (Meaning.COMPACTED, Meaning.FUTURE):
            raise failure
        self._endpoints.leave(endpoint)
        if budget.attempts >= len(self._endpoints):  # the others are tried at once
            left_s = max(0.0, budget.end_s - self._clock.monotonic_s())
            await asyncio.sleep(min(left_s, self._backoff_s(budget.attempts - len(self._endpoints))))

    def _log_in_again(self, budget: _Budget, metadata: Metadata, failure: Failure) -> None:
        if budget.logged_in_again or not self._login.has_user:
            raise StoreAuthError(failure.details)
        budget.logged_in_again = True
        self._login.forget(metadata)

    def _timeout_s(self, budget: _Budget) -> float:
        left_s = budget.end_s - self._clock.monotonic_s()
        if self._closed:
            raise StoreUnavailable("the store is closed")
        if left_s <= 0:
            raise StoreUnavailable(budget.last.details)
        return min(self._settings.attempt_timeout_s * 2.0 ** min(budget.attempts, _MAX_DOUBLINGS), left_s)

    def _backoff_s(self, round_: int) -> float:
        full_s = min(_BACKOFF_S * 2.0 ** min(round_, 10), _BACKOFF_CAP_S)
        return full_s * (0.5 + self._rng.random() / 2)
