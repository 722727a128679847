"""The HTTP client: requests to one server, its JSON answers, its Status errors, and its streams line by line.

Owns the connection, TLS and credentials. Never decides what to do about an error: it raises (see failures). Only what
is certain to be harmless is sent twice: a GET that broke on its way, anything that the server put off (429).
"""

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, MaxRetryError, NewConnectionError, SSLError

from strata.cli.failures import ApiFailure, LostAnswer, StreamBroken, Unreachable
from strata.cli.kubeconfig import Connection
from strata.errors import Cause

Json = dict[str, Any]

JSON = "application/json"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
MERGE_PATCH = "application/merge-patch+json"

_CONNECT_S = 5.0
_PAGE = 500  # objects a page, as kubectl asks
_READS = urllib3.Retry(
    total=3, connect=0, read=1, redirect=2, status=2, backoff_factor=0.2, status_forcelist=(429, 503)
)
_WRITES = urllib3.Retry(
    total=3,
    connect=0,
    other=0,
    read=0,
    redirect=2,
    status=2,
    backoff_factor=0.2,
    status_forcelist=(429,),
    allowed_methods=None,
)
_STREAMS = urllib3.Retry(
    total=2, connect=0, read=0, redirect=2, status=0
)  # a watch tries again by itself, and knows where
# The request certainly never reached the server.
_NOT_SENT = (NewConnectionError, ConnectTimeoutError, SSLError)


class Client:
    """One server. `timeout_s` bounds the silence before an answer; None waits for ever."""

    def __init__(self, connection: Connection, *, timeout_s: float | None) -> None:
        self.connection = connection
        self._timeout = urllib3.Timeout(connect=min(_CONNECT_S, timeout_s or _CONNECT_S), read=timeout_s)
        self._pool = _pool(connection)
        self._headers = {"User-Agent": "strata-cli"}
        # As kubectl: a token is never said over a connection that everybody on the way can read.
        if connection.token and connection.url.startswith("https://"):
            self._headers["Authorization"] = f"Bearer {connection.token}"

    def get(self, path: str, *, query: Mapping[str, str] | None = None, accept: str = JSON) -> Json:
        return self._ask("GET", path, query=query, accept=accept)

    def create(self, path: str, body: Json, *, query: Mapping[str, str] | None = None) -> Json:
        return self._ask("POST", path, query=query, body=body, content_type=JSON)

    def patch(self, path: str, body: Json, *, query: Mapping[str, str] | None = None) -> Json:
        """Send a JSON merge patch."""
        return self._ask("PATCH", path, query=query, body=body, content_type=MERGE_PATCH)

    def delete(self, path: str, *, query: Mapping[str, str] | None = None) -> Json:
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        return self._ask("DELETE", path, query=query, body=body, content_type=JSON)

    def list(self, path: str, *, query: Mapping[str, str] | None = None, accept: str = JSON) -> Json:
        """A complete list or Table, page after page; in one answer if the pages expire on the way."""
        try:
            return self._pages(path, {**(query or {}), "limit": str(_PAGE)}, accept)
        except ApiFailure as failure:
            if not failure.expired:
                raise
            return self.get(path, query=query, accept=accept)

    def stream(self, path: str, *, query: Mapping[str, str], accept: str = JSON, silence_s: float) -> Iterator[Json]:
        """The lines of a watch, until the server ends it.

        Raises:
            StreamBroken: it could not be opened, broke, was cut within a line, or was silent for `silence_s`.
            ApiFailure: the server refused it.
        """
        timeout = urllib3.Timeout(connect=_CONNECT_S, read=silence_s)
        try:
            response = self._request("GET", path, query=query, accept=accept, timeout=timeout, retries=_STREAMS)
            with closing(response):
                if response.status >= HTTPStatus.BAD_REQUEST:
                    raise _failure(response.status, response.read())
                yield from _lines(response)
        except HTTPError as error:
            raise StreamBroken(_words(_root(error))) from error

    def _pages(self, path: str, query: Mapping[str, str], accept: str) -> Json:
        page = whole = self.get(path, query=query, accept=accept)
        while token := page.get("metadata", {}).get("continue"):
            page = self.get(path, query={**query, "continue": token}, accept=accept)
            for part in ("items", "rows"):
                if part in page:
                    whole[part] = [*(whole.get(part) or []), *page[part]]
        return whole

    def _ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None,
        accept: str = JSON,
        body: Json | None = None,
        content_type: str = "",
    ) -> Json:
        try:
            response = self._request(method, path, query=query, accept=accept, body=body, content_type=content_type)
        except HTTPError as error:
            raise self._lost(method, path, _root(error)) from error
        if response.status >= HTTPStatus.BAD_REQUEST:
            raise _failure(response.status, response.data)
        answer = _object(response.data)
        if answer is None:
            raise Unreachable(self.connection.url, self.connection.source, "what answers there is not a Strata server")
        return answer

    def _request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None,
        accept: str,
        body: Json | None = None,
        content_type: str = "",
        timeout: urllib3.Timeout | None = None,
        retries: urllib3.Retry | None = None,
    ) -> urllib3.BaseHTTPResponse:
        content = {"Content-Type": content_type} if content_type else {}
        return self._pool.request(
            method,
            self.connection.url + path + (f"?{urlencode(query)}" if query else ""),
            body=None if body is None else json.dumps(body).encode(),
            headers={**self._headers, **content, "Accept": accept},
            timeout=timeout or self._timeout,
            retries=retries or (_READS if method == "GET" else _WRITES),
            preload_content=retries is not _STREAMS,  # so that a body that breaks is tried again as well
        )

    def _lost(self, method: str, path: str, cause: BaseException) -> Unreachable | LostAnswer:
        if method == "GET" or isinstance(cause, _NOT_SENT):
            return Unreachable(self.connection.url, self.connection.source, _words(cause))
        return LostAnswer(f"{method} {path}", _words(cause))


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
    if isinstance(original, OSError) and original.strerror:
        return original.strerror.lower()
    return str(cause).rpartition(": ")[2] if isinstance(cause, NewConnectionError) else str(cause)
