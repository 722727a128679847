"""The HTTP client: requests to one server, its JSON answers, its Status errors, and its streams line by line.

Owns the connection, TLS, credentials, and how long a call may take. Never decides what to do about an error: it raises
(see failures). Only what is certain to be harmless is sent twice: a GET that broke on its way or that the server cannot
answer now (503), anything that it put off (429).
"""

import http.client
import json
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    MaxRetryError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)

from strata.cli.failures import ApiFailure, LostAnswer, Silent, StreamBroken, Unreachable
from strata.cli.kubeconfig import Connection
from strata.cli.pausing import pause
from strata.clock import Clock, SystemClock
from strata.errors import Cause

Json = dict[str, Any]

JSON = "application/json"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
MERGE_PATCH = "application/merge-patch+json"

_CONNECT_S = 5.0
_PAGE = 500  # objects a page, as kubectl asks
_PUT_OFF_S = 5.0  # so long a server that says "later" is asked again, then its own words are told
_LATER_S = 1.0  # where it does not say how much later
_SHORTEST_S = 0.01
_SAME_TIME = timedelta(seconds=10)  # a Date has whole seconds, and was on its way
_CHUNK_BYTES = 65_536
# Redirects alone: what is tried again, and for how long, is decided here, where the whole call's time is known.
_REDIRECTS = urllib3.Retry(
    total=2, connect=0, read=0, redirect=2, status=0, other=0, respect_retry_after_header=False, raise_on_status=False
)
# The request certainly never reached the server.
_NOT_SENT = (NewConnectionError, ConnectTimeoutError, SSLError)
_BROKE = (ProtocolError, ReadTimeoutError)
_UNKNOWN_PATH = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED)
_CLOCK = SystemClock()
_POOL = re.compile(r"^\w+Pool\([^)]*\): |<[^>]* object at 0x[0-9a-f]+>: ")  # urllib3's names for its own objects


@dataclass(frozen=True, slots=True)
class _Call:
    """What is asked, and until when: with all its tries, and while the server says "later"."""

    method: str
    path: str
    accept: str
    body: Json | None = None
    content_type: str = ""
    deadline_s: float = math.inf
    put_off_until_s: float = math.inf

    def may_wait(self, code: int) -> bool:
        """Whether this answer means that nothing was done, and that asking again may help."""
        unavailable = code == HTTPStatus.SERVICE_UNAVAILABLE and self.method == "GET"
        return unavailable or code == HTTPStatus.TOO_MANY_REQUESTS


class _NotWhole(HTTPError):  # noqa: N818 - leaves this module as a failure
    """An answer that trickles is never silent, and never whole."""


class Client:
    """One server. `timeout_s` bounds every call from its start to the end of its answer, with all tries and all pages;
    None waits for ever. A stream is bounded by its silence instead."""

    def __init__(self, connection: Connection, *, timeout_s: float | None, clock: Clock = _CLOCK) -> None:
        self.connection = connection
        self._timeout_s = math.inf if timeout_s is None else timeout_s
        self._clock = clock
        self._pool = _pool(connection)
        self._headers = {"User-Agent": "strata-cli"}
        self.server_ahead = timedelta(0)  # by the last answer's Date
        # As kubectl: a token is never said over a connection that everybody on the way can read.
        if connection.token and connection.url.startswith("https://"):
            self._headers["Authorization"] = f"Bearer {connection.token}"

    def get(self, path: str, *, query: Mapping[str, str] | None = None, accept: str = JSON) -> Json:
        return self._answer(self._call("GET", path, accept=accept), query)

    def create(self, path: str, body: Json, *, query: Mapping[str, str] | None = None) -> Json:
        return self._answer(self._call("POST", path, body=body, type_=JSON), query)

    def patch(self, path: str, body: Json, *, query: Mapping[str, str] | None = None) -> Json:
        """Send a JSON merge patch."""
        return self._answer(self._call("PATCH", path, body=body, type_=MERGE_PATCH), query)

    def delete(self, path: str, *, query: Mapping[str, str] | None = None) -> Json:
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        return self._answer(self._call("DELETE", path, body=body, type_=JSON), query)

    def list(self, path: str, *, query: Mapping[str, str] | None = None, accept: str = JSON) -> Json:
        """A complete list or Table, page after page; in one answer if the pages expire on the way."""
        call = self._call("GET", path, accept=accept)
        try:
            return self._pages(call, {**(query or {}), "limit": str(_PAGE)})
        except ApiFailure as failure:
            if not failure.expired:
                raise
            return self._answer(call, query)

    def stream(self, path: str, *, query: Mapping[str, str], accept: str = JSON, silence_s: float) -> Iterator[Json]:
        """The lines of a watch, until the server ends it.

        Raises:
            StreamBroken: it could not be opened, broke, was cut within a line, or was silent for `silence_s`.
            ApiFailure: the server refused it.
        """
        timeout = urllib3.Timeout(connect=_CONNECT_S, read=silence_s)
        try:
            with closing(self._send(_Call("GET", path, accept), query, timeout)) as response:
                if response.status >= HTTPStatus.BAD_REQUEST:
                    raise _failure(response.status, response.read())
                yield from _lines(response)
        except HTTPError as error:
            raise StreamBroken(_words(_root(error))) from error

    def _call(
        self, method: str, path: str, *, accept: str = JSON, body: Json | None = None, type_: str = ""
    ) -> "_Call":
        now_s = self._clock.monotonic_s()
        return _Call(method, path, accept, body, type_, now_s + self._timeout_s, now_s + _PUT_OFF_S)

    def _pages(self, call: "_Call", query: Mapping[str, str]) -> Json:
        page = whole = self._answer(call, query)
        while token := page.get("metadata", {}).get("continue"):
            page = self._answer(call, {**query, "continue": token})
            for part in ("items", "rows"):
                if part in page:
                    whole[part] = [*(whole.get(part) or []), *page[part]]
        return whole

    def _answer(self, call: "_Call", query: Mapping[str, str] | None) -> Json:
        code, data = self._asked(call, query)
        answer = _object(data)
        if code >= HTTPStatus.BAD_REQUEST:
            # Our own server says also of what it does not have a Status.
            if code in _UNKNOWN_PATH and (answer or {}).get("kind") != "Status":
                raise self._stranger(f"it answers HTTP {code} to {call.path}")
            raise _failure(code, data)
        if answer is None or not _is_shaped(call.path, answer):
            raise self._stranger(f"its answer to {call.path} is not of the API")
        return answer

    def _asked(self, call: "_Call", query: Mapping[str, str] | None) -> tuple[int, bytes]:
        """Ask until there is an answer that is not "later", or the time for that is over."""
        broke = False
        while True:
            try:
                code, data, later_s = self._exchange(call, query)
            except HTTPError as error:
                again = call.method == "GET" and not broke and isinstance(_root(error), _BROKE)
                if not again or self._left_s(call) <= 0:
                    raise self._lost(call, _root(error)) from error
                broke = True
                continue
            end_s = min(call.put_off_until_s, call.deadline_s)
            if not call.may_wait(code) or self._clock.monotonic_s() + later_s > end_s:
                return code, data
            pause(later_s)

    def _exchange(self, call: "_Call", query: Mapping[str, str] | None) -> tuple[int, bytes, float]:
        """One request and its whole answer: the code, the body, and how much later it wants to be asked again."""
        left_s = max(self._left_s(call), _SHORTEST_S)
        bound_s = None if left_s == math.inf else left_s
        with closing(
            self._send(call, query, urllib3.Timeout(connect=min(_CONNECT_S, left_s), read=bound_s))
        ) as response:
            parts: list[bytes] = []
            while part := response.read1(_CHUNK_BYTES):
                parts.append(part)
                if self._left_s(call) <= 0:
                    raise _NotWhole("its answer was not whole in time")
            response.release_conn()
            return response.status, b"".join(parts), _later_s(response.headers.get("Retry-After"))

    def _left_s(self, call: "_Call") -> float:
        return call.deadline_s - self._clock.monotonic_s()

    def _send(
        self, call: "_Call", query: Mapping[str, str] | None, timeout: urllib3.Timeout
    ) -> urllib3.BaseHTTPResponse:
        content = {"Content-Type": call.content_type} if call.content_type else {}
        response = self._pool.request(
            call.method,
            self.connection.url + call.path + (f"?{urlencode(query)}" if query else ""),
            body=None if call.body is None else json.dumps(call.body).encode(),
            headers={**self._headers, **content, "Accept": call.accept},
            timeout=timeout,
            retries=_REDIRECTS,
            preload_content=False,
        )
        self.server_ahead = _ahead(response.headers.get("Date", ""), self._clock.now())
        return response

    def _stranger(self, why: str) -> Unreachable:
        return Unreachable(
            self.connection.url, self.connection.source, f"what answers there is not a Strata server: {why}"
        )

    def _lost(self, call: "_Call", cause: BaseException) -> Unreachable | LostAnswer:
        if call.method == "GET" or isinstance(cause, _NOT_SENT):
            failure = Silent if isinstance(cause, (ReadTimeoutError, _NotWhole)) else Unreachable
            return failure(self.connection.url, self.connection.source, _words(cause))
        return LostAnswer(f"{call.method} {call.path}", _words(cause), _looking(call))


def _pool(connection: Connection) -> urllib3.PoolManager:
    if not connection.url.startswith("https://"):
        return urllib3.PoolManager()
    from strata.cli.tls import context  # noqa: PLC0415 - plain HTTP does not pay for it

    if not connection.verify:  # somebody decided so, in writing; saying it at every request helps nobody
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    if not connection.server_name:
        return urllib3.PoolManager(ssl_context=context(connection))
    name = connection.server_name
    return urllib3.PoolManager(ssl_context=context(connection), server_hostname=name, assert_hostname=name)


def _lines(response: urllib3.BaseHTTPResponse) -> Iterator[Json]:
    rest = b""
    for chunk in response.stream(65_536, decode_content=True):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (json.loads(line) for line in lines if line.strip())
    if rest.strip():
        raise StreamBroken("the stream was cut within a line")


def _failure(code: int, data: bytes) -> ApiFailure:
    """The Status in an error's body, or what the HTTP code alone says."""
    status = _object(data) or {}
    phrase = http.client.responses.get(code, "error")
    return status_failure(
        {"code": code, "reason": phrase.replace(" ", ""), "message": f"HTTP {code} {phrase}", **status}
    )


def status_failure(status: Json) -> ApiFailure:
    """A Kubernetes Status object as a failure."""
    causes = (status.get("details") or {}).get("causes") or []
    return ApiFailure(
        int(status.get("code") or HTTPStatus.INTERNAL_SERVER_ERROR),
        str(status.get("reason") or "Unknown"),
        str(status.get("message") or ""),
        tuple(Cause(c.get("field", ""), c.get("reason", ""), c.get("message", "")) for c in causes),
    )


def _object(data: bytes) -> Json | None:
    try:
        answer = json.loads(data)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def _root(error: HTTPError) -> BaseException:
    return error.reason if isinstance(error, MaxRetryError) and error.reason else error


def _words(cause: BaseException) -> str:
    """What went wrong, without urllib3's object names."""
    original = cause.__cause__ or cause.__context__
    if isinstance(cause, ReadTimeoutError):
        return "it gave no answer in time"
    if isinstance(cause, ConnectTimeoutError) and not isinstance(cause, NewConnectionError):
        return "no connection came about in time"
    if isinstance(original, OSError) and original.strerror:
        return original.strerror.lower()
    if isinstance(cause, ProtocolError):
        return "the connection broke before the answer was whole"
    return str(cause).rpartition(": ")[2] if isinstance(cause, NewConnectionError) else _POOL.sub("", str(cause))


def _later_s(text: str | None) -> float:
    """Retry-After in seconds; a date is not waited for."""
    return min(max(float(text), _SHORTEST_S), _PUT_OFF_S) if text and text.isdigit() else _LATER_S


def _ahead(date: str, now: datetime) -> timedelta:
    """How far the clock of whoever said this Date is ahead of ours."""
    try:
        ahead = parsedate_to_datetime(date) - now
    except (ValueError, TypeError):
        return timedelta(0)  # none, or without a zone
    return ahead if abs(ahead) > _SAME_TIME else timedelta(0)


def _is_shaped(path: str, answer: Json) -> bool:
    """Whether this is what an API server says: an object, a list or a Table."""
    return not path.startswith("/api") or isinstance(answer.get("kind") or answer.get("items"), str | list)


def _looking(call: _Call) -> str:
    """The command that shows what came of a write."""
    if call.path.startswith("/strata/"):
        return "strata orphans list"
    made = ((call.body or {}).get("metadata") or {}).get("name") if call.method == "POST" else None
    *before, plural, name = (f"{call.path}/{made}" if made else call.path).split("/")
    return f"strata get {plural} {name}" + (f" -n {before[-1]}" if "namespaces" in before else "")
