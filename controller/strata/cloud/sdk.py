"""The only module that imports boto3. Blocking: everything here runs in a thread of `calls.py`'s pool.

How pages get past botocore's parser. botocore parses inside the HTTP endpoint, before any caller sees the body. Its
`before-parse` event hands over the raw answer and lets a handler put keys into the result; the handler takes the
body, and leaves an empty document for botocore's parser, which then has nothing to walk. Considered and not taken:
a response_parser_factory of our own (a component of the session, so private to botocore and for all services at once),
replacing `_make_api_call` (private), and signing requests by hand (endpoint rules, proxies, credentials' refreshing,
TLS settings and serialisation would all be ours to keep right). Error answers (status 300 and above) are small, and
stay with botocore's parser. If botocore ever stops to send the event, there is no body and the call fails loudly.
"""

import ipaddress
import math
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlsplit

import boto3
from botocore import exceptions as botocore_errors
from botocore import xform_name
from botocore.config import Config

from strata.cloud.error_table import cloud_error
from strata.cloud.steady_text import steady
from strata.errors import CloudError, CloudErrorKind

CONNECT_TIMEOUT_S: Final = 3.1  # a lost SYN is sent again after 1 s, and after 3
READ_TIMEOUT_S: Final = 30.0  # a page of 1,000 takes EC2 a second or two

_DOUBT_EVERY_S: Final = 30.0  # a session costs 0.2 s of CPU

_RAW_PAGES: Final = ("DescribeInstances", "RunInstances", "DescribeInstanceStatus")
_RAW_BODY: Final = "StrataRawBody"
_OK: Final = 200

# No connection was made, so nothing was sent.
_NOT_SENT: Final = (
    botocore_errors.EndpointConnectionError,
    botocore_errors.ConnectTimeoutError,
    botocore_errors.ProxyConnectionError,
)
# There is nothing to sign with, so nothing was sent.
_NO_CREDENTIALS: Final = (
    botocore_errors.NoCredentialsError,
    botocore_errors.PartialCredentialsError,
    botocore_errors.CredentialRetrievalError,
    botocore_errors.TokenRetrievalError,
    botocore_errors.NoAuthTokenError,
    botocore_errors.UnauthorizedSSOTokenError,
    botocore_errors.SSOTokenLoadError,
    botocore_errors.MetadataRetrievalError,
    botocore_errors.ProfileNotFound,
    botocore_errors.ConfigParseError,
    botocore_errors.ConfigNotFound,
)
# botocore refused the call as we wrote it.
_NOT_A_CALL: Final = (
    botocore_errors.ParamValidationError,
    botocore_errors.ValidationError,
    botocore_errors.InvalidRegionError,
    botocore_errors.BaseEndpointResolverError,
    botocore_errors.EndpointProviderError,
)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: `page` is the raw body of those calls that our own parser reads, `parsed` botocore's reading of
    all others."""

    page: bytes
    parsed: Mapping[str, Any]


class Sdk:
    """The process's one boto3 session. Several threads may use it."""

    def __init__(self) -> None:
        self._session: boto3.session.Session | None = None
        self._epoch = 0  # counts the sessions
        self._doubted_at_s = -math.inf
        self._lock = threading.Lock()

    @property
    def epoch(self) -> int:
        """Clients of an earlier epoch hold credentials that were refused."""
        return self._epoch

    def client(self, service: str, region: str, endpoint_url: str | None) -> "Client":
        """A client of a service; the caller keeps it while it is of this epoch. Raises CloudError."""
        try:
            # Clients may be shared between threads; making them may not.
            with self._lock:
                self._session = self._session or boto3.session.Session()
                return Client(_client(self._session, service, region, endpoint_url), self._epoch)
        except Exception as error:
            failure = _failure(error, "CreateClient", None)
            if failure.kind is CloudErrorKind.UNKNOWN_RESULT:
                failure.kind = CloudErrorKind.UNREACHABLE  # whatever went wrong: nothing was sent
            raise failure from error

    def doubt(self, epoch: int, now_s: float) -> None:
        """Credentials found in this epoch are missing, wrong or expired: look for them anew, but not all the time.

        boto3 looks once. Without this, a daemon that started before its instance profile was there, or whose keys
        were renewed in a file, would be refused until somebody restarts it."""
        with self._lock:
            if epoch == self._epoch and now_s - self._doubted_at_s >= _DOUBT_EVERY_S:
                self._session, self._epoch, self._doubted_at_s = None, epoch + 1, now_s


class Client:
    """One service in one region. Never retries: the one retry loop is the caller's queue."""

    def __init__(self, client: Any, epoch: int) -> None:  # noqa: ANN401 - boto3 makes its classes at run time
        self._client = client
        self.epoch = epoch
        if client.meta.service_model.service_name == "ec2":
            for action in _RAW_PAGES:
                client.meta.events.register(f"before-parse.ec2.{action}", _keep_raw_body)

    def call(self, action: str, parameters: Mapping[str, Any], now: Callable[[], datetime]) -> Reply:
        """Send one call and wait for its answer. `now` reads our wall time, to tell the skew. Raises CloudError."""
        try:
            parsed = getattr(self._client, xform_name(action))(**parameters)
        except Exception as error:
            # Also what is no botocore error: after a send, any surprise means that the call may have been done.
            raise _failure(error, action, now()) from error
        if action not in _RAW_PAGES:
            return Reply(b"", parsed)
        if _RAW_BODY not in parsed:
            message = "botocore gave no raw body"
            raise CloudError(CloudErrorKind.UNKNOWN_RESULT, "UnusableAnswer", message, action=action)
        return Reply(parsed[_RAW_BODY], {})

    def close(self) -> None:
        self._client.close()


def _client(session: boto3.session.Session, service: str, region: str, endpoint_url: str | None) -> Any:  # noqa: ANN401
    config = Config(
        retries={"total_max_attempts": 1, "mode": "standard"},
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        max_pool_connections=16,
        tcp_keepalive=True,
        user_agent_extra="strata",
        # A proxy for the outside world cannot reach this machine's own loopback.
        proxies={} if endpoint_url and _is_loopback(endpoint_url) else None,
    )
    return session.client(  # type: ignore[call-overload]
        service, region_name=region, endpoint_url=endpoint_url, config=config
    )


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _keep_raw_body(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object) -> None:
    if response_dict["status_code"] == _OK:
        customized_response_dict[_RAW_BODY] = response_dict["body"]
        response_dict["body"] = b"<Taken/>"


def _failure(error: Exception, action: str, now: datetime | None) -> CloudError:
    if isinstance(error, botocore_errors.ClientError):
        return _refusal(error, action, now)
    return CloudError(_kind(error), type(error).__name__, steady(str(error)), action=action)


def _kind(error: Exception) -> CloudErrorKind:
    if isinstance(error, _NO_CREDENTIALS):
        return CloudErrorKind.UNAUTHORIZED
    if isinstance(error, _NOT_A_CALL):
        return CloudErrorKind.INVALID
    # An SSLError may also come in the middle of an answer; a certificate is judged before anything is sent.
    if isinstance(error, _NOT_SENT) or any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error)):
        return CloudErrorKind.UNREACHABLE
    return CloudErrorKind.UNKNOWN_RESULT


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        inner = cause.args[0] if cause.args else None
        cause = cause.__cause__ or cause.__context__ or (inner if isinstance(inner, BaseException) else None)


def _refusal(error: botocore_errors.ClientError, action: str, now: datetime | None) -> CloudError:
    answer = error.response.get("Error", {})
    code, message = str(answer.get("Code", "")), str(answer.get("Message", ""))
    if error.operation_name != action:
        # STS or SSO refused the credentials that this call was to be signed with: it was never sent.
        why = f"{error.operation_name}: {steady(message)}"
        return CloudError(CloudErrorKind.UNAUTHORIZED, code, why, action=action)
    metadata = error.response.get("ResponseMetadata", {})
    skew_s = _skew_s(metadata.get("HTTPHeaders", {}), now)
    found = cloud_error(code, message, action=action, status=metadata.get("HTTPStatusCode"), skew_s=skew_s)
    if found.kind is not CloudErrorKind.CLOCK_SKEW or skew_s is None:
        return found
    # To the minute: a drifting clock must not make another text each time.
    told = f"{found.message} This machine's clock is {-skew_s / 60:+.0f} min from the server's."
    return CloudError(found.kind, found.code, told, action=action)


def _skew_s(headers: Mapping[str, str], now: datetime | None) -> float | None:
    """How far the server's clock is ahead of ours, to a second or so."""
    try:
        return None if now is None else (parsedate_to_datetime(headers["date"]) - now).total_seconds()
    except (KeyError, ValueError, TypeError):
        return None  # no date, or an odd one: then nothing is known of the skew
