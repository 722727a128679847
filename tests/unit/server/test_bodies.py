"""Request bodies: bounded, strict, and every refusal says what is wrong."""

from collections.abc import AsyncIterator

import pytest
from tests.kit.api import STACK_KEY, STACKS, Api, refused
from tests.kit.documents import stack

JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not JSON"),
        (b"{", "line 1 column 2"),
        (b"[]", "must be a JSON object"),
        (b"3", "must be a JSON object"),
        (b'{"a": 1, "b": 2, "a": 3}', 'duplicate field "a"'),
        (b'{"spec": {"x": {"a": 1, "a": 1}}}', 'duplicate field "a"'),
        (b'{"a": NaN}', "NaN is not a number"),
        (b'{"a": -Infinity}', "-Infinity is not a number"),
        (b'{"a": 1e999}', "out of range"),
        (b'{"a": 9223372036854775808}', "out of range"),
        (b'{"a": ' + b"9" * 5000 + b"}", "out of range"),
        (b'{"a": "\xff"}', "not UTF-8: byte 7"),
        (b'{"a": "\\ud800"}', "surrogate"),
        (b'{"\\ud800": 1}', "surrogate"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 70 + b"1" + b"}" * 70, "nested too deeply"),
        (b'{"a": 1} x', "line 1 column 10"),
        (b"\xef\xbb\xbf{}", "BOM"),
    ],
)
async def test_what_is_not_strict_json_is_refused_clearly(api: Api, content: bytes, said: str) -> None:
    answer = await api.client.post(STACKS, content=content, headers=JSON)
    assert said in refused(answer, 400, "BadRequest")["message"]


@pytest.mark.parametrize("size_bytes", [1024 * 1024 + 1, 2 * 1024 * 1024, 9 * 1024 * 1024])
async def test_a_body_too_large_is_refused(api: Api, size_bytes: int) -> None:
    answer = await api.client.post(STACKS, content=b" " * size_bytes, headers=JSON)
    assert "limit is 1048576 bytes" in refused(answer, 413, "RequestEntityTooLarge")["message"]


async def test_reading_stops_where_a_body_has_no_end(api: Api) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b" " * 65_536

    refused(await api.client.post(STACKS, content=endless(), headers=JSON), 413, "RequestEntityTooLarge")
    assert sent < 60


async def test_other_media_types_are_refused(api: Api) -> None:
    for media_type in ("application/yaml", "text/plain", "application/x-www-form-urlencoded"):
        answer = await api.client.post(STACKS, content=b"{}", headers={"content-type": media_type})
        refused(answer, 415, "UnsupportedMediaType")
    assert await api.store.get(STACK_KEY) is None


async def test_no_media_type_is_json(api: Api) -> None:
    request = api.client.build_request("POST", STACKS, json=stack())
    del request.headers["content-type"]
    assert (await api.client.send(request)).status_code == 201
