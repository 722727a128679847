"""The care of a cluster: versions, status, alarms, compaction, defragmentation, snapshots.

Compaction in production is the server's own (`--auto-compaction-mode=periodic --auto-compaction-retention=1h`).
"""

import re
from collections.abc import AsyncGenerator, Iterable

import structlog
from grpc import aio

from strata.errors import StoreAuthError, StoreError, StoreUnavailable
from strata.store.etcd import rpc_pb2
from strata.store.etcd.auth import Login
from strata.store.etcd.calls import Calls
from strata.store.etcd.endpoints import Endpoint, Endpoints
from strata.store.etcd.errors import Failure, Meaning, failure_of
from strata.store.etcd.methods import ALARM, COMPACT, DEFRAGMENT, SNAPSHOT, STATUS, TXN
from strata.store.etcd.settings import EtcdSettings
from strata.store.etcd.version import is_recommended, is_supported, is_unsafe, parse_version
from strata.store.port import StoreStatus

_log = structlog.get_logger(__name__)

_DEFRAGMENT_TIMEOUT_S = 300.0  # it blocks the member; a full 8 GB takes about two minutes
_SNAPSHOT_TIMEOUT_S = 600.0


class Maintenance:
    """What an operator does to a cluster, and what is asked of it at the start."""

    def __init__(self, calls: Calls, endpoints: Endpoints, login: Login, settings: EtcdSettings) -> None:
        self._calls = calls
        self._endpoints = endpoints
        self._login = login
        self._settings = settings

    async def check_versions(self) -> None:
        """Refuse a server that loses data, warn of a known-bad one.

        Raises StoreError; StoreUnavailable if no member answers.
        Members that do not answer now are not judged: the cluster must be able to lose one.
        """
        await self._header()
        for endpoint in self._endpoints.every:
            try:
                status = await self._status_of(endpoint)
            except Failure as failure:
                if failure.meaning is Meaning.FORBIDDEN:  # only recent servers forbid it: see watch.py
                    continue
                _log.warning("an etcd member's version is unknown", endpoint=endpoint.url, error=failure.details)
                continue
            self._judge(endpoint, status.version)

    async def status(self) -> StoreStatus:
        """Ask one member. A user without etcd's root role may be refused: then it is what every answer tells."""
        try:
            status = await self._calls.read(STATUS, rpc_pb2.StatusRequest())
        except StoreAuthError:
            header = await self._header()  # raises it again if the credentials are wrong
            return StoreStatus(_store_id(header), version="", revision=header.revision, db_size_bytes=0)
        return StoreStatus(
            store_id=_store_id(status.header),
            version=status.version,
            revision=status.header.revision,
            db_size_bytes=status.dbSize,
            alarms=tuple(_alarm_name(error) for error in status.errors),
        )

    async def alarms(self) -> tuple[str, ...]:
        """The alarms of all members, by name."""
        return tuple(rpc_pb2.AlarmType.Name(member.alarm) for member in await self._alarmed_members())

    async def disarm_no_space(self) -> None:
        """Allow writes again, after compaction and defragmentation made room."""
        for member in await self._alarmed_members():
            if member.alarm == rpc_pb2.NOSPACE:
                action = rpc_pb2.AlarmRequest.DEACTIVATE
                clear = rpc_pb2.AlarmRequest(action=action, memberID=member.memberID, alarm=member.alarm)
                await self._calls.read(ALARM, clear)

    async def compact(self, revision: int) -> None:
        """Forget all revisions before this one. Idempotent."""
        try:
            await self._calls.read(COMPACT, rpc_pb2.CompactionRequest(revision=revision, physical=True))
        except Failure as failure:
            if failure.meaning is not Meaning.COMPACTED:  # already done, by us or by somebody else
                raise StoreError(failure.details) from None

    async def defragment(self) -> None:
        """Give free space back, one member after the other: each is blocked meanwhile. Raises StoreUnavailable."""
        for endpoint in self._endpoints.every:
            try:
                metadata = await self._login.metadata(endpoint, self._settings.attempt_timeout_s)
                await self._calls.attempt(
                    endpoint, DEFRAGMENT, rpc_pb2.DefragmentRequest(), metadata, _DEFRAGMENT_TIMEOUT_S
                )
            except Failure as failure:
                raise (failure.final() or StoreUnavailable(failure.details)) from None

    async def snapshot(self) -> AsyncGenerator[bytes]:
        """Yield the database of one member in pieces, its SHA-256 last. Complete, or raises StoreUnavailable."""
        await self._header()  # logs in where that is needed, and rotates to a member that answers
        endpoint = self._endpoints.current
        metadata = await self._login.metadata(endpoint, self._settings.attempt_timeout_s)
        request = rpc_pb2.SnapshotRequest()
        call = endpoint.server_stream(SNAPSHOT)(request, metadata=metadata, timeout=_SNAPSHOT_TIMEOUT_S)
        remaining_bytes = 1
        try:
            async for piece in call:
                remaining_bytes = piece.remaining_bytes
                yield piece.blob
        except aio.AioRpcError as error:
            failure = failure_of(error)
            raise (failure.final() or StoreUnavailable(failure.details)) from None
        finally:
            call.cancel()
        if remaining_bytes:
            raise StoreUnavailable(f"the snapshot ended {remaining_bytes} bytes early")

    async def _alarmed_members(self) -> Iterable[rpc_pb2.AlarmMember]:
        return (await self._calls.read(ALARM, rpc_pb2.AlarmRequest())).alarms

    async def _header(self) -> rpc_pb2.ResponseHeader:
        """Learn which store this is. An empty transaction needs a valid login and no permission."""
        return (await self._calls.read(TXN, rpc_pb2.TxnRequest())).header

    async def _status_of(self, endpoint: Endpoint) -> rpc_pb2.StatusResponse:
        timeout_s = self._settings.attempt_timeout_s
        metadata = await self._login.metadata(endpoint, timeout_s)
        return await self._calls.attempt(endpoint, STATUS, rpc_pb2.StatusRequest(), metadata, timeout_s)

    def _judge(self, endpoint: Endpoint, text: str) -> None:
        version = parse_version(text)
        if not is_supported(version):
            raise StoreError(f"{endpoint.url} runs etcd {text}; 3.4 is the oldest that works")
        if is_unsafe(version) and not self._settings.allow_unsafe_version:
            raise StoreError(f"{endpoint.url} runs etcd {text}, which can lose committed writes: use 3.5.28 or newer")
        if not is_recommended(version):
            _log.warning(
                "this etcd has known faults: use 3.4.42, 3.5.28, 3.6.9 or newer", endpoint=endpoint.url, version=text
            )


def _store_id(header: rpc_pb2.ResponseHeader) -> str:
    return f"{header.cluster_id:x}"


def _alarm_name(error: str) -> str:
    """`memberID:1 alarm:NOSPACE` is NOSPACE; other complaints of a status are kept as they are."""
    match = re.search(r"alarm:(\w+)", error)
    return match.group(1) if match else error
