"""Between the port's types and etcd's messages. Pure."""

from collections.abc import Sequence

from strata.store.etcd import rpc_pb2
from strata.store.port import Compare, KeyEvent, KeyValue, ModRevisionIs, Operation, Put, TxnResult

# Keys of others may be any bytes: they must pass through, not end a listing.
_ENCODING = ("utf-8", "surrogateescape")

_EVERYTHING = b"\0"  # as key and as range end: from the first key on, and without an end


def encode_key(key: str) -> bytes:
    return key.encode(*_ENCODING)


def range_of(prefix: str, start_key: str | None = None) -> tuple[bytes, bytes]:
    """The key and range end that cover what is under `prefix`, from `start_key` on."""
    first = encode_key(prefix)
    start = first if start_key is None else max(first, encode_key(start_key))
    return start or _EVERYTHING, _end_of(first)


def _end_of(prefix: bytes) -> bytes:
    """The first key behind all that begin with `prefix`: the last byte that can grow grows, the rest is cut."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes((kept[-1] + 1,)) if kept else _EVERYTHING


def key_value(kv: rpc_pb2.KeyValue) -> KeyValue:
    return KeyValue(kv.key.decode(*_ENCODING), kv.value, kv.create_revision, kv.mod_revision, kv.lease)


def key_event(event: rpc_pb2.Event) -> KeyEvent:
    kv = event.kv
    previous = key_value(event.prev_kv) if event.HasField("prev_kv") else None
    if event.type == rpc_pb2.Event.DELETE:
        return KeyEvent(kv.key.decode(*_ENCODING), None, kv.mod_revision, previous)
    current = key_value(kv)
    return KeyEvent(current.key, current, current.mod_revision, previous)


def txn_request(compares: Sequence[Compare], operations: Sequence[Operation]) -> rpc_pb2.TxnRequest:
    """All operations if all compares hold; else read the compared keys in the same round trip."""
    return rpc_pb2.TxnRequest(
        compare=[_compare(compare) for compare in compares],
        success=[_operation(operation) for operation in operations],
        failure=[
            rpc_pb2.RequestOp(request_range=rpc_pb2.RangeRequest(key=encode_key(compare.key))) for compare in compares
        ],
    )


def txn_result(response: rpc_pb2.TxnResponse) -> TxnResult:
    if response.succeeded:
        return TxnResult(succeeded=True, revision=response.header.revision)
    found = (answer.response_range.kvs for answer in response.responses)
    current = tuple(key_value(kvs[0]) if kvs else None for kvs in found)
    return TxnResult(succeeded=False, revision=response.header.revision, current=current)


def _compare(compare: Compare) -> rpc_pb2.Compare:
    key = encode_key(compare.key)
    if isinstance(compare, ModRevisionIs):
        return rpc_pb2.Compare(key=key, target=rpc_pb2.Compare.MOD, mod_revision=compare.mod_revision)
    return rpc_pb2.Compare(key=key, target=rpc_pb2.Compare.CREATE, create_revision=compare.create_revision)


def _operation(operation: Operation) -> rpc_pb2.RequestOp:
    key = encode_key(operation.key)
    if isinstance(operation, Put):
        put = rpc_pb2.PutRequest(key=key, value=operation.value, lease=operation.lease_id)
        return rpc_pb2.RequestOp(request_put=put)
    return rpc_pb2.RequestOp(request_delete_range=rpc_pb2.DeleteRangeRequest(key=key))
