"""Every exception that crosses a package of Strata.

    StrataError
      StoreError                 the store did not do what was asked
        StoreUnavailable         certainly not applied; try again later
        Ambiguous                a write whose fate is unknown: read again before deciding
        Conflict                 a compare failed: somebody else wrote first
        Compacted                the revision asked for is gone: relist
        Regressed                the store is older than what was seen, or another one: relist
        NoSpace                  the store is full; reads still work
        LeaseNotFound            the lease of a put is gone: nothing was written
        StoreAuthError           the credentials were refused
      CloudError                 EC2 or SSM said no, or nothing; `kind` says what that means
      SignalError                a source of signals did not answer, or not with what was asked for
      NotLeader                  this process may not act, now
      Invalid                    a document breaks its schema; carries every cause
      NotFound                   no such object

Errors carry data and are told apart by class or `kind`, never by their text.
"""

import enum
from dataclasses import dataclass


class StrataError(Exception):
    """The root of the tree."""


class StoreError(StrataError):
    """The store did not do what was asked."""


class StoreUnavailable(StoreError):  # noqa: N818 - names follow the field's terms
    """Nothing was applied, for certain; the same call may go through later."""


class Ambiguous(StoreError):  # noqa: N818
    """A write was sent and its fate is unknown. Read again before deciding anything."""


class Conflict(StoreError):  # noqa: N818
    """A compare failed; nothing was written."""

    def __init__(self, keys: tuple[str, ...] = ()) -> None:
        super().__init__(f"changed by somebody else: {', '.join(keys) or 'unknown key'}")
        self.keys = keys


class Compacted(StoreError):  # noqa: N818
    """The revision asked for was compacted away; list again."""

    def __init__(self, compact_revision: int) -> None:
        super().__init__(f"revisions before {compact_revision} are compacted")
        self.compact_revision = compact_revision


class Regressed(StoreError):  # noqa: N818
    """The store went back in time, or is another store; list again and trust nothing older."""

    def __init__(self, wanted: int, found: int) -> None:
        super().__init__(f"wanted revision {wanted}, the store is at {found}")
        self.wanted = wanted
        self.found = found


class NoSpace(StoreError):  # noqa: N818
    """The store's quota is used up."""


class LeaseNotFound(StoreError):  # noqa: N818
    """The lease does not exist (any more); nothing was written."""


class StoreAuthError(StoreError):
    """The store refused the credentials."""


class CloudErrorKind(enum.StrEnum):
    """What an EC2 or SSM error means for the caller."""

    THROTTLED = "Throttled"  # not done; the account's bucket is empty
    CAPACITY = "Capacity"  # not done; this (type, zone, market) has no machines now
    LIMIT = "Limit"  # not done; an account limit is reached
    NOT_FOUND = "NotFound"  # an id in the call does not exist (yet): see `ids`
    UNAUTHORIZED = "Unauthorized"  # credentials are missing, wrong, expired, or lack the permission
    CLOCK_SKEW = "ClockSkew"  # the signature's time is too far from AWS's
    INVALID = "Invalid"  # definitive: these parameters can never work
    IDEMPOTENT_MISMATCH = "IdempotentMismatch"  # the token was used with other parameters
    IDEMPOTENT_TERMINATED = "IdempotentTerminated"  # the token's instances are terminated
    TERMINATION_PROTECTED = "TerminationProtected"  # disableApiTermination is set
    INCORRECT_STATE = "IncorrectState"  # the instance is not in a state that allows this
    WRONG_ACCOUNT = "WrongAccount"  # not sent: the credentials are not those of the account that our machines are in
    UNREACHABLE = "Unreachable"  # certainly not sent: no connection could be made
    UNKNOWN_RESULT = "UnknownResult"  # sent, and no usable answer: it may have been done

    @property
    def definitive(self) -> bool:
        """Whether EC2 answered that this very request was not carried out and never will be as it stands."""
        return self in _DEFINITIVE


_DEFINITIVE = frozenset(
    {
        CloudErrorKind.CAPACITY,
        CloudErrorKind.LIMIT,
        CloudErrorKind.NOT_FOUND,
        CloudErrorKind.UNAUTHORIZED,
        CloudErrorKind.CLOCK_SKEW,
        CloudErrorKind.INVALID,
        CloudErrorKind.TERMINATION_PROTECTED,
        CloudErrorKind.INCORRECT_STATE,
    }
)


class CloudError(StrataError):
    """EC2 or SSM said no, or nothing at all."""

    def __init__(
        self, kind: CloudErrorKind, code: str, message: str, *, action: str = "", ids: tuple[str, ...] = ()
    ) -> None:
        super().__init__(f"{action or 'call'}: {code}: {message}")
        self.kind = kind
        self.code = code
        self.message = message
        self.action = action
        self.ids = ids


class SignalError(StrataError):
    """A source of signals did not answer, or not with one number a moment. `reason` is a CamelCase word; `message`
    says the same each time that the same is wrong."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message


class NotLeader(StrataError):  # noqa: N818
    """This process does not lead, or too little of its lease is left to act safely."""


class NotFound(StrataError):  # noqa: N818
    """No such object."""

    def __init__(self, key: str) -> None:
        super().__init__(f"{key} not found")
        self.key = key


@dataclass(frozen=True, slots=True)
class Cause:
    """One wrong field. `field` is a path such as `spec.capacity.min`; `reason` is the Kubernetes cause type."""

    field: str
    reason: str
    message: str


class Invalid(StrataError):  # noqa: N818
    """A document breaks its schema; `causes` has every wrong field."""

    def __init__(self, what: str, causes: tuple[Cause, ...]) -> None:
        super().__init__(f"{what} is invalid: " + "; ".join(f"{c.field}: {c.message}" for c in causes))
        self.what = what
        self.causes = causes
