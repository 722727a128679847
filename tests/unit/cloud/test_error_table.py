"""What error codes mean. The laws: only a documented refusal is definitive, and the code goes before the status."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strata.cloud.error_table import cloud_error
from strata.errors import CloudErrorKind

K = CloudErrorKind


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("RequestLimitExceeded", 503, K.THROTTLED),
        ("Client.RequestLimitExceeded", 503, K.THROTTLED),
        ("ThrottlingException", 400, K.THROTTLED),
        ("InsufficientInstanceCapacity", 500, K.CAPACITY),
        ("Server.InsufficientInstanceCapacity", 500, K.CAPACITY),
        ("Unsupported", 400, K.CAPACITY),
        ("InsufficientFreeAddressesInSubnet", 400, K.CAPACITY),
        ("MaxSpotInstanceCountExceeded", 400, K.CAPACITY),
        ("VcpuLimitExceeded", 400, K.LIMIT),
        ("SomeNewLimitExceeded", 400, K.LIMIT),
        ("InvalidSubnetID.NotFound", 400, K.NOT_FOUND),
        ("InvalidKeyPair.NotFound", 400, K.NOT_FOUND),
        ("InvalidAMIID.Unavailable", 400, K.INVALID),
        ("InvalidInstanceID.Malformed", 400, K.INVALID),
        ("UnauthorizedOperation", 403, K.UNAUTHORIZED),
        ("InvalidClientTokenId", 403, K.UNAUTHORIZED),
        ("AuthFailure", 401, K.UNAUTHORIZED),
        ("RequestExpired", 400, K.CLOCK_SKEW),
        ("IdempotentParameterMismatch", 400, K.IDEMPOTENT_MISMATCH),
        ("IdempotentInstanceTerminated", 400, K.IDEMPOTENT_TERMINATED),
        ("IncorrectInstanceState", 400, K.INCORRECT_STATE),
        ("InternalError", 500, K.UNKNOWN_RESULT),
        ("ServiceUnavailable", 503, K.UNKNOWN_RESULT),
        ("Unavailable", 503, K.UNKNOWN_RESULT),
        ("AnythingElse", 400, K.INVALID),
        ("AnythingElse", 500, K.UNKNOWN_RESULT),
        ("AnythingElse", None, K.UNKNOWN_RESULT),
        # A proxy's answers: EC2 may have acted behind it.
        ("", 400, K.UNKNOWN_RESULT),
        ("407", 407, K.UNKNOWN_RESULT),
        ("<html>", 403, K.UNKNOWN_RESULT),
    ],
)
def test_a_code_has_its_meaning(code: str, status: int | None, kind: CloudErrorKind) -> None:
    assert cloud_error(code, "", action="RunInstances", status=status).kind is kind


def test_operation_not_permitted_is_protection_only_where_there_is_protection() -> None:
    assert cloud_error("OperationNotPermitted", "", action="TerminateInstances").kind is K.TERMINATION_PROTECTED
    assert cloud_error("OperationNotPermitted", "", action="StopInstances").kind is K.TERMINATION_PROTECTED
    assert cloud_error("OperationNotPermitted", "", action="RunInstances").kind is K.INVALID


@given(code=st.text(max_size=30), status=st.one_of(st.none(), st.integers(500, 599), st.integers(300, 399)))
def test_an_unheard_of_code_without_a_refusing_status_is_never_definitive(code: str, status: int | None) -> None:
    strange = f"Zz{code}"
    error = cloud_error(strange, "", action="RunInstances", status=status)
    assert not error.kind.definitive or strange.endswith(("NotFound", "NotFoundException", "LimitExceeded"))


@pytest.mark.parametrize(
    ("code", "message", "ids"),
    [
        ("InvalidInstanceID.NotFound", "The instance ID 'i-0a1' does not exist", ("i-0a1",)),
        ("InvalidInstanceID.NotFound", "The instance IDs 'i-1, i-2' do not exist", ("i-1", "i-2")),
        ("InvalidInstanceID.NotFound", "The instance IDs 'i-1', 'i-2', 'i-1' do not exist", ("i-1", "i-2")),
        ("InvalidInstanceID.NotFound", "no i-0123456789abcdef0 here", ("i-0123456789abcdef0",)),
        ("InvalidInstanceID.NotFound", "no such thing", ()),
        ("InvalidAMIID.NotFound", "The image id '[ami-12345678]' does not exist", ("ami-12345678",)),
        ("InvalidInstanceID.Malformed", 'Invalid id: "web1" (expecting "i-...")', ("web1",)),
        ("InvalidInstanceID.Malformed", 'Invalid id: "a, b" (expecting "i-...")', ("a, b",)),
        ("IncorrectInstanceState", "The instance 'i-1' is not in a state from which it can be started.", ()),
    ],
)
def test_the_ids_that_a_refusal_names_are_told(code: str, message: str, ids: tuple[str, ...]) -> None:
    assert cloud_error(code, message, action="TerminateInstances", status=400).ids == ids


@pytest.mark.parametrize(
    ("code", "skew_s", "kind"),
    [
        ("AuthFailure", 1.0, K.UNAUTHORIZED),
        ("AuthFailure", -900.0, K.CLOCK_SKEW),
        ("SignatureDoesNotMatch", 900.0, K.CLOCK_SKEW),
        ("RequestExpired", 900.0, K.CLOCK_SKEW),
        ("RequestExpired", 1.0, K.UNAUTHORIZED),  # the session's credentials expired, the clock is right
        ("UnauthorizedOperation", 900.0, K.UNAUTHORIZED),
        ("InvalidParameterValue", 900.0, K.INVALID),
    ],
)
def test_a_wrong_clock_is_told_from_wrong_credentials(code: str, skew_s: float, kind: CloudErrorKind) -> None:
    assert cloud_error(code, "", action="RunInstances", status=400, skew_s=skew_s).kind is kind
