"""Objects to and from the bytes that the store keeps."""

from functools import cache
from typing import Any, TypeVar

import msgspec

from strata.resources.kinds import Kind
from strata.resources.meta import ObjectMeta, Record

R = TypeVar("R", bound=Record)

_encoder = msgspec.json.Encoder()


@cache
def _decoder(record: type[R]) -> "msgspec.json.Decoder[R]":
    return msgspec.json.Decoder(record)


def encode(record: Record) -> bytes:
    """An object, or a part of one, as JSON bytes; without resourceVersion, which the store's revision is."""
    metadata = getattr(record, "metadata", None)
    if metadata is not None and metadata.resource_version:
        record = msgspec.structs.replace(record, metadata=msgspec.structs.replace(metadata, resource_version=""))
    return _encoder.encode(record)


def decode(record: type[R], data: bytes, *, mod_revision: int = 0) -> R:
    """JSON bytes as a record; fields that this version does not know are ignored. Raises msgspec.ValidationError."""
    decoded: R = _decoder(record).decode(data)
    metadata: ObjectMeta | None = getattr(decoded, "metadata", None)
    if metadata is None or not mod_revision:
        return decoded
    metadata = msgspec.structs.replace(metadata, resource_version=str(mod_revision))
    stamped: R = msgspec.structs.replace(decoded, metadata=metadata)
    return stamped


def decode_object(kind: Kind, data: bytes, *, mod_revision: int) -> Record:
    """The object of this kind that the store keeps as `data`."""
    return decode(kind.record, data, mod_revision=mod_revision)


def to_plain(record: Record) -> Any:  # noqa: ANN401 - JSON
    """A record as plain JSON values (dict, list, str, int, bool, None)."""
    return msgspec.json.decode(_encoder.encode(record))


def with_status(stored: bytes, status: Record) -> bytes:
    """The stored object with another status. All else is kept byte by byte in meaning, also fields of a newer
    version that this one does not know, in the status as well: it may lead again after us."""
    document: dict[str, Any] = msgspec.json.decode(stored)
    _set_status(document, status)
    return _encoder.encode(document)


def with_power(stored: bytes, power: str, status: Record) -> bytes:
    """The stored object with another spec.power, which is a new generation, and another status."""
    document: dict[str, Any] = msgspec.json.decode(stored)
    document["spec"]["power"] = power
    document["metadata"]["generation"] = document["metadata"].get("generation", 0) + 1
    _set_status(document, status)
    return _encoder.encode(document)


def with_metadata(stored: bytes, **changes: Any) -> bytes:  # noqa: ANN401 - JSON
    """The stored object with these metadata fields (camelCase names) replaced; None removes one."""
    document: dict[str, Any] = msgspec.json.decode(stored)
    metadata = document["metadata"]
    for name, value in changes.items():
        if value is None:
            metadata.pop(name, None)
        else:
            metadata[name] = value
    return _encoder.encode(document)


def _set_status(document: dict[str, Any], status: Record) -> None:
    known = _names(type(status))
    unknown = {name: value for name, value in document.get("status", {}).items() if name not in known}
    document["status"] = unknown | to_plain(status)


@cache
def _names(record: type[Record]) -> frozenset[str]:
    return frozenset(field.encode_name for field in msgspec.structs.fields(record))
