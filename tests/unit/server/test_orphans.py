"""Orphans: machines nobody accounts for are listed, and a person's decision is written once."""

from typing import Any

import msgspec
import pytest
from tests.kit.api import Api, causes, ok, refused
from tests.kit.virtual_time import EPOCH

from strata.resources import codec
from strata.resources.cluster import Orphan
from strata.resources.kinds import ORPHANS
from strata.store.port import Put

PATH = "/strata/v1/orphans"
KEY = f"{ORPHANS}i-1"


@pytest.fixture
async def orphan(api: Api) -> Orphan:
    await api.make_stack()
    await api.make_layer()
    orphan = Orphan(instance_id="i-1", region="us-east-1", endpoint=None, stack="todo", found_at=EPOCH)
    await api.store.txn([], [Put(KEY, codec.encode(orphan))])
    return orphan


async def test_orphans_are_listed(api: Api, orphan: Orphan) -> None:
    body = await api.get(PATH)
    assert body["kind"] == "OrphanList"
    assert body["items"] == [codec.to_plain(orphan)]
    assert body["items"][0]["instanceId"] == "i-1"


@pytest.mark.parametrize("body", [{"decision": "adopt", "adoptInto": "web"}, {"decision": "delete"}])
async def test_a_decision_is_written_to_the_record(api: Api, orphan: Orphan, body: dict[str, str]) -> None:
    ok(await api.client.post(f"{PATH}/i-1", json=body))
    stored = await api.stored(KEY)
    assert stored == codec.to_plain(orphan) | {"decision": body["decision"], "adoptInto": body.get("adoptInto", "")}


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"decision"}),
        ({"decision": "keep"}, {"decision"}),
        ({"decision": "adopt"}, {"adoptInto"}),
        ({"decision": "delete", "adoptInto": "web"}, {"adoptInto"}),
        ({"decision": "adopt", "adoptInto": "none"}, {"adoptInto"}),
        ({"decision": "adopt", "adoptInto": "../../stacks/todo"}, {"adoptInto"}),
        ({"decision": ["adopt"], "adoptInto": 3, "why": "x"}, {"decision", "adoptInto", "why"}),
    ],
)
async def test_a_decision_that_cannot_be_is_refused(
    api: Api, orphan: Orphan, body: dict[str, Any], fields: set[str]
) -> None:
    assert causes(refused(await api.client.post(f"{PATH}/i-1", json=body), 422, "Invalid")) == fields
    assert await api.stored(KEY) == codec.to_plain(orphan)


@pytest.mark.usefixtures("orphan")
async def test_nothing_is_decided_about_what_is_not_held(api: Api) -> None:
    refused(await api.client.post(f"{PATH}/i-2", json={"decision": "delete"}), 404, "NotFound")
    assert await api.store.get(f"{ORPHANS}i-2") is None


async def test_a_decision_on_a_record_that_went_meanwhile_is_a_conflict(
    api: Api, orphan: Orphan, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = api.store.get

    async def read_and_touch(key: str) -> Any:
        kv = await read(key)
        await api.put(KEY, codec.to_plain(orphan) | {"message": "seen again"})
        return kv

    monkeypatch.setattr(api.store, "get", read_and_touch)
    refused(await api.client.post(f"{PATH}/i-1", json={"decision": "delete"}), 409, "Conflict")
    monkeypatch.undo()
    assert (await api.stored(KEY))["decision"] == ""


@pytest.mark.usefixtures("orphan")
async def test_the_same_decision_twice_is_one_write(api: Api) -> None:
    ok(await api.client.post(f"{PATH}/i-1", json={"decision": "delete"}))
    before = await api.revision()
    ok(await api.client.post(f"{PATH}/i-1", json={"decision": "delete"}))
    assert await api.revision() == before


async def test_a_record_that_cannot_be_read_hides_no_other_and_takes_no_decision(api: Api, orphan: Orphan) -> None:
    await api.store.txn([], [Put(f"{ORPHANS}i-0", b"{poison")])
    first, second = (await api.get(PATH))["items"]
    assert (first["instanceId"], "cannot be read" in first["message"]) == ("i-0", True)
    assert second == codec.to_plain(orphan)
    refused(await api.client.post(f"{PATH}/i-0", json={"decision": "delete"}), 422, "Invalid")


async def test_another_decision_takes_the_message_of_the_last_one_away(api: Api, orphan: Orphan) -> None:
    said = codec.encode(msgspec.structs.replace(orphan, message="there is no layer nowhere"))
    await api.store.txn([], [Put(KEY, said)])
    ok(await api.client.post(f"{PATH}/i-1", json={"decision": "delete"}))
    assert (await api.stored(KEY))["message"] == ""
