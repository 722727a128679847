"""Events: one record, two views, selectors that `describe` needs, and a Table of its own."""

from datetime import datetime
from typing import Any

from tests.kit.api import TABLE, Api, ok, refused
from tests.kit.virtual_time import EPOCH

from strata.resources import codec
from strata.resources.event import Event, ObjectReference
from strata.resources.kinds import EVENTS
from strata.resources.meta import ObjectMeta
from strata.store.port import Put

CORE = "/api/v1/namespaces/todo/events"
GROUP = "/apis/events.k8s.io/v1/namespaces/todo/events"


async def record(api: Api, name: str, *, about: str = "web", reason: str = "ScaledOut", at: datetime = EPOCH) -> None:
    event = Event(
        api_version="v1",
        kind="Event",
        metadata=ObjectMeta(name=name, namespace="todo", uid=name, creation_timestamp=at),
        involved_object=ObjectReference(kind="Layer", name=about, namespace="todo", uid=f"uid-{about}"),
        type="Normal",
        reason=reason,
        message="2 slots were added",
        count=3,
        first_timestamp=at,
        last_timestamp=at,
    )
    await api.store.txn([], [Put(f"{EVENTS}todo/{name}", codec.encode(event))])


def names(body: dict[str, Any]) -> list[str]:
    return [item["metadata"]["name"] for item in body["items"]]


async def test_an_event_is_seen_in_both_apis(api: Api) -> None:
    await record(api, "one")
    core = await api.get(f"{CORE}/one")
    group = await api.get(f"{GROUP}/one")
    assert (core["apiVersion"], core["kind"], core["source"]) == ("v1", "Event", {"component": "strata"})
    assert (core["involvedObject"]["name"], core["count"], core["message"]) == ("web", 3, "2 slots were added")
    assert (group["apiVersion"], group["note"]) == ("events.k8s.io/v1", core["message"])
    assert group["regarding"] == core["involvedObject"]
    assert group["deprecatedCount"] == core["count"]
    assert core["metadata"] == group["metadata"]
    assert core["metadata"]["resourceVersion"] == str(await api.revision())


async def test_events_are_listed_in_a_namespace_and_in_all(api: Api) -> None:
    await record(api, "one")
    await record(api, "two", about="db")
    assert names(await api.get(CORE)) == names(await api.get("/api/v1/events")) == ["one", "two"]
    assert names(await api.get("/apis/events.k8s.io/v1/events")) == ["one", "two"]
    assert names(await api.get("/api/v1/namespaces/other/events")) == []


async def test_events_are_selected_by_what_they_are_about(api: Api) -> None:
    await record(api, "one")
    await record(api, "two", about="db", reason="Ready")
    selector = "involvedObject.kind=Layer,involvedObject.name=db,involvedObject.uid=uid-db"
    assert names(await api.get(CORE, fieldSelector=selector)) == ["two"]
    assert names(await api.get(CORE, fieldSelector="reason!=Ready")) == ["one"]
    assert names(await api.get(GROUP, fieldSelector="regarding.name=db")) == ["two"]
    refused(await api.client.get(GROUP, params={"fieldSelector": "involvedObject.name=db"}), 400, "BadRequest")


async def test_events_are_watched_by_what_they_are_about(api: Api) -> None:
    revision = str(await api.revision())
    async with api.watch(CORE, resourceVersion=revision, fieldSelector="involvedObject.name=db") as watch:
        await record(api, "one")
        await record(api, "two", about="db")
        await record(api, "two", about="db", reason="Ready")
        assert await watch.take(2) == [("ADDED", "two"), ("MODIFIED", "two")]


async def test_an_event_that_expires_is_deleted(api: Api) -> None:
    async with api.watch(CORE, resourceVersion=str(await api.revision())) as watch:
        await api.store.put_expiring(f"{EVENTS}todo/short", b'{"metadata":{"name":"short","namespace":"todo"}}', 60)
        assert await watch.take(2) == [("ADDED", "short"), ("DELETED", "short")]


async def test_a_table_of_events(api: Api) -> None:
    await record(api, "one")
    table = ok(await api.client.get(CORE, headers=TABLE))
    shown = dict(zip([c["name"] for c in table["columnDefinitions"]], table["rows"][0]["cells"], strict=True))
    assert shown == {
        "Last Seen": "0s", "Type": "Normal", "Reason": "ScaledOut", "Object": "layer/web",
        "Message": "2 slots were added", "Count": 3, "Name": "one",
    }  # fmt: skip
    assert ok(await api.client.get(GROUP, headers=TABLE))["rows"][0]["cells"] == table["rows"][0]["cells"]


async def test_events_are_not_written_by_clients(api: Api) -> None:
    refused(await api.client.post(CORE, json={}), 405, "MethodNotAllowed")
    refused(await api.client.delete(f"{CORE}/one"), 405, "MethodNotAllowed")
