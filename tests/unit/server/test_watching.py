"""WATCH: nothing is missed after a list, nothing is told twice, and whoever is too late is told so."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from tests.kit.api import BASE, LAYERS, STACKS, TABLE, WEB_KEY, Api, ok, refused, run_api
from tests.kit.store import FaultyStore

from strata.resources.kinds import LAUNCH, LAYER
from strata.server import ring


async def list_revision(api: Api, path: str = LAYERS) -> str:
    revision: str = (await api.get(path))["metadata"]["resourceVersion"]
    return revision


async def edit(api: Api, name: str, number: int) -> dict[str, Any]:
    return ok(await api.patch(f"{LAYERS}/{name}", {"metadata": {"labels": {"number": str(number)}}}))


async def remove(api: Api, name: str) -> None:
    ok(await api.client.delete(f"{LAYERS}/{name}"))
    ok(await api.patch(f"{LAYERS}/{name}", {"metadata": {"finalizers": None}}))


async def test_a_watch_after_a_list_has_no_gap_and_no_double(api: Api) -> None:
    await api.make_stack()
    await api.make_layer("a")
    revision = await list_revision(api)
    await api.make_layer("b")
    async with api.watch(LAYERS, resourceVersion=revision) as watch:
        await edit(api, "a", 1)
        await remove(api, "a")
        assert await watch.take(4) == [("ADDED", "b"), ("MODIFIED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]


async def test_every_event_carries_its_own_version(api: Api) -> None:
    await api.make_stack()
    async with api.watch(LAYERS, resourceVersion=await list_revision(api)) as watch:
        made = await api.make_layer()
        assert (await watch.next())["object"] == made
        changed = await edit(api, "web", 1)
        assert (await watch.next())["object"] == changed
        ok(await api.client.delete(f"{LAYERS}/web"))
        last = (await watch.next())["object"]
        ok(await api.patch(f"{LAYERS}/web", {"metadata": {"finalizers": None}}))
        deleted = (await watch.next())["object"]
    assert int(deleted["metadata"]["resourceVersion"]) == await api.revision()
    assert deleted["spec"] == last["spec"]
    assert deleted["metadata"]["uid"] == made["metadata"]["uid"]


async def test_a_watch_can_go_on_from_any_event(api: Api) -> None:
    await api.make_stack()
    revision = await list_revision(api)
    for name in "abc":
        await api.make_layer(name)
    async with api.watch(LAYERS, resourceVersion=revision) as watch:
        seen = (await watch.next())["object"]["metadata"]
    assert seen["name"] == "a"
    async with api.watch(LAYERS, resourceVersion=seen["resourceVersion"]) as watch:
        assert await watch.take(2) == [("ADDED", "b"), ("ADDED", "c")]


@pytest.mark.parametrize("query", [{}, {"resourceVersion": "0"}, {"resourceVersion": ""}])
async def test_a_watch_from_nowhere_begins_with_what_is_there(api: Api, query: dict[str, str]) -> None:
    await api.make_stack()
    await api.make_layer("a")
    async with api.watch(LAYERS, **query) as watch:
        assert await watch.take(1) == [("ADDED", "a")]
        await api.make_layer("b")
        assert await watch.take(1) == [("ADDED", "b")]


async def test_a_watch_sees_its_own_collection_alone(api: Api) -> None:
    await api.make_stack()
    await api.make_stack("other")
    revision = await list_revision(api)
    async with (
        api.watch(LAYERS, resourceVersion=revision) as here,
        api.watch(f"{BASE}/layers", resourceVersion=revision) as everywhere,
        api.watch(STACKS, resourceVersion=revision) as stacks,
    ):
        await api.put(LAUNCH.key("one", "todo"), {"metadata": {"name": "one"}})
        layer = await api.make_layer("a")
        layer["metadata"]["namespace"] = "other"
        await api.put(LAYER.key("b", "other"), {**layer, "metadata": {**layer["metadata"], "name": "b"}})
        await api.make_layer("c")
        await api.make_stack("third")
        assert await here.take(2) == [("ADDED", "a"), ("ADDED", "c")]
        assert await everywhere.take(3) == [("ADDED", "a"), ("ADDED", "b"), ("ADDED", "c")]
        assert await stacks.take(1) == [("ADDED", "third")]


async def test_an_object_that_leaves_the_selector_is_deleted_and_one_that_enters_is_added(api: Api) -> None:
    await api.make_stack()
    revision = await list_revision(api)
    async with api.watch(LAYERS, resourceVersion=revision, labelSelector="number=1") as watch:
        await api.make_layer("a")
        await edit(api, "a", 1)
        await edit(api, "a", 2)
        left = await api.get(f"{LAYERS}/a")
        await edit(api, "a", 3)
        await edit(api, "a", 1)
        await remove(api, "a")
        events = [await watch.next() for _ in range(5)]
    assert [event["type"] for event in events] == ["ADDED", "DELETED", "ADDED", "MODIFIED", "DELETED"]
    # As Kubernetes does: the object as it last was inside, at the version that took it out.
    assert events[1]["object"]["metadata"]["labels"] == {"number": "1"}
    assert events[1]["object"]["metadata"]["resourceVersion"] == left["metadata"]["resourceVersion"]


async def test_a_watch_of_one_name(api: Api) -> None:
    await api.make_stack()
    revision = await list_revision(api)
    async with api.watch(LAYERS, resourceVersion=revision, fieldSelector="metadata.name=b") as watch:
        for name in "abc":
            await api.make_layer(name)
        await remove(api, "b")
        assert await watch.take(3) == [("ADDED", "b"), ("MODIFIED", "b"), ("DELETED", "b")]


async def test_bookmarks_move_on_while_only_others_change(api: Api) -> None:
    await api.make_stack()
    revision = await list_revision(api)
    async with api.watch(LAYERS, resourceVersion=revision, allowWatchBookmarks="true") as watch:
        for number in range(30):
            await asyncio.sleep(1)
            ok(await api.patch(f"{STACKS}/todo", {"metadata": {"labels": {"number": str(number)}}}))
        marks = [await watch.next() for _ in range(2)]
    versions = [int(mark["object"]["metadata"]["resourceVersion"]) for mark in marks]
    assert {mark["type"] for mark in marks} == {"BOOKMARK"}
    assert int(revision) < versions[0] < versions[1]
    # Whoever goes on from the mark misses nothing.
    made = await api.make_layer("late")
    async with api.watch(LAYERS, resourceVersion=str(versions[1])) as watch:
        assert (await watch.next())["object"] == made


async def test_a_bookmark_never_stands_before_an_event_that_it_covers(api: Api) -> None:
    await api.make_stack()
    revision = await list_revision(api)
    covered = 0
    async with api.watch(LAYERS, resourceVersion=revision, allowWatchBookmarks="true") as watch:
        for number in range(20):
            await asyncio.sleep(1.7)
            await api.make_layer(f"l{number}")
        for _ in range(22):
            event = await watch.next()
            version = int(event["object"]["metadata"]["resourceVersion"])
            if event["type"] == "BOOKMARK":
                covered = version
            else:
                assert version > covered
    assert covered > int(revision)


async def test_without_bookmarks_a_quiet_watch_is_silent_until_its_time_is_up(api: Api) -> None:
    await api.make_stack()
    started_s = asyncio.get_running_loop().time()
    async with api.watch(LAYERS, resourceVersion=await list_revision(api), timeoutSeconds="70") as watch:
        await watch.ended.wait()
        with pytest.raises(AssertionError, match=r"left over: b''"):
            await watch.next()
    assert asyncio.get_running_loop().time() - started_s == pytest.approx(70, abs=1)


async def test_watches_without_a_time_of_their_own_end_apart(api: Api) -> None:
    await api.make_stack()
    revision = await list_revision(api)
    ends_s = []
    async with asyncio.TaskGroup() as tasks:

        async def one() -> None:
            async with api.watch(LAYERS, resourceVersion=revision) as watch:
                await watch.ended.wait()
                ends_s.append(asyncio.get_running_loop().time())

        for _ in range(10):
            tasks.create_task(one())
    assert all(1800 <= end_s <= 3610 for end_s in ends_s)
    ends_s.sort()
    assert all(later - earlier > 60 for earlier, later in pairwise(ends_s))


async def test_a_version_older_than_the_ring_is_expired(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ring, "EVENTS_LIMIT", 5)
    await api.make_stack()
    revision = await list_revision(api)
    for number in range(7):
        await api.make_layer(f"l{number}")
    await asyncio.sleep(1)
    async with api.watch(LAYERS, resourceVersion=revision) as watch:
        event = await watch.next()
        await watch.ended.wait()
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")
    assert watch.status == 200


async def test_the_ring_is_bounded_in_bytes_as_well(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ring, "SIZE_LIMIT_BYTES", 20_000)
    await api.make_stack()
    revision = await list_revision(api)
    await api.make_layer(instance={"userData": "x" * 12_000})
    await edit(api, "web", 1)
    async with api.watch(LAYERS, resourceVersion=revision) as watch:
        assert (await watch.next())["object"]["reason"] == "Expired"


async def test_a_watcher_that_falls_behind_the_ring_is_told_and_let_go(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ring, "EVENTS_LIMIT", 5)
    await api.make_stack()
    async with api.watch(LAYERS, resourceVersion=await list_revision(api)) as slow:
        slow.may_send.clear()
        for number in range(20):
            await api.make_layer(f"l{number:02}")
        slow.may_send.set()
        events: list[Any] = []
        while not events or events[-1]["type"] != "ERROR":
            events.append(await slow.next())
    assert events[-1]["object"]["code"] == 410
    # What it got before was in order and without a hole.
    names = [event["object"]["metadata"]["name"] for event in events[:-1]]
    assert names == [f"l{number:02}" for number in range(len(names))]


async def test_a_version_of_the_future_is_expired(api: Api) -> None:
    await api.make_stack()
    async with api.watch(LAYERS, resourceVersion=str(await api.revision() + 100)) as watch:
        assert (await watch.next())["object"]["reason"] == "Expired"


async def test_a_compacted_store_sends_watchers_back_to_list(api: Api, store: FaultyStore) -> None:
    await api.make_stack()
    async with api.watch(LAYERS, resourceVersion=await list_revision(api)) as watch:
        store.cut_off()
        await asyncio.sleep(1)
        other = FaultyStore(store.clock, store.server)
        for _ in range(3):
            await other.put_expiring("/strata/x", b"x", 1000)
        store.server.compact(store.server.revision)
        store.reconnect()
        assert (await watch.next())["object"]["code"] == 410
    await asyncio.sleep(5)
    async with api.watch(LAYERS, resourceVersion=await list_revision(api)) as watch:
        await api.make_layer("after")
        assert await watch.take(1) == [("ADDED", "after")]


async def test_a_store_that_was_away_is_followed_on_without_a_gap(api: Api, store: FaultyStore) -> None:
    await api.make_stack()
    await api.make_layer("a")
    async with api.watch(LAYERS, resourceVersion=await list_revision(api), allowWatchBookmarks="true") as watch:
        store.cut_off()
        await asyncio.sleep(100)
        async with run_api(FaultyStore(store.clock, store.server), store.clock) as elsewhere:
            await elsewhere.make_layer("b")
            await remove(elsewhere, "a")
        store.reconnect()
        events: list[Any] = []
        while len(events) < 3:
            event = await watch.next()
            events += [] if event["type"] == "BOOKMARK" else [(event["type"], event["object"]["metadata"]["name"])]
    assert events == [("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "a")]


async def test_a_restored_store_is_not_taken_for_the_old_one(api: Api, store: FaultyStore) -> None:
    await api.make_stack()
    backup = store.server.revision
    await api.make_layer("lost")
    async with api.watch(LAYERS, resourceVersion=await list_revision(api)) as watch:
        store.server.restore(backup)
        assert (await watch.next())["object"]["code"] == 410


async def test_a_watch_while_the_store_is_away_from_the_start_is_unavailable(store: FaultyStore) -> None:
    store.cut_off()
    async with run_api(store, store.clock) as api:
        answer = await api.client.get(LAYERS, params={"watch": "true"})
        assert refused(answer, 503, "ServiceUnavailable")["details"]["retryAfterSeconds"] == 1
        assert answer.headers["retry-after"] == "1"


async def test_one_poisoned_value_ends_no_watch(api: Api) -> None:
    await api.make_stack()
    revision = await list_revision(api)
    async with (
        api.watch(LAYERS, resourceVersion=revision) as plain,
        api.watch(LAYERS, resourceVersion=revision, labelSelector="!none") as selecting,
    ):
        await api.put_raw(WEB_KEY, b"{broken")
        await api.make_layer("fine")
        assert await plain.take(2) == [("ADDED", "web"), ("ADDED", "fine")]
        assert await selecting.take(2) == [("ADDED", "web"), ("ADDED", "fine")]


async def test_a_table_watch_says_its_columns_once(api: Api) -> None:
    await api.make_stack()
    revision = await list_revision(api)
    async with api.watch(LAYERS, TABLE, resourceVersion=revision, allowWatchBookmarks="true") as watch:
        await api.make_layer("a")
        await api.make_layer("b")
        first, second, mark = [(await watch.next())["object"] for _ in range(3)]
    assert [column["name"] for column in first["columnDefinitions"]][:2] == ["Name", "Desired"]
    assert second["columnDefinitions"] == []
    assert [table["rows"][0]["cells"][0] for table in (first, second)] == ["a", "b"]
    assert (mark["kind"], mark["rows"]) == ("Table", [])
    assert int(mark["metadata"]["resourceVersion"]) >= int(second["metadata"]["resourceVersion"])


async def test_a_watcher_that_goes_is_forgotten(api: Api) -> None:
    await api.make_stack()
    hub = api.app.state.hub
    async with api.watch(LAYERS), api.watch(STACKS):
        assert hub.watcher_count == 2
    assert hub.watcher_count == 0


async def test_too_many_watches_are_put_off(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strata.server.hub._WATCHERS_LIMIT", 1)
    await api.make_stack()
    async with api.watch(LAYERS):
        refused(await api.client.get(LAYERS, params={"watch": "true"}), 429, "TooManyRequests")


async def test_closing_the_hub_ends_every_watch_at_once(api: Api) -> None:
    await api.make_stack()
    async with api.watch(LAYERS) as watch:
        api.app.state.hub.close()
        await watch.ended.wait()
    assert asyncio.get_running_loop().time() < 1


async def test_readiness_says_when_watchers_are_behind(api: Api, store: FaultyStore) -> None:
    await asyncio.sleep(1)
    assert (await api.client.get("/readyz")).status_code == 200
    store.cut_off()
    await asyncio.sleep(300)
    answer = await api.client.get("/readyz")
    assert answer.status_code == 503
    assert "[-]watch-hub failed: the store's watch was silent for" in answer.text
    store.reconnect()
    await asyncio.sleep(30)
    assert (await api.client.get("/readyz")).status_code == 200
