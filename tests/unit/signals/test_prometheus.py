"""What the Prometheus client makes of good answers, of bad ones, and of servers that behave oddly."""

import asyncio
import base64
import json
import math
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.kit.certificates import make_certificates
from tests.unit.cloud.odd_server import OddServer, http, odd_server

from strata.clock import SystemClock
from strata.errors import SignalError
from strata.resources.signal import Point
from strata.signals.prometheus import HttpPrometheus, PrometheusServers
from strata.signals.settings import PrometheusSettings

END = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
START = END - timedelta(minutes=5)


def matrix(*series: tuple[dict[str, str], list[tuple[float, str]]]) -> str:
    result = [{"metric": labels, "values": values} for labels, values in series]
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}})


@asynccontextmanager
async def prometheus(url: str, **settings: Any) -> AsyncIterator[HttpPrometheus]:
    client = HttpPrometheus("main", PrometheusSettings(url=url, **settings), SystemClock())
    try:
        yield client
    finally:
        client.close()


async def ask(url: str, query: str = "up", **settings: Any) -> tuple[Point, ...]:
    async with prometheus(url, **settings) as client:
        return await client.query_range(query, start_at=START, end_at=END, step_s=60)


async def refusal(url: str, **settings: Any) -> SignalError:
    with pytest.raises(SignalError) as caught:
        await ask(url, **settings)
    return caught.value


@pytest.fixture
async def odd() -> AsyncIterator[OddServer]:
    async with odd_server() as server:
        yield server


async def test_the_numbers_of_one_series_come_with_their_times(odd: OddServer) -> None:
    odd.answer = lambda _: http(matrix(({}, [(START.timestamp(), "1.5"), (END.timestamp(), "2")])))
    assert await ask(odd.url, "sum(queue) > bool 'ä'") == (Point(START, 1.5), Point(END, 2.0))
    assert odd.asked == [
        {"query": "sum(queue) > bool 'ä'", "start": "1772366100.000", "end": "1772366400.000", "step": "60"}
    ]


async def test_moments_without_a_number_are_left_out(odd: OddServer) -> None:
    values = [(START.timestamp() + n * 60, text) for n, text in enumerate(["NaN", "+Inf", "-Inf", "3"])]
    odd.answer = lambda _: http(matrix(({}, values)))
    (point,) = await ask(odd.url)
    assert point == Point(START + timedelta(minutes=3), 3.0)
    assert math.isfinite(point.value)


async def test_a_query_that_finds_nothing_has_no_points(odd: OddServer) -> None:
    odd.answer = lambda _: http(matrix())
    assert await ask(odd.url) == ()


async def test_several_series_are_refused_and_the_text_says_how_to_make_them_one(odd: OddServer) -> None:
    odd.answer = lambda _: http(matrix(*(({"__name__": "queue", "pod": pod}, []) for pod in "cab")))
    error = await refusal(odd.url)
    assert error.reason == "SeveralSeries"
    assert error.message == (
        'the query gives several series, such as queue{pod="a"} and queue{pod="b"}: make it one with sum(…) or max(…)'
    )


async def test_a_refused_query_is_told_in_the_words_of_prometheus(odd: OddServer) -> None:
    refused = {"status": "error", "errorType": "bad_data", "error": "parse error: unexpected end of input"}
    odd.answer = lambda _: http(json.dumps(refused), "400 Bad Request")
    error = await refusal(odd.url)
    assert (error.reason, error.message) == (
        "QueryRefused",
        "main refuses the query: parse error: unexpected end of input",
    )


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("<html>502</html>", "502 Bad Gateway"),
        ("", "200 OK"),
        ('{"status": "success", "data": {"resultType": "vector", "result": []}}', "200 OK"),
        ('{"status": "success", "data": {"resultType": "matrix", "result": [{"values": [["x", 1]]}]}}', "200 OK"),
        ("", "307 Temporary Redirect"),
    ],
)
async def test_what_is_no_answer_of_prometheus_is_no_number(odd: OddServer, body: str, status: str) -> None:
    odd.answer = lambda _: http(body, status, "Location: http://127.0.0.1:1/")
    assert (await refusal(odd.url)).reason == "UnusableAnswer"
    assert len(odd.asked) == 1, "no redirect is followed, nothing is tried again"


async def test_a_number_that_is_none_is_no_number(odd: OddServer) -> None:
    odd.answer = lambda _: http(matrix(({}, [(1.0, "many")])))
    assert (await refusal(odd.url)).reason == "UnusableAnswer"


@pytest.mark.parametrize("answer", [lambda _: None, lambda _: http("{", length=1000)], ids=["hangs up", "breaks off"])
async def test_a_connection_that_breaks_is_told_the_same_each_time(
    odd: OddServer, answer: Callable[[dict[str, str]], bytes | None]
) -> None:
    odd.answer = answer
    first, second = await refusal(odd.url), await refusal(odd.url)
    assert first.reason == "Unreachable"
    assert first.message == second.message


async def test_a_server_that_is_not_there_is_unreachable() -> None:
    error = await refusal("http://127.0.0.1:1")
    assert error.message == ("main does not answer at http://127.0.0.1:1/api/v1/query_range: no connection can be made")


async def test_an_answer_that_does_not_end_is_cut_off(odd: OddServer) -> None:
    odd.answer = lambda _: http("[" + " " * 5_000_000)
    assert (await refusal(odd.url)).reason == "AnswerTooLarge"


async def test_a_silent_server_costs_no_more_than_the_deadline(odd: OddServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strata.signals.prometheus._DEADLINE_S", 0.3)
    odd.hold.clear()
    async with prometheus(odd.url) as client, asyncio.timeout(5):
        calls = (client.query_range(f"q{n}", start_at=START, end_at=END, step_s=60) for n in range(20))
        errors = await asyncio.gather(*calls, return_exceptions=True)
        odd.hold.set()
    assert {str(error) for error in errors} == {"Unreachable: main did not answer within 0 seconds"}
    assert len(odd.asked) <= 4, "those that had no turn in time were not asked"


async def test_a_token_is_sent_and_a_new_one_is_read_without_a_restart(tmp_path: Path) -> None:
    token = tmp_path / "token"
    heads: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(http(matrix(), "200 OK"))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/prometheus/"
    async with server, prometheus(url, token_path=token) as client:
        for secret in ("one\n", "two"):
            token.write_text(secret)
            await client.query_range("up", start_at=START, end_at=END, step_s=60)
        assert "Authorization: Bearer one\r\n" in heads[0]
        assert heads[0].startswith("POST /prometheus/api/v1/query_range ")
        assert "Authorization: Bearer two\r\n" in heads[1]
        token.write_text("two\nlines")
        with pytest.raises(SignalError, match=r"^NoCredentials: main: .* is not one line of text$"):
            await client.query_range("up", start_at=START, end_at=END, step_s=60)
        token.unlink()
        with pytest.raises(SignalError, match=r"^NoCredentials: main: .* cannot be read: FileNotFoundError$"):
            await client.query_range("up", start_at=START, end_at=END, step_s=60)
    assert len(heads) == 2


async def test_a_password_goes_with_its_user(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("pässword\n")
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(http("", "401 Unauthorized"))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        error = await refusal(url, user="ops", password_path=password)
    assert error.reason == "Unauthorized"
    assert f"Basic {base64.b64encode('ops:pässword'.encode()).decode()}".encode() in heads[0]


async def test_a_certificate_is_checked_against_the_authority_that_is_named(tmp_path: Path) -> None:
    made, other = make_certificates(tmp_path / "made"), make_certificates(tmp_path / "other")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.server_cert, made.server_key)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(http(matrix(({}, [(END.timestamp(), "1")]))))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        assert await ask(url, ca_path=made.ca) == (Point(END, 1.0),)
        error = await refusal(url, ca_path=other.ca)
    assert error.reason == "Unreachable"
    assert error.message.endswith("its certificate is not trusted, or it speaks no TLS")


def test_a_source_that_the_settings_do_not_know_is_named_with_those_they_do() -> None:
    servers = PrometheusServers({"main": PrometheusSettings(url="http://127.0.0.1:1")}, SystemClock())
    with pytest.raises(SignalError) as caught:
        servers("mian")
    assert caught.value.reason == "UnknownSource"
    assert caught.value.message.endswith("they have: main")
    servers.close()


def test_an_authority_that_is_none_is_said_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    settings = PrometheusSettings(url="https://127.0.0.1:1", ca_path=tmp_path / "ca.pem")
    with pytest.raises(ValueError, match=r"^prometheus: .*ca.pem is no authority's certificate"):
        PrometheusServers({"main": settings}, SystemClock())


@pytest.mark.parametrize(
    "settings",
    [
        {"url": "ftp://host"},
        {"url": "http://"},
        {"url": "http://user:secret@host"},
        {"url": "http://host?x=1"},
        {"url": "http://host", "user": "ops"},
        {"url": "http://host", "user": "ops", "password_path": Path("p"), "token_path": Path("t")},
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^prometheus: "):
        PrometheusSettings(**settings)
