"""The API on a real etcd: two servers race on one store, a watch moves between them, etcd is killed under them."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.contract.store.worlds import quick_settings
from tests.kit.api import LAYERS, STACKS, Api, ok, refused, run_api
from tests.kit.documents import layer, stack
from tests.kit.etcd import WHEEL, Etcd, find_binary
from tests.kit.serving import Serving, run_server

from strata.clock import SystemClock
from strata.store.etcd.store import open_etcd

pytestmark = pytest.mark.etcd

_PATIENCE_S = 30
WEB = f"{LAYERS}/web"


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[Etcd]:
    etcd = Etcd(find_binary(WHEEL), tmp_path)
    etcd.start()
    try:
        yield etcd
    finally:
        etcd.kill()


@asynccontextmanager
async def api_on(etcd: Etcd) -> AsyncIterator[Api]:
    clock = SystemClock()
    async with open_etcd(quick_settings(etcd.url), clock, random.Random(1)) as store, run_api(store, clock) as api:
        yield api


@asynccontextmanager
async def server_on(etcd: Etcd) -> AsyncIterator[Serving]:
    clock = SystemClock()
    async with (
        open_etcd(quick_settings(etcd.url), clock, random.Random(1)) as store,
        run_server(store, clock) as server,
    ):
        yield server


async def test_two_servers_on_one_store_never_both_win(etcd: Etcd) -> None:
    async with asyncio.timeout(_PATIENCE_S), api_on(etcd) as one, api_on(etcd) as two:
        await one.make_stack()
        creates = [api.client.post(LAYERS, json=layer()) for api in (one, two) for _ in range(4)]
        codes = sorted(answer.status_code for answer in await asyncio.gather(*creates))
        assert codes == [201] + [409] * 7
        read = await two.get(WEB)
        wishes = [{**read, "spec": {**read["spec"], "capacity": {"always": count}}} for count in range(1, 9)]
        puts = [api.client.put(WEB, json=wish) for api, wish in zip([one, two] * 4, wishes, strict=True)]
        answers = await asyncio.gather(*puts)
        assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
        patches = [api.patch(WEB, {"metadata": {"labels": {f"l{n}": "x"}}}) for n, api in enumerate([one, two] * 4)]
        assert {answer.status_code for answer in await asyncio.gather(*patches)} == {200}
        assert len((await one.get(WEB))["metadata"]["labels"]) == 8


async def test_a_watch_goes_on_at_another_server_without_a_gap(etcd: Etcd) -> None:
    async with asyncio.timeout(_PATIENCE_S), api_on(etcd) as one, api_on(etcd) as two:
        await one.make_stack()
        revision = (await one.get(LAYERS))["metadata"]["resourceVersion"]
        for name in "abcd":
            await one.make_layer(name)
        async with one.watch(LAYERS, resourceVersion=revision) as watch:
            seen = [await watch.next() for _ in range(2)]
        last = seen[-1]["object"]["metadata"]["resourceVersion"]
        async with two.watch(LAYERS, resourceVersion=last) as watch:
            assert await watch.take(2) == [("ADDED", "c"), ("ADDED", "d")]


async def test_pages_are_one_list_while_others_write(etcd: Etcd) -> None:
    async with asyncio.timeout(_PATIENCE_S), api_on(etcd) as api:
        await api.make_stack()
        for number in range(6):
            await api.make_layer(f"l{number}")
        page = await api.get(LAYERS, limit="2")
        await api.make_layer("l00")
        names = [item["metadata"]["name"] for item in page["items"]]
        while token := page["metadata"].get("continue"):
            page = await api.get(LAYERS, limit="2", **{"continue": token})
            names += [item["metadata"]["name"] for item in page["items"]]
        assert names == [f"l{number}" for number in range(6)]


async def test_what_was_compacted_is_expired(etcd: Etcd) -> None:
    async with asyncio.timeout(_PATIENCE_S), api_on(etcd) as api:
        await api.make_stack()
        for number in range(3):
            await api.make_layer(f"l{number}")
        token = (await api.get(LAYERS, limit="1"))["metadata"]["continue"]
        await api.make_layer("late")
        await asyncio.to_thread(etcd.compact, await api.revision())
        refused(await api.client.get(LAYERS, params={"limit": "1", "continue": token}), 410, "Expired")
    # A server that starts now has no ring that reaches so far back.
    async with asyncio.timeout(_PATIENCE_S), api_on(etcd) as api, api.watch(LAYERS, resourceVersion="2") as watch:
        assert (await watch.next())["object"]["reason"] == "Expired"


async def test_a_killed_etcd_is_told_and_the_watch_goes_on_behind_it(etcd: Etcd) -> None:
    async with asyncio.timeout(2 * _PATIENCE_S), server_on(etcd) as server:
        await make_stack(server)
        revision = ok(await server.client.get(LAYERS))["metadata"]["resourceVersion"]
        async with server.watch(LAYERS, resourceVersion=revision) as events:
            ok(await server.client.post(LAYERS, json=layer("before")), 201)
            assert name_of(await anext(events)) == "before"
            await asyncio.to_thread(etcd.kill)
            answer = await server.client.get(LAYERS)
            refused(answer, 503, "ServiceUnavailable")
            await asyncio.to_thread(etcd.start)
            await until_made(server, "after")
            assert name_of(await anext(events)) == "after"


async def make_stack(server: Serving) -> None:
    ok(await server.client.post(STACKS, json=stack()), 201)


def name_of(event: dict[str, Any]) -> str:
    name: str = event["object"]["metadata"]["name"]
    return name


async def until_made(server: Serving, name: str) -> None:
    """Create, as a client does that was told to come back."""
    while True:
        answer = await server.client.post(LAYERS, json=layer(name))
        if answer.status_code in {201, 409}:
            return
        refused(answer, 503, "ServiceUnavailable")
        await asyncio.sleep(float(answer.headers["retry-after"]))
