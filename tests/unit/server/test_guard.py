"""Who may ask: programs of this machine. Not web pages, whatever name they found for it."""

import pytest
from tests.kit.api import STACK_KEY, STACKS, Api, ok, refused
from tests.kit.documents import stack

from strata.server.guard import is_loopback


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8080", "127.0.0.1:80", "127.8.8.8", "[::1]:8080", "LOCALHOST."]
)
async def test_loopback_names_are_let_in(api: Api, host: str) -> None:
    ok(await api.client.get(STACKS, headers={"host": host}))


@pytest.mark.parametrize(
    "host",
    [
        "strata.example.com",
        "127.0.0.1.example.com",
        "10.0.0.1",
        "localhost.evil.com",
        "",
        "0.0.0.0",  # noqa: S104 - a table
        "[::",
        "a@127.0.0.1@b",
    ],
)
async def test_other_names_are_not(api: Api, host: str) -> None:
    answer = await api.client.get(STACKS, headers={"host": host})
    assert "localhost" in refused(answer, 403, "Forbidden")["message"]


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:9999", "http://localhost@evil"])
async def test_pages_of_other_origins_write_nothing(api: Api, origin: str) -> None:
    refused(await api.client.post(STACKS, json=stack(), headers={"origin": origin}), 403, "Forbidden")
    assert await api.store.get(STACK_KEY) is None


async def test_a_page_of_our_own_may_ask(api: Api) -> None:
    ok(await api.client.get(STACKS, headers={"origin": "http://localhost"}))


@pytest.mark.parametrize(("host", "expected"), [("::1", True), ("127.0.0.1", True), ("0.0.0.0", False), ("::", False)])  # noqa: S104 - a table
def test_loopback_addresses(host: str, expected: bool) -> None:  # noqa: FBT001 - a table's column
    assert is_loopback(host) is expected
