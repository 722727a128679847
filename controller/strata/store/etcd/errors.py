"""What etcd's and gRPC's errors mean. The one place where their texts are read; nothing else may.

etcd gives one gRPC code to errors that mean opposite things (UNAVAILABLE: "no leader", which refused the write, and
"request timed out", which may have done it), so the text decides. What no rule knows is UNKNOWN, the careful answer.
"""

import enum
from dataclasses import dataclass

import grpc

from strata.errors import LeaseNotFound, NoSpace, StoreAuthError, StoreError


class Meaning(enum.Enum):
    UNSENT = "the request did not reach a server"
    REFUSED_FOR_NOW = "a server refused it before proposing it"
    STALE_TOKEN = "log in again"  # noqa: S105 - a meaning, not a password
    DENIED = "the credentials were refused"
    FORBIDDEN = "this user may not do this"
    COMPACTED = "the revision is compacted"
    FUTURE = "the revision does not exist yet"
    LEASE_GONE = "the lease does not exist"
    NO_SPACE = "the quota is used up"
    AUTH_OFF = "authentication is not enabled"
    INVALID = "the request can never work"
    UNKNOWN = "it may have been done"


_Code = grpc.StatusCode

# In order; the first whose text is in the details (in lower case) wins. etcd's own texts are in its rpctypes/error.go.
_RULES: tuple[tuple[str, Meaning], ...] = (
    ("required revision has been compacted", Meaning.COMPACTED),
    ("required revision is a future revision", Meaning.FUTURE),
    ("requested lease not found", Meaning.LEASE_GONE),
    ("database space exceeded", Meaning.NO_SPACE),
    ("invalid auth token", Meaning.STALE_TOKEN),
    ("user name is empty", Meaning.STALE_TOKEN),
    ("revision of auth store is old", Meaning.STALE_TOKEN),
    ("authentication failed", Meaning.DENIED),
    ("permission denied", Meaning.FORBIDDEN),
    ("authentication is not enabled", Meaning.AUTH_OFF),
    ("too many requests", Meaning.REFUSED_FOR_NOW),
    ("etcdserver: no leader", Meaning.REFUSED_FOR_NOW),
    ("rpc not supported for learner", Meaning.REFUSED_FOR_NOW),
    ("failed to connect", Meaning.UNSENT),
    ("connection refused", Meaning.UNSENT),
    ("dns resolution failed", Meaning.UNSENT),
    ("name resolution", Meaning.UNSENT),
)

_BY_CODE = {
    _Code.UNAUTHENTICATED: Meaning.STALE_TOKEN,
    _Code.PERMISSION_DENIED: Meaning.FORBIDDEN,
    _Code.INVALID_ARGUMENT: Meaning.INVALID,
    _Code.UNIMPLEMENTED: Meaning.INVALID,
    _Code.OUT_OF_RANGE: Meaning.INVALID,
}

_FINAL: dict[Meaning, type[StoreError]] = {
    Meaning.DENIED: StoreAuthError,
    Meaning.FORBIDDEN: StoreAuthError,
    Meaning.LEASE_GONE: LeaseNotFound,
    Meaning.NO_SPACE: NoSpace,
    Meaning.INVALID: StoreError,
    Meaning.AUTH_OFF: StoreError,
}


def meaning_of(details: str, code: grpc.StatusCode | None = None) -> Meaning:
    """Classify an error. A watch's cancel reason has a text but no code."""
    text = details.lower()
    for part, meaning in _RULES:
        if part in text:
            return meaning
    return _BY_CODE.get(code, Meaning.UNKNOWN) if code is not None else Meaning.UNKNOWN


@dataclass(eq=False)
class Failure(Exception):  # noqa: N818 - inside this package only; turned into a StoreError before it leaves
    """One attempt failed on one endpoint."""

    meaning: Meaning
    details: str

    def __post_init__(self) -> None:
        super().__init__(self.details)

    def final(self) -> StoreError | None:
        """The error to raise if another attempt is pointless, else None."""
        error = _FINAL.get(self.meaning)
        return None if error is None else error(self.details)


def failure_of(error: grpc.aio.AioRpcError) -> Failure:
    details = error.details() or ""
    return Failure(meaning_of(details, error.code()), f"{error.code().name}: {details}")
