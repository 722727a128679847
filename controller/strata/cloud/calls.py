"""Sends the calls of one region: gate, fence, thread, answer, metrics. Knows actions, but not what they mean.

A call that was sent is never cancelled. A caller that is cancelled while its call runs leaves the call running to
its end: the thread is there anyway, the connection stays taken until then, and the result is logged. A caller that
is cancelled while it waits at the gate has sent nothing.
"""

import asyncio
import functools
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import structlog

from strata.clock import Clock
from strata.cloud.buckets import LIMITS
from strata.cloud.gate import CONNECTIONS, Gate
from strata.cloud.lazy_sdk import LazySdk
from strata.cloud.port import BeforeSend
from strata.errors import CloudError, CloudErrorKind
from strata.metrics import DaemonMetrics

if TYPE_CHECKING:
    from strata.cloud.sdk import Client, Reply, Sdk

_LOG: Final = structlog.get_logger(__name__)

# The credentials are right, and may not do this: others would have to be given, not found.
_FORBIDDEN: Final = frozenset({"UnauthorizedOperation", "AccessDenied", "AccessDeniedException"})

Service = Literal["ec2", "ssm", "sts", "cloudwatch"]
Fence = Callable[[], None]
T = TypeVar("T")


def no_fence() -> None:
    """For a process that needs no leadership to act."""


class Calls:
    """The calls to one region at one endpoint (None: AWS). Belongs to one event loop."""

    def __init__(
        self,
        sdk: LazySdk,
        region: str,
        endpoint_url: str | None,
        clock: Clock,
        metrics: DaemonMetrics,
        fence: Fence,
        *,
        rate: float = 1.0,
    ) -> None:
        self._sdk = sdk
        self._region = region
        self._endpoint_url = endpoint_url
        self._clock = clock
        self._metrics = metrics
        self._fence = fence
        self._gate = Gate(lambda lane: metrics.ec2_throttles.labels(_action(lane), "client").inc(), rate=rate)
        # A pool a region: threads that hang on one region's time-outs are not missed by another.
        self._pool = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix=f"ec2-{region}")
        self._clients: dict[Service, Client] = {}
        self._clients_lock = threading.Lock()

    async def send(
        self,
        service: Service,
        lane: str,
        parameters: Mapping[str, Any],
        read: "Callable[[Reply], T]",
        *,
        resources: int = 0,
        before_send: BeforeSend | None = None,
    ) -> T:
        """Send one call as soon as its buckets allow, and read its answer in the call's own thread.

        `lane` is the action, or the action and how it is used, as in buckets.LIMITS; `resources` how many machines
        it touches. `before_send` is awaited between the wait and the send. Raises CloudError, or what the fence or
        `before_send` raises; then nothing was sent."""
        await self._gate.admit(lane, resources)
        try:
            if before_send is not None:
                await before_send()
            # After the wait, which may have been long, and with nothing between it and the send.
            if LIMITS[lane].mutating:
                self._fence()
            work = functools.partial(self._in_thread, service, _action(lane), parameters, read)
            call = asyncio.get_running_loop().run_in_executor(self._pool, work)
        except BaseException:
            self._gate.release(lane, resources)
            raise
        call.add_done_callback(functools.partial(self._ended, lane, resources, asyncio.get_running_loop().time()))
        try:
            return await asyncio.shield(call)
        except asyncio.CancelledError:
            call.add_done_callback(functools.partial(_log_left_alone, _action(lane), self._region))
            raise

    async def close(self) -> None:
        """Wait for the calls that run, then close the connections. Their time-outs bound this."""
        await asyncio.to_thread(self._pool.shutdown)
        for client in self._clients.values():
            client.close()

    def _in_thread(
        self, service: Service, action: str, parameters: Mapping[str, Any], read: "Callable[[Reply], T]"
    ) -> T:
        reply = self._reply(service, action, parameters)
        try:
            return read(reply)
        except CloudError:
            raise
        except Exception as error:
            # EC2 acted, and its answer is not what it documents.
            message = f"the answer could not be read: {error!r}"
            raise CloudError(CloudErrorKind.UNKNOWN_RESULT, "UnusableAnswer", message, action=action) from error

    def _reply(self, service: Service, action: str, parameters: Mapping[str, Any]) -> "Reply":
        sdk = self._sdk.load()
        epoch = sdk.epoch
        try:
            return self._client(sdk, service).call(action, parameters, self._clock.now)
        except CloudError as error:
            if error.kind is CloudErrorKind.UNAUTHORIZED and error.code not in _FORBIDDEN:
                sdk.doubt(epoch, self._clock.monotonic_s())
            raise

    def _client(self, sdk: "Sdk", service: Service) -> "Client":
        with self._clients_lock:
            client = self._clients.get(service)
            if client is None or client.epoch != sdk.epoch:
                # The old one is not closed: calls of other threads may still run on it.
                client = self._clients[service] = sdk.client(service, self._region, self._endpoint_url)
            return client

    def _ended(self, lane: str, resources: int, began_s: float, call: asyncio.Future[Any]) -> None:
        self._gate.release(lane, resources)
        error = None if call.cancelled() else call.exception()
        action, code = _action(lane), _code(error)
        self._metrics.ec2_calls.labels(action, code).inc()
        self._metrics.ec2_seconds.labels(action).observe(call.get_loop().time() - began_s)
        if isinstance(error, CloudError) and error.kind is CloudErrorKind.THROTTLED:
            self._metrics.ec2_throttles.labels(action, "server").inc()
            self._gate.throttled(lane)


def _action(lane: str) -> str:
    return lane.partition(" ")[0]


def _code(error: BaseException | None) -> str:
    if error is None:
        return "ok"
    return error.code if isinstance(error, CloudError) else type(error).__name__


def _log_left_alone(action: str, region: str, call: asyncio.Future[Any]) -> None:
    error = None if call.cancelled() else call.exception()
    _LOG.info("ec2_call_outlived_its_caller", action=action, region=region, code=_code(error))
