"""Every refusal of the API as one exception, and as the Kubernetes API's Status.

Handlers raise `Refusal`; what the store raises becomes one in `from_store_error`. Told apart by `reason`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from strata.errors import Ambiguous, Cause, Compacted, NoSpace, Regressed, StoreAuthError, StoreError

_RETRY_AFTER_S = 1


@dataclass(frozen=True, slots=True)
class Target:
    """What a request was about, for the `details` of a Status. `plural` is what the Kubernetes API calls its kind."""

    group: str = ""
    plural: str = ""
    name: str = ""
    uid: str = ""

    def details(self) -> dict[str, Any]:
        said = {"name": self.name, "group": self.group, "kind": self.plural, "uid": self.uid}
        return {key: value for key, value in said.items() if value}

    def __str__(self) -> str:
        return f'{self.plural}{"." if self.group else ""}{self.group} "{self.name}"'


class Refusal(Exception):  # noqa: N818 - most are the caller's to mend, not failures of ours
    """A request that is not done, and why."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        target: Target | None = None,
        causes: Sequence[Cause] = (),
        retry_after_s: int = 0,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.target = target or Target()
        self.causes = tuple(causes)
        self.retry_after_s = retry_after_s

    def status(self) -> dict[str, Any]:
        """The Status object."""
        details = self.target.details()
        if self.causes:
            details["causes"] = [_cause(cause) for cause in self.causes]
        if self.retry_after_s:
            details["retryAfterSeconds"] = self.retry_after_s
        return _status("Failure", details, code=self.code, reason=self.reason, message=self.message)


def success(target: Target) -> dict[str, Any]:
    """The Status of a request that leaves no object to show."""
    return _status("Success", target.details())


def _status(status: str, details: Mapping[str, Any], **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    whole = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": status, **more}
    return {**whole, "details": details} if details else whole


def _cause(cause: Cause) -> dict[str, str]:
    return {"reason": cause.reason, "message": cause.message, "field": cause.field}


def bad_request(message: str, causes: Sequence[Cause] = ()) -> Refusal:
    return Refusal(HTTPStatus.BAD_REQUEST, "BadRequest", message, causes=causes)


def forbidden(target: Target, message: str, causes: Sequence[Cause] = ()) -> Refusal:
    return Refusal(HTTPStatus.FORBIDDEN, "Forbidden", f"{target} is forbidden: {message}", target=target, causes=causes)


def not_found(target: Target, fix: str = "") -> Refusal:
    return Refusal(HTTPStatus.NOT_FOUND, "NotFound", f"{target} not found{fix}", target=target)


def already_exists(target: Target) -> Refusal:
    return Refusal(HTTPStatus.CONFLICT, "AlreadyExists", f"{target} already exists", target=target)


def conflict(
    target: Target, why: str = "the object has been modified; read it again and apply your change to it"
) -> Refusal:
    message = f"Operation cannot be fulfilled on {target}: {why}"
    return Refusal(HTTPStatus.CONFLICT, "Conflict", message, target=target)


def invalid(kind: str, target: Target, causes: Sequence[Cause]) -> Refusal:
    said = [f"{cause.field}: {cause.message}" for cause in causes]
    text = said[0] if len(said) == 1 else f"[{', '.join(said)}]"
    name = f'{kind}{"." if target.group else ""}{target.group} "{target.name}"'
    return Refusal(
        HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid", f"{name} is invalid: {text}", target=target, causes=causes
    )


def too_large(limit_bytes: int) -> Refusal:
    message = f"Request entity too large: limit is {limit_bytes} bytes"
    return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "RequestEntityTooLarge", message)


def unsupported_media_type(given: str, supported: Sequence[str]) -> Refusal:
    message = f"the body of the request was in an unknown format ({given}); accepted are: {', '.join(supported)}"
    return Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message)


def expired(message: str) -> Refusal:
    return Refusal(HTTPStatus.GONE, "Expired", message)


def too_many(message: str) -> Refusal:
    return Refusal(HTTPStatus.TOO_MANY_REQUESTS, "TooManyRequests", message, retry_after_s=_RETRY_AFTER_S)


def unavailable(message: str) -> Refusal:
    return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "ServiceUnavailable", message, retry_after_s=_RETRY_AFTER_S)


def from_store_error(error: StoreError) -> Refusal:
    """What a failed call to the store means to a client."""
    if isinstance(error, (Compacted, Regressed)):
        return expired("The provided continue parameter or resourceVersion is too old; list again from the start.")
    if isinstance(error, NoSpace):
        message = "the store is full: nothing can be written until space is made; reads still work"
        return Refusal(HTTPStatus.INSUFFICIENT_STORAGE, "InsufficientStorage", message)
    if isinstance(error, StoreAuthError):
        message = "the store refused this daemon's credentials"
        return Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "InternalError", message)
    if isinstance(error, Ambiguous):
        return unavailable(
            "the store did not answer: the write may or may not have been done; read before trying again"
        )
    return unavailable("the store is away; nothing was changed")
