"""A watch that outlives its streams: it resumes after the last event delivered, or says that it cannot.

Owns when to reconnect, to log in, to give up. Nothing is queued: the consumer's request pulls one message.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from grpc import aio

from strata.clock import Clock
from strata.errors import Compacted, Regressed, StoreAuthError, StoreUnavailable
from strata.store.etcd import rpc_pb2
from strata.store.etcd.assembly import Assembly
from strata.store.etcd.auth import Login, Metadata
from strata.store.etcd.calls import Calls
from strata.store.etcd.endpoints import Endpoint, Endpoints
from strata.store.etcd.errors import Failure, Meaning, meaning_of
from strata.store.etcd.kv import range_of
from strata.store.etcd.methods import RANGE, STATUS
from strata.store.etcd.settings import EtcdSettings
from strata.store.etcd.stream import WatchStream, open_stream
from strata.store.etcd.version import parse_version, synchronises_progress
from strata.store.port import WatchBatch

_BACKOFF_S = 0.1
_BACKOFF_CAP_S = 1.0


class Watch:
    """One prefix, from one revision on."""

    def __init__(
        self, prefix: str, start_revision: int, *, with_previous: bool, cluster_id: int, calls: Calls,
        endpoints: Endpoints, login: Login, settings: EtcdSettings, tasks: asyncio.TaskGroup, clock: Clock,
        rng: random.Random,
    ) -> None:  # fmt: skip
        self._prefix = prefix
        self._with_previous = with_previous
        self._assembly = Assembly(start_revision)
        self._calls = calls
        self._endpoints = endpoints
        self._login = login
        self._settings = settings
        self._tasks = tasks
        self._clock = clock
        self._rng = rng
        self._cluster_id = cluster_id  # the store that the caller listed: another one's revisions mean nothing here
        self._metadata: Metadata = ()
        self._heard_at_s = clock.monotonic_s()
        self._failed_in_a_row = 0
        self._logged_in_again = False

    async def batches(self) -> AsyncGenerator[WatchBatch]:
        """Yield for ever. Raises Compacted, Regressed, StoreUnavailable, StoreAuthError."""
        self._hear()
        while True:
            endpoint = self._endpoints.current
            try:
                async with self._stream(endpoint) as (stream, trusts_progress):
                    yield self._assembly.sign_of_life()
                    self._hear()
                    while True:
                        response = await stream.read()
                        self._hear()
                        self._failed_in_a_row = 0
                        await self._check_cancel(response)
                        batch = self._assembly.take(response, trust_manual_progress=trusts_progress)
                        if batch is not None:
                            yield batch
                            self._hear()  # the time the consumer took was not the store's silence
            except (Failure, asyncio.CancelledError, aio.UsageError) as error:
                await self._before_next(endpoint, self._calls.failure_of(error))

    @asynccontextmanager
    async def _stream(self, endpoint: Endpoint) -> AsyncIterator[tuple[WatchStream, bool]]:
        """Open a stream that begins where the last one ended."""
        timeout_s = self._settings.attempt_timeout_s
        self._metadata = await self._login.metadata(endpoint, timeout_s)
        trusts_progress = await self._synchronises_progress(endpoint)
        self._assembly.new_stream()
        async with open_stream(
            endpoint, self._metadata, self._tasks,
            progress_interval_s=self._settings.progress_interval_s, answer_timeout_s=timeout_s,
        ) as stream:  # fmt: skip
            created = await stream.create(self._create_request())
            await self._check_cancel(created)
            await self._check_identity(created.header)
            self._logged_in_again = False
            yield stream, trusts_progress

    def _create_request(self) -> rpc_pb2.WatchCreateRequest:
        key, range_end = range_of(self._prefix)
        return rpc_pb2.WatchCreateRequest(
            key=key,
            range_end=range_end,
            start_revision=self._assembly.next_revision,
            progress_notify=True,
            prev_kv=self._with_previous,
            fragment=True,
        )

    async def _synchronises_progress(self, endpoint: Endpoint) -> bool:
        """Ask at each stream: a member is upgraded by a restart, which ends its streams."""
        timeout_s = self._settings.attempt_timeout_s
        try:
            status = await self._calls.attempt(endpoint, STATUS, rpc_pb2.StatusRequest(), self._metadata, timeout_s)
        except Failure as failure:
            if failure.meaning is Meaning.FORBIDDEN:
                # Status was open to every user up to 3.4.23 and 3.5.16 (seen); 3.5.30 keeps it for the root role. So
                # who refuses it is newer than 3.5.8, and its progress is synchronised.
                return True
            raise
        return synchronises_progress(parse_version(status.version))

    async def _check_cancel(self, response: rpc_pb2.WatchResponse) -> None:
        """Raise what a cancelled watch means. A stale token is answered by `permission denied`, by no gRPC error."""
        if not response.canceled:
            return
        if response.compact_revision:
            raise Compacted(response.compact_revision)
        meaning = meaning_of(response.cancel_reason)
        if meaning is Meaning.COMPACTED:
            raise Compacted(self._assembly.next_revision + 1)  # at least: the answer names no revision
        if meaning is Meaning.FORBIDDEN and self._login.has_user and not self._logged_in_again:
            meaning = Meaning.STALE_TOKEN  # once; the second time it is believed
        raise Failure(meaning, f"watch cancelled: {response.cancel_reason or 'no reason given'}")

    async def _check_identity(self, header: rpc_pb2.ResponseHeader) -> None:
        wanted = self._assembly.next_revision
        if self._cluster_id not in (0, header.cluster_id):
            raise Regressed(wanted, header.revision)
        self._cluster_id = header.cluster_id
        if header.revision + 1 >= wanted:
            return
        # A member that lags behind looks the same as a store that went back. A quorum read tells them apart.
        try:
            answer = await self._calls.read(RANGE, rpc_pb2.RangeRequest(key=range_of(self._prefix)[0], keys_only=True))
        except StoreUnavailable as error:
            raise Failure(Meaning.UNKNOWN, str(error)) from None
        if answer.header.revision + 1 < wanted or answer.header.cluster_id != self._cluster_id:
            raise Regressed(wanted, answer.header.revision)

    async def _before_next(self, endpoint: Endpoint, failure: Failure) -> None:
        """Return when the next stream may be opened. Raises if none is to be."""
        if self._calls.closed:
            raise StoreUnavailable("the store was closed")
        self._failed_in_a_row += 1
        if failure.meaning is Meaning.STALE_TOKEN and not self._logged_in_again and self._login.has_user:
            self._logged_in_again = True
            self._login.forget(self._metadata)
            return
        if failure.meaning is Meaning.STALE_TOKEN:
            raise StoreAuthError(failure.details)
        if (final := failure.final()) is not None:
            raise final from None
        silent_s = self._clock.monotonic_s() - self._heard_at_s
        if silent_s >= self._settings.silence_limit_s:
            raise StoreUnavailable(f"nothing heard for {silent_s:.1f} s: {failure.details}")
        self._endpoints.leave(endpoint)
        await asyncio.sleep(self._backoff_s())

    def _hear(self) -> None:
        self._heard_at_s = self._clock.monotonic_s()

    def _backoff_s(self) -> float:
        full_s = min(_BACKOFF_S * 2.0 ** min(self._failed_in_a_row - 1, 10), _BACKOFF_CAP_S)
        return full_s * (0.5 + self._rng.random() / 2)
