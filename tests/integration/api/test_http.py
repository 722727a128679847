"""The API over real sockets: streams begin at once, end when they should, and the port is kept from strangers."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable

import pytest
from prometheus_client import Counter
from tests.kit.api import LAYERS, MERGE, STACKS, ok, refused
from tests.kit.documents import layer, stack
from tests.kit.serving import Serving, run_server

from strata.clock import SystemClock
from strata.server.app import create_app
from strata.server.listen import CannotListen, bind, serve, url_of
from strata.store.memory import MemoryStore

_SOON_S = 5


@pytest.fixture
async def server() -> AsyncIterator[Serving]:
    clock = SystemClock()
    async with run_server(MemoryStore(clock), clock) as serving:
        ok(await serving.client.post(STACKS, json=stack()), 201)
        yield serving


async def until(truth: Callable[[], int], expected: int) -> None:
    """Wait, but not long, until calling `truth` gives what is expected."""
    for _ in range(500):
        if truth() == expected:
            return
        await asyncio.sleep(0.01)
    assert truth() == expected


async def test_a_quiet_watch_answers_at_once(server: Serving) -> None:
    async with asyncio.timeout(_SOON_S):
        async with server.client.stream("GET", LAYERS, params={"watch": "true"}) as response:
            assert response.status_code == 200
            assert response.headers["content-type"] == "application/json"


async def test_a_client_that_goes_ends_its_watch(server: Serving) -> None:
    hub = server.app.state.hub
    async with server.watch(LAYERS), server.watch(STACKS):
        await until(lambda: hub.watcher_count, 2)
    await until(lambda: hub.watcher_count, 0)


async def test_events_arrive_as_they_happen(server: Serving) -> None:
    revision = ok(await server.client.get(LAYERS))["metadata"]["resourceVersion"]
    async with asyncio.timeout(_SOON_S), server.watch(LAYERS, resourceVersion=revision) as events:
        made = ok(await server.client.post(LAYERS, json=layer()), 201)
        assert await anext(events) == {"type": "ADDED", "object": made}


async def test_a_server_that_is_stopped_ends_its_watches_in_order_and_soon() -> None:
    clock = SystemClock()
    begun_s = 0.0
    async with asyncio.timeout(4 * _SOON_S), run_server(MemoryStore(clock), clock) as serving:
        ok(await serving.client.post(STACKS, json=stack()), 201)
        async with serving.watch(STACKS) as events:
            assert (await anext(events))["type"] == "ADDED"
            begun_s = time.monotonic()  # noqa: TID251 - how long it really takes is the question
            serving.task.cancel()
            # No error: the stream is ended, not cut.
            assert [event async for event in events] == []
        await asyncio.wait([serving.task])
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", int(serving.url.rpartition(":")[2]))
    assert time.monotonic() - begun_s < _SOON_S  # noqa: TID251 - how long it really takes is the question
    assert serving.task.cancelled()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "strata.example.com", ""])  # noqa: S104 - what is refused
async def test_it_does_not_listen_where_others_could_reach_it(host: str) -> None:
    with pytest.raises(CannotListen, match=r"refusing to listen .* no identities yet"):
        bind(host, 0)


async def test_a_port_in_use_is_told(server: Serving) -> None:
    clock = SystemClock()
    app = create_app(store=MemoryStore(clock), clock=clock, registry=server.registry, health=list, version="0")
    port = int(server.url.rpartition(":")[2])
    with pytest.raises(CannotListen, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
        await serve(app, "127.0.0.1", port)


def test_a_url_is_made_for_both_families() -> None:
    with bind("127.0.0.1", 0) as listener:
        assert url_of(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"
    if socket.has_ipv6:
        with bind("::1", 0) as listener:
            assert url_of(listener).startswith("http://[::1]:")


async def test_a_foreign_host_name_is_refused(server: Serving) -> None:
    refused(await server.client.get(STACKS, headers={"host": "evil.example"}), 403, "Forbidden")


async def test_a_body_too_large_is_answered_before_the_connection_breaks(server: Serving) -> None:
    answer = await server.client.post(STACKS, content=b" " * (2 * 1024 * 1024))
    refused(answer, 413, "RequestEntityTooLarge")


async def test_metrics_are_those_of_the_registry(server: Serving) -> None:
    Counter("strata_test_things", "Things", registry=server.registry).inc(3)
    answer = await server.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert "strata_test_things_total 3.0" in answer.text
    openmetrics = await server.client.get("/metrics", headers={"accept": "application/openmetrics-text;version=1.0.0"})
    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text")
    assert openmetrics.text.endswith("# EOF\n")


async def test_many_writers_and_watchers_agree_on_what_happened(server: Serving) -> None:
    writers, edits, watchers = 6, 10, 12
    revision = ok(await server.client.get(LAYERS))["metadata"]["resourceVersion"]
    total = writers + writers * edits

    async def follow() -> list[tuple[str, str, str]]:
        seen = []
        async with server.watch(LAYERS, resourceVersion=revision) as events:
            async for event in events:
                metadata = event["object"]["metadata"]
                seen.append((event["type"], metadata["name"], metadata["resourceVersion"]))
                if len(seen) == total:
                    return seen
        raise AssertionError(f"the watch ended after {len(seen)} of {total}")

    async def write(number: int) -> None:
        ok(await server.client.post(LAYERS, json=layer(f"l{number}")), 201)
        for edit in range(edits):
            body = {"metadata": {"labels": {"edit": str(edit)}}}
            ok(await server.client.patch(f"{LAYERS}/l{number}", json=body, headers=MERGE))

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        following = [tasks.create_task(follow()) for _ in range(watchers)]
        for number in range(writers):
            tasks.create_task(write(number))
    first, *others = [task.result() for task in following]
    assert all(other == first for other in others)
    versions = [int(version) for _, _, version in first]
    assert versions == sorted(set(versions))
