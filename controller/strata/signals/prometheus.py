"""HttpPrometheus: the port to Prometheus over its HTTP API. Asks, and reads the answer; decides and retries nothing.

Whatever the other side does, a call ends in time and takes little memory: time-outs bound a silent server, a deadline
one that trickles, a limit one that pours; and calls that had no turn by their deadline are not made.
"""

import asyncio
import base64
import math
import ssl
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, SSLError

from strata.clock import Clock
from strata.errors import SignalError
from strata.resources.signal import Point
from strata.signals.port import Prometheus
from strata.signals.settings import PrometheusSettings

_CONNECT_S: Final = 3.1  # a lost SYN is sent again after 1 s, and after 3
_SILENCE_S: Final = 5.0  # between two pieces of an answer
_DEADLINE_S: Final = 10.0
_MAX_BYTES: Final = 4 * 2**20  # one series of 11,000 points, which is Prometheus's most, takes a tenth
_PIECE_BYTES: Final = 65_536
_CALLS: Final = 4  # at once, to one server
_REDIRECTS: Final = range(300, 400)
_FORBIDDEN: Final = frozenset({401, 403})
_SERIES_SHOWN: Final = 2
_MESSAGE_CHARS: Final = 300


class _Series(msgspec.Struct):
    metric: dict[str, str] = {}
    values: list[tuple[float, str]] = []


class _Data(msgspec.Struct, rename="camel"):
    result_type: str = ""
    result: list[_Series] = []


class _Answer(msgspec.Struct, rename="camel"):
    status: str
    data: _Data = msgspec.field(default_factory=_Data)
    error: str = ""


_decoder = msgspec.json.Decoder(_Answer)


class HttpPrometheus:
    """One server. Belongs to one event loop. Implements strata.signals.port.Prometheus."""

    def __init__(self, name: str, settings: PrometheusSettings, clock: Clock) -> None:
        self._name = name
        self._settings = settings
        self._clock = clock
        self._url = f"{settings.url.rstrip('/')}/api/v1/query_range"
        # A pool of its own: one server that hangs takes no thread from others.
        self._threads = ThreadPoolExecutor(_CALLS, thread_name_prefix=f"prometheus-{name}")
        self._http = urllib3.PoolManager(
            num_pools=1,
            maxsize=_CALLS,
            block=True,
            timeout=urllib3.Timeout(connect=_CONNECT_S, read=_SILENCE_S),
            retries=False,
            ssl_context=_trust(settings),
        )

    async def query_range(self, query: str, *, start_at: datetime, end_at: datetime, step_s: int) -> tuple[Point, ...]:
        """See Prometheus."""
        fields = {
            "query": query,
            "start": f"{start_at.timestamp():.3f}",
            "end": f"{end_at.timestamp():.3f}",
            "step": str(step_s),
        }
        work = partial(self._ask, fields, self._clock.monotonic_s() + _DEADLINE_S)
        try:
            async with asyncio.timeout(_DEADLINE_S):
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except TimeoutError:
            raise self._late() from None

    def close(self) -> None:
        """Make no more calls. Those that run end by themselves, in time."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._http.clear()

    def _ask(self, fields: Mapping[str, str], deadline_s: float) -> tuple[Point, ...]:
        """One call, in a thread."""
        try:
            # POST: a query may be longer than a URL.
            answer = self._http.request(
                "POST",
                self._url,
                fields=dict(fields),
                encode_multipart=False,
                headers=self._headers(),
                redirect=False,
                preload_content=False,
            )
            try:
                body = b"".join(self._pieces(answer, deadline_s))
            finally:
                answer.close()
        except HTTPError as error:
            raise self._unreachable(error) from error
        return self._read(answer.status, body)

    def _pieces(self, answer: urllib3.BaseHTTPResponse, deadline_s: float) -> Iterator[bytes]:
        size = 0
        while piece := answer.read1(_PIECE_BYTES, decode_content=False):
            size += len(piece)
            if size > _MAX_BYTES:
                raise SignalError("AnswerTooLarge", f"{self._name} answers with more than {_MAX_BYTES // 2**20} MiB")
            if self._clock.monotonic_s() > deadline_s:
                raise self._late()  # nobody waits any more: give the thread back
            yield piece

    def _late(self) -> SignalError:
        return SignalError("Unreachable", f"{self._name} did not answer within {_DEADLINE_S:.0f} seconds")

    def _headers(self) -> dict[str, str]:
        plain = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "strata"}
        settings = self._settings
        if settings.token_path is not None:
            return plain | {"Authorization": f"Bearer {self._secret(settings.token_path)}"}
        if settings.user is not None and settings.password_path is not None:
            pair = f"{settings.user}:{self._secret(settings.password_path)}"
            return plain | {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        return plain

    def _secret(self, file: Path) -> str:
        try:
            secret = file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            text = f"{self._name}: {file} cannot be read: {type(error).__name__}"
            raise SignalError("NoCredentials", text) from error
        if not secret.isprintable():
            raise SignalError("NoCredentials", f"{self._name}: {file} is not one line of text")
        return secret

    def _unreachable(self, error: HTTPError) -> SignalError:
        """Says the same each time: urllib3's own words have addresses of objects in them."""
        if isinstance(error, SSLError):
            why = "its certificate is not trusted, or it speaks no TLS"
        elif isinstance(error, NewConnectionError | ConnectTimeoutError):
            why = "no connection can be made"
        else:
            why = f"the connection broke ({type(error).__name__})"
        return SignalError("Unreachable", f"{self._name} does not answer at {self._url}: {why}")

    def _read(self, status: int, body: bytes) -> tuple[Point, ...]:
        if status in _FORBIDDEN:
            raise SignalError("Unauthorized", f"{self._name} refuses our credentials: HTTP {status}")
        if status in _REDIRECTS:
            raise SignalError("UnusableAnswer", f"{self._name} answers with a redirect: its URL is another one")
        try:
            answer = _decoder.decode(body)
        except msgspec.MsgspecError as error:
            text = f"{self._name} answers HTTP {status} with what is no answer of Prometheus"
            raise SignalError("UnusableAnswer", text) from error
        if answer.status != "success":
            raise SignalError("QueryRefused", f"{self._name} refuses the query: {answer.error[:_MESSAGE_CHARS]}")
        return self._points(answer.data)

    def _points(self, data: _Data) -> tuple[Point, ...]:
        if data.result_type != "matrix":
            raise SignalError("UnusableAnswer", f"{self._name} answers with a {data.result_type}, not a matrix")
        if len(data.result) > 1:
            shown = sorted(_labels(series.metric) for series in data.result)[:_SERIES_SHOWN]
            text = f"the query gives several series, such as {' and '.join(shown)}: make it one with sum(…) or max(…)"
            raise SignalError("SeveralSeries", text)
        try:
            return tuple(_numbers(data.result))
        except (ValueError, OverflowError) as error:
            raise SignalError("UnusableAnswer", f"{self._name} answers with what is no number or no time") from error


class PrometheusServers:
    """All that the daemon's settings name: the PrometheusSource of the process."""

    def __init__(self, servers: Mapping[str, PrometheusSettings], clock: Clock) -> None:
        """Raises ValueError for an authority's certificate that cannot be read."""
        self._servers = {name: HttpPrometheus(name, settings, clock) for name, settings in servers.items()}

    def __call__(self, name: str) -> Prometheus:
        """The server of this name. Raises SignalError for one that the settings do not know."""
        if name not in self._servers:
            known = ", ".join(sorted(self._servers)) or "none"
            text = f"the daemon's settings have no Prometheus {name!r} (--prometheus {name}=URL); they have: {known}"
            raise SignalError("UnknownSource", text)
        return self._servers[name]

    def close(self) -> None:
        for server in self._servers.values():
            server.close()


def _numbers(result: Iterable[_Series]) -> Iterator[Point]:
    for series in result:
        for at_s, text in series.values:
            if math.isfinite(number := float(text)):
                yield Point(datetime.fromtimestamp(at_s, UTC), number)


def _labels(metric: Mapping[str, str]) -> str:
    inside = ", ".join(f'{name}="{value}"' for name, value in sorted(metric.items()) if name != "__name__")
    return f"{metric.get('__name__', '')}{{{inside}}}"


def _trust(settings: PrometheusSettings) -> ssl.SSLContext | None:
    if not settings.url.startswith("https:"):
        return None
    try:
        return ssl.create_default_context(cafile=settings.ca_path)
    except OSError as error:
        raise ValueError(f"prometheus: {settings.ca_path} is no authority's certificate: {error}") from error
