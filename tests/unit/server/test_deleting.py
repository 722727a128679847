"""DELETE: objects wait for their finalizers, preconditions hold, and the last finalizer takes the object with it."""

import asyncio
from typing import Any

import pytest
from tests.kit.api import LAYERS, MERGE, STACKS, WEB_KEY, Api, causes, ok, refused

WEB = f"{LAYERS}/web"
NO_FINALIZERS = {"metadata": {"finalizers": None}}


@pytest.fixture
async def layer(api: Api) -> dict[str, Any]:
    await api.make_stack()
    return await api.make_layer()


async def delete(api: Api, path: str, **options: Any) -> Any:
    return await api.client.request("DELETE", path, json=options)


async def test_an_object_with_finalizers_is_marked_and_stays(api: Api, layer: dict[str, Any]) -> None:
    marked = ok(await api.client.delete(WEB))
    assert marked["metadata"]["deletionTimestamp"] == "2026-01-05T12:00:00Z"
    assert marked["metadata"]["generation"] == layer["metadata"]["generation"] + 1
    assert await api.get(WEB) == marked


@pytest.mark.usefixtures("layer")
async def test_a_second_delete_changes_nothing(api: Api) -> None:
    marked = ok(await api.client.delete(WEB))
    assert ok(await api.client.delete(WEB)) == marked
    assert await api.get(WEB) == marked


@pytest.mark.usefixtures("layer")
async def test_the_last_finalizer_takes_the_object_with_it(api: Api) -> None:
    ok(await api.patch(WEB, {"metadata": {"finalizers": ["example.com/a", "strata.dev/controller"]}}))
    ok(await api.client.delete(WEB))
    ok(await api.patch(WEB, {"metadata": {"finalizers": ["example.com/a"]}}))
    assert await api.store.get(WEB_KEY) is not None
    ok(await api.patch(WEB, NO_FINALIZERS))
    assert await api.store.get(WEB_KEY) is None
    refused(await api.client.get(WEB), 404, "NotFound")


async def test_an_object_without_finalizers_goes_at_once(api: Api, layer: dict[str, Any]) -> None:
    stored = await api.stored(WEB_KEY)
    del stored["metadata"]["finalizers"]
    await api.put(WEB_KEY, stored)
    status = ok(await api.client.delete(WEB))
    assert (status["kind"], status["status"]) == ("Status", "Success")
    assert status["details"] == {
        "name": "web", "group": "strata.dev", "kind": "layers", "uid": layer["metadata"]["uid"],
    }  # fmt: skip
    assert await api.store.get(WEB_KEY) is None
    refused(await api.client.delete(WEB), 404, "NotFound")


@pytest.mark.usefixtures("layer")
async def test_what_is_being_deleted_takes_no_new_finalizers(api: Api) -> None:
    ok(await api.client.delete(WEB))
    body = {"metadata": {"finalizers": ["strata.dev/controller", "example.com/late"]}}
    assert causes(refused(await api.patch(WEB, body), 422, "Invalid")) == {"metadata.finalizers"}


@pytest.mark.parametrize(
    "preconditions", [{"uid": "another"}, {"resourceVersion": "1"}, {"uid": "another", "resourceVersion": "1"}]
)
async def test_a_precondition_that_fails_keeps_the_object(
    api: Api, layer: dict[str, Any], preconditions: dict[str, str]
) -> None:
    refused(await delete(api, WEB, preconditions=preconditions), 409, "Conflict")
    assert await api.get(WEB) == layer


async def test_preconditions_that_hold_let_it_go(api: Api, layer: dict[str, Any]) -> None:
    same = {name: layer["metadata"][name] for name in ("uid", "resourceVersion")}
    assert ok(await delete(api, WEB, preconditions=same, propagationPolicy="Foreground"))["metadata"][
        "deletionTimestamp"
    ]


async def test_options_that_are_not_understood_delete_nothing(api: Api, layer: dict[str, Any]) -> None:
    refused(await delete(api, WEB, propagationPolicy="Sideways"), 422, "Invalid")
    refused(await delete(api, WEB, dryRun=["Some"]), 400, "BadRequest")
    refused(await delete(api, WEB, preconditions="x"), 422, "Invalid")
    refused(await api.client.request("DELETE", WEB, content=b"{"), 400, "BadRequest")
    assert await api.get(WEB) == layer


async def test_a_dry_run_deletes_nothing(api: Api, layer: dict[str, Any]) -> None:
    ok(await delete(api, WEB, dryRun=["All"]))
    ok(await api.client.delete(WEB, params={"dryRun": "All"}))
    assert await api.get(WEB) == layer


async def test_a_collection_is_deleted_by_selector(api: Api) -> None:
    await api.make_stack()
    for number in range(4):
        await api.make_layer(f"l{number}", labels={"half": str(number % 2)})
    deleted = ok(await api.client.delete(LAYERS, params={"labelSelector": "half=1"}))
    assert [item["metadata"]["name"] for item in deleted["items"]] == ["l1", "l3"]
    items = (await api.get(LAYERS))["items"]
    assert [item["metadata"]["name"] for item in items if "deletionTimestamp" in item["metadata"]] == ["l1", "l3"]


async def test_deleting_a_stack_leaves_its_layers_to_the_controller(api: Api, layer: dict[str, Any]) -> None:
    assert ok(await api.client.delete(f"{STACKS}/todo"))["metadata"]["deletionTimestamp"]
    assert await api.get(WEB) == layer
    namespace = await api.get("/api/v1/namespaces/todo")
    assert namespace["status"] == {"phase": "Terminating"}


@pytest.mark.usefixtures("layer")
async def test_a_delete_and_an_edit_at_once_both_happen(api: Api) -> None:
    edit = api.client.patch(WEB, json={"metadata": {"labels": {"a": "b"}}}, headers=MERGE)
    answers = await asyncio.gather(edit, api.client.delete(WEB))
    assert [answer.status_code for answer in answers] == [200, 200]
    after = (await api.get(WEB))["metadata"]
    assert after["labels"] == {"a": "b"}
    assert after["deletionTimestamp"]
