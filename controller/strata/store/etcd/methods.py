"""etcd's service paths, by hand: the generated messages live in a package of our own, the wire wants etcd's names."""

from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar

from strata.store.etcd import rpc_pb2


class Response(Protocol):
    """Every answer of etcd carries a header."""

    @property
    def header(self) -> rpc_pb2.ResponseHeader: ...

    @classmethod
    def FromString(cls, data: bytes, /) -> Self: ...  # noqa: N802 - protobuf's name


class Request(Protocol):
    def SerializeToString(self) -> bytes: ...  # noqa: N802 - protobuf's name


RequestT = TypeVar("RequestT", bound=Request)
ResponseT = TypeVar("ResponseT", bound=Response)


@dataclass(frozen=True, slots=True)
class Method(Generic[RequestT, ResponseT]):
    path: str
    request: type[RequestT]
    response: type[ResponseT]


RANGE = Method("/etcdserverpb.KV/Range", rpc_pb2.RangeRequest, rpc_pb2.RangeResponse)
PUT = Method("/etcdserverpb.KV/Put", rpc_pb2.PutRequest, rpc_pb2.PutResponse)
TXN = Method("/etcdserverpb.KV/Txn", rpc_pb2.TxnRequest, rpc_pb2.TxnResponse)
COMPACT = Method("/etcdserverpb.KV/Compact", rpc_pb2.CompactionRequest, rpc_pb2.CompactionResponse)
WATCH = Method("/etcdserverpb.Watch/Watch", rpc_pb2.WatchRequest, rpc_pb2.WatchResponse)
LEASE_GRANT = Method("/etcdserverpb.Lease/LeaseGrant", rpc_pb2.LeaseGrantRequest, rpc_pb2.LeaseGrantResponse)
LEASE_REVOKE = Method("/etcdserverpb.Lease/LeaseRevoke", rpc_pb2.LeaseRevokeRequest, rpc_pb2.LeaseRevokeResponse)
LEASE_KEEP_ALIVE = Method(
    "/etcdserverpb.Lease/LeaseKeepAlive", rpc_pb2.LeaseKeepAliveRequest, rpc_pb2.LeaseKeepAliveResponse
)
STATUS = Method("/etcdserverpb.Maintenance/Status", rpc_pb2.StatusRequest, rpc_pb2.StatusResponse)
ALARM = Method("/etcdserverpb.Maintenance/Alarm", rpc_pb2.AlarmRequest, rpc_pb2.AlarmResponse)
DEFRAGMENT = Method("/etcdserverpb.Maintenance/Defragment", rpc_pb2.DefragmentRequest, rpc_pb2.DefragmentResponse)
SNAPSHOT = Method("/etcdserverpb.Maintenance/Snapshot", rpc_pb2.SnapshotRequest, rpc_pb2.SnapshotResponse)
AUTHENTICATE = Method("/etcdserverpb.Auth/Authenticate", rpc_pb2.AuthenticateRequest, rpc_pb2.AuthenticateResponse)
