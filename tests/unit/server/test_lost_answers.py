"""The store away, full, or silent after a write: the client is told the truth, and nothing is done twice."""

from typing import Any

import pytest
from tests.kit.api import LAYERS, STACK_KEY, STACKS, WEB_KEY, Api, ok, refused
from tests.kit.documents import layer as layer_document
from tests.kit.documents import stack
from tests.kit.store import FaultyStore

from strata.errors import Ambiguous

WEB = f"{LAYERS}/web"


@pytest.fixture
async def layer(api: Api) -> dict[str, Any]:
    await api.make_stack()
    return await api.make_layer()


async def test_a_create_whose_answer_was_lost_is_found_done(api: Api, store: FaultyStore) -> None:
    store.lose_next_reply()
    made = await api.make_stack()
    assert await api.get(f"{STACKS}/todo") == made


async def test_a_create_that_never_arrived_is_sent_again(api: Api, store: FaultyStore) -> None:
    store.lose_next_request()
    made = await api.make_stack()
    assert await api.get(f"{STACKS}/todo") == made


async def test_a_lost_create_that_somebody_else_has_won_is_told_so(
    api: Api, store: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = True
    send = store.txn

    async def lose_to_another(*args: Any) -> Any:
        nonlocal first
        if first:
            first = False
            await api.put(STACK_KEY, {**stack(), "metadata": {"name": "todo", "uid": "theirs"}})
            raise Ambiguous("lost")
        return await send(*args)

    put = api.put

    async def put_aside(key: str, value: dict[str, Any]) -> None:
        monkeypatch.setattr(store, "txn", send)
        await put(key, value)

    monkeypatch.setattr(api, "put", put_aside)
    monkeypatch.setattr(store, "txn", lose_to_another)
    refused(await api.client.post(STACKS, json=stack()), 409, "AlreadyExists")
    assert (await api.get(f"{STACKS}/todo"))["metadata"]["uid"] == "theirs"


async def test_an_update_whose_answer_was_lost_is_found_done_once(
    api: Api, store: FaultyStore, layer: dict[str, Any]
) -> None:
    store.lose_next_reply()
    after = ok(await api.patch(WEB, {"spec": {"capacity": {"always": 5}}}))
    assert after["metadata"]["generation"] == layer["metadata"]["generation"] + 1
    assert await api.get(WEB) == after
    assert await api.revision() == int(after["metadata"]["resourceVersion"])


async def test_an_update_that_never_arrived_is_sent_again(api: Api, store: FaultyStore, layer: dict[str, Any]) -> None:
    store.lose_next_request(2)
    after = ok(await api.patch(WEB, {"spec": {"capacity": {"always": 5}}}))
    assert after["metadata"]["generation"] == layer["metadata"]["generation"] + 1


async def test_a_lost_update_that_others_wrote_over_is_a_conflict(
    api: Api, store: FaultyStore, layer: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    send = store.txn

    async def lose_and_write_over(*args: Any) -> Any:
        monkeypatch.setattr(store, "txn", send)
        await send(*args)
        await api.put(WEB_KEY, {**await api.stored(WEB_KEY), "status": {"desired": 3}})
        raise Ambiguous("lost")

    monkeypatch.setattr(store, "txn", lose_and_write_over)
    status = refused(await api.patch(WEB, {"spec": {"capacity": {"always": 5}}}), 409, "Conflict")
    assert "answer was lost" in status["message"]
    assert (await api.get(WEB))["metadata"]["generation"] == layer["metadata"]["generation"] + 1


async def test_a_delete_whose_answer_was_lost_is_found_done(
    api: Api, store: FaultyStore, layer: dict[str, Any]
) -> None:
    ok(await api.client.delete(WEB))
    store.lose_next_reply()
    ok(await api.patch(WEB, {"metadata": {"finalizers": None}}))
    assert await api.store.get(WEB_KEY) is None
    assert layer["metadata"]["uid"]


async def test_a_write_whose_fate_stays_unknown_says_so(api: Api, store: FaultyStore, layer: dict[str, Any]) -> None:
    store.lose_next_request(100)
    status = refused(await api.patch(WEB, {"spec": {"capacity": {"always": 5}}}), 503, "ServiceUnavailable")
    assert "may or may not have been done" in status["message"]
    store.lose_next_request(-100)
    assert await api.get(WEB) == layer


async def test_a_store_that_is_away_is_503_with_a_time_to_come_back(
    api: Api, store: FaultyStore, layer: dict[str, Any]
) -> None:
    store.cut_off()
    answers = [
        await api.client.get(LAYERS),
        await api.client.get(WEB),
        await api.patch(WEB, {"spec": {"capacity": {"always": 5}}}),
        await api.client.post(LAYERS, json=layer_document("b")),
        await api.client.delete(WEB),
        await api.client.get("/strata/v1/orphans"),
    ]
    for answer in answers:
        status = refused(answer, 503, "ServiceUnavailable")
        assert status["details"]["retryAfterSeconds"] == 1
        assert answer.headers["retry-after"] == "1"
    store.reconnect()
    assert await api.get(WEB) == layer


async def test_a_refused_write_changed_nothing(api: Api, store: FaultyStore, layer: dict[str, Any]) -> None:
    store.refuse_next_write()
    status = refused(await api.patch(WEB, {"spec": {"capacity": {"always": 5}}}), 503, "ServiceUnavailable")
    assert "nothing was changed" in status["message"]
    assert await api.get(WEB) == layer


async def test_a_full_store_reads_and_says_why_it_does_not_write(
    api: Api, store: FaultyStore, layer: dict[str, Any]
) -> None:
    store.fill_up()
    refused(await api.patch(WEB, {"spec": {"capacity": {"always": 5}}}), 507, "InsufficientStorage")
    assert await api.get(WEB) == layer


async def test_an_error_that_nobody_foresaw_is_a_status_and_leaves_the_server_standing(
    api: Api, store: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_key: str) -> None:
        raise ZeroDivisionError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(store, "get", fail)
        status = refused(await api.client.get(WEB), 500, "InternalError")
    assert "a bug" not in status["message"]
    refused(await api.client.get(WEB), 404, "NotFound")
