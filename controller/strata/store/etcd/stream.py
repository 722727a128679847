"""One Watch call on one endpoint. Owns its deadlines and its pulse; knows nothing of resuming.

Back-pressure: a message is read only when the consumer asks. Silence counts only while somebody waits.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from grpc import aio

from strata.store.etcd import rpc_pb2
from strata.store.etcd.auth import Metadata
from strata.store.etcd.endpoints import Endpoint
from strata.store.etcd.errors import Failure, Meaning, failure_of
from strata.store.etcd.methods import WATCH

# Without `hasleader`, a watch on a member that is cut off from the others is silent for ever.
_NEEDS_LEADER: Metadata = (("hasleader", "true"),)
_PROGRESS = rpc_pb2.WatchRequest(progress_request=rpc_pb2.WatchProgressRequest())
_Call = aio.StreamStreamCall[rpc_pb2.WatchRequest, rpc_pb2.WatchResponse]


class WatchStream:
    """An open watch. `read` raises Failure when the stream ends or is silent for an interval and an answer's time."""

    def __init__(self, call: _Call, *, progress_interval_s: float, answer_timeout_s: float) -> None:
        self._call = call
        self._progress_interval_s = progress_interval_s
        self._silence_s = progress_interval_s + answer_timeout_s
        self._answer_timeout_s = answer_timeout_s
        self._is_awaited = False

    async def create(self, request: rpc_pb2.WatchCreateRequest) -> rpc_pb2.WatchResponse:
        """Ask for the watch and return etcd's first answer, which may be a refusal."""
        async with _failures(self._answer_timeout_s):
            await self._call.write(rpc_pb2.WatchRequest(create_request=request))
            return _message(await self._call.read())

    async def read(self) -> rpc_pb2.WatchResponse:
        self._is_awaited = True
        try:
            async with _failures(self._silence_s):
                return _message(await self._call.read())
        finally:
            self._is_awaited = False

    async def pulse(self) -> None:
        """Ask for progress at the interval, while somebody waits: etcd's own timer is a server flag, 10 minutes.

        A stream that ended is the reader's to report.
        """
        while not self._call.done():
            await asyncio.sleep(self._progress_interval_s)
            if self._is_awaited:
                try:
                    await self._call.write(_PROGRESS)
                except (aio.AioRpcError, asyncio.InvalidStateError):
                    return


@asynccontextmanager
async def open_stream(
    endpoint: Endpoint,
    login: Metadata,
    tasks: asyncio.TaskGroup,
    *,
    progress_interval_s: float,
    answer_timeout_s: float,
) -> AsyncIterator[WatchStream]:
    """Begin a Watch call; cancel it at the end, however the end comes: gRPC would keep it open."""
    call: _Call = endpoint.stream(WATCH)(metadata=(*_NEEDS_LEADER, *login))
    stream = WatchStream(call, progress_interval_s=progress_interval_s, answer_timeout_s=answer_timeout_s)
    pulse = tasks.create_task(stream.pulse())
    call.add_done_callback(lambda _: _end(pulse))  # a stream that nobody reads any more keeps no task
    try:
        yield stream
    finally:
        pulse.cancel()
        call.cancel()


@asynccontextmanager
async def _failures(timeout_s: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError:
        raise Failure(Meaning.UNKNOWN, f"the watch was silent for {timeout_s:.1f} s") from None
    except aio.AioRpcError as error:
        raise failure_of(error) from None
    except asyncio.InvalidStateError:  # what grpc.aio raises for a write on a call that has ended
        raise Failure(Meaning.UNKNOWN, "the watch stream has ended") from None


def _message(read: object) -> rpc_pb2.WatchResponse:
    if not isinstance(read, rpc_pb2.WatchResponse):
        raise Failure(Meaning.UNKNOWN, "the watch stream has ended")
    return read


def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
