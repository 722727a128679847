"""What every error code of EC2 and SSM means for us: the one table, used by all clouds. Never matches messages.

What matters most is whether a code proves that the request was not carried out (see CloudErrorKind.definitive):
a Launch is declared dead on such proof, so a code stands here as definitive only where EC2 documents it as a
refusal. The table goes before the HTTP status, since EC2 sends some refusals with 5xx (capacity, throttling). Of
the codes that are not in it, a well-formed 4xx is a refusal for good, and anything else may have been carried out.

Source: docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html, and SSM's common errors.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from strata.cloud.steady_text import steady
from strata.errors import CloudError, CloudErrorKind

_K = CloudErrorKind

_BY_KIND: Final[Mapping[CloudErrorKind, tuple[str, ...]]] = {
    # The bucket of the action, of the account or of the resources is empty. Sent with 503 or 400.
    _K.THROTTLED: (
        "RequestLimitExceeded",  # EC2's own
        "Throttling",  # the query protocol's common one
        "ThrottlingException",  # SSM
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "TooManyRequestsException",
        "BandwidthLimitExceeded",
        "SlowDown",
        "EC2ThrottledException",
        "RateExceeded",
    ),
    # This type, zone and market has nothing for us now; another one may. Mostly sent with 500.
    _K.CAPACITY: (
        "InsufficientInstanceCapacity",
        "InsufficientHostCapacity",
        "InsufficientCapacity",
        "InsufficientCapacityOnHost",
        "InsufficientReservedInstanceCapacity",
        "InsufficientVolumeCapacity",  # the root volume's type is short in the zone
        "InsufficientFreeAddressesInSubnet",  # the subnet, thus the zone, is full
        "InsufficientAddressCapacity",
        "ReservationCapacityExceeded",
        "UnfulfillableCapacity",
        "Unsupported",  # the type is not offered in this zone
        "SpotMaxPriceTooLow",  # the spot market is dearer than what we bid
        "MaxSpotInstanceCountExceeded",  # the account's spot limit: on-demand may still work
    ),
    # A quota of the account. Waiting does not help, a person or a deletion does.
    _K.LIMIT: (
        "InstanceLimitExceeded",
        "VcpuLimitExceeded",
        "VolumeLimitExceeded",
        "MaxIOPSLimitExceeded",
        "AddressLimitExceeded",
        "NetworkInterfaceLimitExceeded",
        "AttachmentLimitExceeded",
        "TagLimitExceeded",
        "ResourceLimitExceeded",
        "LimitExceededException",
    ),
    # Who we are, or what we may do. Nothing was carried out.
    _K.UNAUTHORIZED: (
        "AuthFailure",
        "UnauthorizedOperation",
        "AccessDenied",
        "AccessDeniedException",
        "Blocked",  # the account is blocked
        "OptInRequired",
        "PendingVerification",
        "NotAuthorized",
        "InvalidClientTokenId",  # the access key does not exist; it has nothing to do with ClientToken
        "UnrecognizedClientException",  # SSM's word for the same
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "InvalidSecurityToken",
        "InvalidSecurityTokenException",
        "ExpiredToken",
        "ExpiredTokenException",
        "TokenRefreshRequired",
        "InvalidAccessKeyId",
        "InvalidToken",
    ),
    # The signature's time is too far from AWS's. RequestExpired also means expired session credentials; `cloud_error`
    # tells them apart by the clock's skew where the caller knows it.
    _K.CLOCK_SKEW: ("RequestExpired", "RequestTimeTooSkewed", "RequestInTheFuture"),
    # The token was used before, with other parameters.
    _K.IDEMPOTENT_MISMATCH: ("IdempotentParameterMismatch", "IdempotentParameterMismatchException"),
    # The token was used before, and its machines are terminated.
    _K.IDEMPOTENT_TERMINATED: ("IdempotentInstanceTerminated",),
    # The machine is in a state that forbids this.
    _K.INCORRECT_STATE: (
        "IncorrectInstanceState",
        "IncorrectState",
        "InvalidInstanceState",
        "IncorrectSpotRequestState",
    ),
    # A message of ours was carried out, is being carried out, or nobody can say.
    _K.UNKNOWN_RESULT: (
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "InternalServiceError",
        "ServerInternal",
        "Unavailable",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "RequestTimeout",
        "RequestTimeoutException",
        "ConcurrentTagAccess",  # the resource's tags are being written by somebody: tagging is idempotent, again
        "ConcurrentRequest",
        "IdempotentRequestInProgress",  # the first call with this token still runs
        "RequestInProgress",
    ),
    # Refused, and will be refused again as it stands. Named where a rule below would read them otherwise.
    _K.INVALID: (
        "InvalidAMIID.Unavailable",  # deregistered or still pending
        "InvalidInstanceID.Malformed",
        "InvalidParameterValue",
        "InvalidParameterCombination",
        "MissingParameter",
        "UnknownParameter",
        "UnsupportedOperation",
        "ValidationError",
        "DryRunOperation",
        "ResourceCountExceeded",  # too many machines for one call; a smaller call may work
    ),
    # Things that do not exist, whose codes do not end in .NotFound.
    _K.NOT_FOUND: ("ParameterNotFound", "ParameterVersionNotFound", "NoSuchEntity"),
}

_TABLE: Final = {code: kind for kind, codes in _BY_KIND.items() for code in codes}

_PROTECTS: Final = frozenset({"TerminateInstances", "StopInstances"})  # what disableApiTermination and -Stop forbid
_SIGNED_WRONG: Final = frozenset({"AuthFailure", "InvalidSignatureException", "SignatureDoesNotMatch"})
_MAX_SKEW_S: Final = 270.0  # AWS takes signatures of up to five minutes; somewhat less, for the answer's way back

_REFUSED: Final = 4  # HTTP's class of statuses that blame the request
_EC2_CODE: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*(\.[A-Za-z][A-Za-z0-9]*)*")
_QUOTED: Final = re.compile(r"""['"]([^'"]*)['"]""")
_ID: Final = re.compile(r"\b[a-z]{1,12}-[0-9a-f]{8,17}\b")


def cloud_error(
    code: str, message: str, *, action: str, status: int | None = None, skew_s: float | None = None
) -> CloudError:
    """The CloudError for an error answer of EC2 or SSM.

    `status` is the HTTP status and `skew_s` how far our clock is from the server's; None where it is not known.
    """
    bare = code.removeprefix("Client.").removeprefix("Server.")
    kind = _kind(bare, action, status)
    if skew_s is not None:
        kind = _by_skew(kind, bare, skew_s)
    # The ids are read from the whole message: a list of a thousand would be cut.
    return CloudError(kind, code or "Unknown", steady(message), action=action, ids=named_ids(bare, message))


def _kind(code: str, action: str, status: int | None) -> CloudErrorKind:
    if code == "OperationNotPermitted":
        return _K.TERMINATION_PROTECTED if action in _PROTECTS else _K.INVALID
    if known := _TABLE.get(code):
        return known
    if code.endswith((".NotFound", ".NotFoundException")):
        return _K.NOT_FOUND  # InvalidInstanceID.NotFound, InvalidSubnetID.NotFound, ...
    if code.endswith("LimitExceeded"):
        return _K.LIMIT
    # A number, HTML, or nothing for a code is a proxy's or a load balancer's answer: EC2 may have acted behind it.
    refused = status is not None and status // 100 == _REFUSED and _EC2_CODE.fullmatch(code)
    return _K.INVALID if refused else _K.UNKNOWN_RESULT


def _by_skew(kind: CloudErrorKind, code: str, skew_s: float) -> CloudErrorKind:
    skewed = abs(skew_s) > _MAX_SKEW_S
    if skewed and code in _SIGNED_WRONG:
        return _K.CLOCK_SKEW
    if not skewed and code == "RequestExpired":
        return _K.UNAUTHORIZED  # the session's credentials expired
    return kind


def named_ids(code: str, message: str) -> tuple[str, ...]:
    """The ids that a NotFound or Malformed message names, in order, each once; () for other codes.

    EC2 writes: The instance IDs 'i-1, i-2' do not exist; The instance ID 'i-1' does not exist;
    The image id '[ami-1]' does not exist; Invalid id: "abc" (expecting "i-...").
    """
    if code.endswith(".Malformed"):
        found: Iterator[str] = iter(_QUOTED.findall(message)[:1])
    elif code.endswith(".NotFound"):
        found = _split_quoted(message)
    else:
        return ()
    return tuple(dict.fromkeys(found))


def _split_quoted(message: str) -> Iterator[str]:
    quoted = [part.strip(" []") for text in _QUOTED.findall(message) for part in text.split(",")]
    yield from (part for part in quoted or _ID.findall(message) if part)
