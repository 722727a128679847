"""Canonical JSON and its digest: equal meaning, equal bytes."""

import hashlib
from typing import Any

import msgspec

_encoder = msgspec.json.Encoder(order="deterministic")


def canonical(value: Any) -> bytes:  # noqa: ANN401 - JSON
    """JSON with sorted keys and no spaces."""
    return _encoder.encode(value)


def digest(value: Any, *, version: str) -> str:  # noqa: ANN401 - JSON
    """A versioned digest such as `v1-6f1d…` (16 hex digits): another version is never called drift."""
    return f"{version}-{hashlib.blake2b(canonical(value), digest_size=8).hexdigest()}"
