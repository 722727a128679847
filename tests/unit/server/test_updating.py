"""PUT, PATCH and the subresources: who may change what, on which version, and what makes a new one."""

import asyncio
from typing import Any

import pytest
from tests.kit.api import INSTANCES, JSON_PATCH, LAYERS, MERGE, STACKS, WEB_KEY, Api, causes, ok, refused
from tests.kit.documents import instance

WEB = f"{LAYERS}/web"


@pytest.fixture
async def layer(api: Api) -> dict[str, Any]:
    await api.make_stack()
    return await api.make_layer(capacity={"always": 2})


def version(document: dict[str, Any]) -> int:
    return int(document["metadata"]["resourceVersion"])


async def test_a_replacement_counts_a_generation_only_if_the_spec_changed(api: Api, layer: dict[str, Any]) -> None:
    layer["metadata"]["labels"] = {"team": "a"}
    labelled = ok(await api.client.put(WEB, json=layer))
    assert (labelled["metadata"]["generation"], labelled["metadata"]["labels"]) == (1, {"team": "a"})
    labelled["spec"]["capacity"]["always"] = 3
    scaled = ok(await api.client.put(WEB, json=labelled))
    assert scaled["metadata"]["generation"] == 2
    assert version(scaled) > version(labelled) > version(layer)


async def test_an_unchanged_write_makes_no_new_version(api: Api, layer: dict[str, Any]) -> None:
    before = await api.revision()
    assert ok(await api.client.put(WEB, json=layer)) == layer
    assert ok(await api.patch(WEB, {"spec": {"capacity": {"always": 2, "max": None}}})) == layer
    assert ok(await api.patch(WEB, {"metadata": {"labels": {}, "annotations": None}})) == layer
    assert ok(await api.patch(f"{WEB}/status", {"status": {"desired": 0}})) == layer
    assert await api.revision() == before


async def test_a_replacement_of_an_older_version_is_refused(api: Api, layer: dict[str, Any]) -> None:
    ok(await api.patch(WEB, {"spec": {"capacity": {"always": 3}}}))
    layer["spec"]["capacity"]["always"] = 9
    refused(await api.client.put(WEB, json=layer), 409, "Conflict")
    assert (await api.get(WEB))["spec"]["capacity"]["always"] == 3


async def test_a_replacement_must_say_what_it_replaces(api: Api, layer: dict[str, Any]) -> None:
    del layer["metadata"]["resourceVersion"]
    assert causes(refused(await api.client.put(WEB, json=layer), 422, "Invalid")) == {"metadata.resourceVersion"}


async def test_of_two_who_replace_the_same_version_one_wins(api: Api, layer: dict[str, Any]) -> None:
    wishes = [{**layer, "spec": {**layer["spec"], "capacity": {"always": count}}} for count in (7, 8)]
    answers = await asyncio.gather(*(api.client.put(WEB, json=wish) for wish in wishes))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    won = next(answer for answer in answers if answer.status_code == 200).json()
    assert await api.get(WEB) == won


async def test_two_who_patch_different_fields_both_win(api: Api, layer: dict[str, Any]) -> None:
    patches = [{"metadata": {"labels": {f"l{number}": "x"}}} for number in range(6)]
    answers = await asyncio.gather(*(api.patch(WEB, patch) for patch in patches))
    assert [answer.status_code for answer in answers] == [200] * 6
    assert len((await api.get(WEB))["metadata"]["labels"]) == 6
    assert layer["metadata"]["generation"] == 1


async def test_a_patch_that_names_a_version_is_not_tried_on_another(api: Api, layer: dict[str, Any]) -> None:
    ok(await api.patch(WEB, {"spec": {"capacity": {"always": 3}}}))
    stale = {"metadata": {"resourceVersion": layer["metadata"]["resourceVersion"]}, "spec": {"capacity": {"min": 1}}}
    refused(await api.patch(WEB, stale), 409, "Conflict")
    assert (await api.get(WEB))["spec"]["capacity"]["min"] == 0


async def test_a_patch_for_another_object_of_that_name_is_refused(api: Api, layer: dict[str, Any]) -> None:
    refused(await api.patch(WEB, {"metadata": {"uid": "other", "labels": {"a": "b"}}}), 409, "Conflict")
    assert await api.get(WEB) == layer


@pytest.mark.usefixtures("layer")
async def test_a_patch_that_removes_a_field_brings_its_default_back(api: Api) -> None:
    ok(await api.patch(WEB, {"spec": {"capacity": {"max": 5}, "healing": {"action": "restart"}}}))
    after = ok(await api.patch(WEB, {"spec": {"capacity": {"max": None}, "healing": None}}))
    assert after["spec"]["capacity"].items() >= {"always": 2, "min": 0}.items()
    assert after["spec"]["healing"]["action"] == "replace"


@pytest.mark.usefixtures("layer")
async def test_a_json_patch_is_all_or_nothing(api: Api) -> None:
    body = [
        {"op": "test", "path": "/spec/capacity/always", "value": 2},
        {"op": "replace", "path": "/spec/capacity/always", "value": 4},
        {"op": "add", "path": "/metadata/labels", "value": {"a~b": "c"}},
    ]
    after = ok(await api.client.patch(WEB, json=body[:2], headers=JSON_PATCH))
    assert after["spec"]["capacity"]["always"] == 4
    # The test is of the state before.
    refused(await api.client.patch(WEB, json=body, headers=JSON_PATCH), 422, "Invalid")
    assert await api.get(WEB) == after


@pytest.mark.parametrize(
    "body",
    [
        {"op": "add"},
        [{"op": "addne", "path": "/spec/x", "value": 1}],
        [{"op": "add", "value": 1}],
        [{"op": "add", "path": "spec", "value": 1}],
        ["add"],
        [{"op": "test", "path": "/spec", "value": 1}] * 1001,
    ],
)
@pytest.mark.usefixtures("layer")
async def test_a_malformed_json_patch_is_refused(api: Api, body: Any) -> None:
    refused(await api.client.patch(WEB, json=body, headers=JSON_PATCH), 400, "BadRequest")


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/spec/none"},
        {"op": "replace", "path": "/spec/none/deep", "value": 1},
        {"op": "move", "from": "/spec", "path": "/spec/capacity"},
        {"op": "copy", "from": "/none", "path": "/spec/x"},
        {"op": "add", "path": "/metadata/finalizers/99", "value": "a"},
    ],
)
@pytest.mark.usefixtures("layer")
async def test_a_json_patch_that_does_not_fit_is_refused(api: Api, operation: Any) -> None:
    refused(await api.client.patch(WEB, json=[operation], headers=JSON_PATCH), 422, "Invalid")


@pytest.mark.parametrize("path", ["/metadata/annotations/b{}", "/metadata/annotations/b"], ids=["wide", "deep"])
async def test_a_json_patch_cannot_blow_an_object_up(api: Api, layer: dict[str, Any], path: str) -> None:
    body: list[dict[str, Any]] = [{"op": "add", "path": "/metadata/annotations", "value": {"a": "xxx"}}]
    body += [{"op": "copy", "from": "/metadata", "path": path.format(number)} for number in range(200)]
    refused(await api.client.patch(WEB, json=body, headers=JSON_PATCH), 400, "BadRequest")
    assert await api.get(WEB) == layer


@pytest.mark.parametrize(
    "media_type", ["application/strategic-merge-patch+json", "application/apply-patch+yaml", "application/json", ""]
)
@pytest.mark.usefixtures("layer")
async def test_other_patches_are_not_understood(api: Api, media_type: str) -> None:
    answer = await api.client.patch(WEB, content=b"{}", headers={"content-type": media_type} if media_type else {})
    assert "application/merge-patch+json" in refused(answer, 415, "UnsupportedMediaType")["message"]


@pytest.mark.parametrize("body", [{"metadata": None}, {"metadata": []}, {"spec": None}, {"spec": 3}, {"kind": None}])
async def test_a_patch_cannot_make_nonsense_of_an_object(api: Api, layer: dict[str, Any], body: Any) -> None:
    answer = await api.patch(WEB, body)
    assert answer.status_code in {400, 422}
    assert await api.get(WEB) == layer


async def test_what_belongs_to_the_server_cannot_be_changed(api: Api, layer: dict[str, Any]) -> None:
    body = {
        "metadata": {
            "generation": 9,
            "creationTimestamp": "2000-01-01T00:00:00Z",
            "deletionTimestamp": "2000-01-01T00:00:00Z",
        }
    }
    assert ok(await api.patch(WEB, body)) == layer
    refused(await api.patch(WEB, {"metadata": {"name": "other"}}), 400, "BadRequest")
    refused(await api.patch(WEB, {"metadata": {"namespace": "other"}}), 400, "BadRequest")


async def test_the_controllers_finalizer_stays_until_the_object_is_deleted(api: Api, layer: dict[str, Any]) -> None:
    del layer["metadata"]["finalizers"]
    assert ok(await api.client.put(WEB, json=layer))["metadata"]["finalizers"] == ["strata.dev/controller"]
    assert ok(await api.patch(WEB, {"metadata": {"finalizers": []}}))["metadata"]["finalizers"]


async def test_status_is_written_through_its_subresource_alone(api: Api, layer: dict[str, Any]) -> None:
    both = {"spec": {"capacity": {"always": 5}}, "status": {"desired": 5}}
    by_main = ok(await api.patch(WEB, both))
    assert (by_main["spec"]["capacity"]["always"], by_main["status"]["desired"]) == (5, 0)
    both = {"spec": {"capacity": {"always": 8}}, "metadata": {"labels": {"a": "b"}}, "status": {"desired": 8}}
    by_status = ok(await api.patch(f"{WEB}/status", both))
    assert (by_status["spec"]["capacity"]["always"], by_status["status"]["desired"]) == (5, 8)
    assert "labels" not in by_status["metadata"]
    assert (
        by_status["metadata"]["generation"] == by_main["metadata"]["generation"] == layer["metadata"]["generation"] + 1
    )
    assert ok(await api.client.get(f"{WEB}/status")) == by_status


async def test_a_status_is_judged_like_a_spec(api: Api, layer: dict[str, Any]) -> None:
    wrong = {"status": {"desired": -1, "conditions": [{"type": "Ready", "status": "Maybe"}]}}
    found = causes(refused(await api.patch(f"{WEB}/status", wrong), 422, "Invalid"))
    assert {"status.desired", "status.conditions[0].status", "status.conditions[0].reason"} <= found
    refused(await api.patch(f"{WEB}/status", {"status": {"mood": 1}}), 400, "BadRequest")
    layer["status"]["desired"] = 4
    assert ok(await api.client.put(f"{WEB}/status", json=layer))["status"]["desired"] == 4
    refused(await api.client.put(f"{WEB}/status", json=layer), 409, "Conflict")


async def test_scale_is_a_view_of_always(api: Api, layer: dict[str, Any]) -> None:
    ok(await api.patch(f"{WEB}/status", {"status": {"replicas": 2, "selector": "strata.dev/layer=web"}}))
    scale = await api.get(f"{WEB}/scale")
    assert (scale["apiVersion"], scale["kind"], scale["spec"]) == ("autoscaling/v1", "Scale", {"replicas": 2})
    assert scale["status"] == {"replicas": 2, "selector": "strata.dev/layer=web"}
    assert scale["metadata"]["uid"] == layer["metadata"]["uid"]
    scaled = ok(await api.patch(f"{WEB}/scale", {"spec": {"replicas": 6}}))
    assert scaled["spec"]["replicas"] == 6
    after = await api.get(WEB)
    assert (after["spec"]["capacity"]["always"], after["metadata"]["generation"]) == (6, 2)
    # A stale Scale is refused, the newest one is taken, also without a Content-Type.
    refused(await api.client.put(f"{WEB}/scale", json=scale), 409, "Conflict")
    scaled["spec"]["replicas"] = 0
    request = api.client.build_request("PUT", f"{WEB}/scale", json=scaled)
    del request.headers["content-type"]
    assert ok(await api.client.send(request))["spec"]["replicas"] == 0


@pytest.mark.parametrize("replicas", [-1, "3", True, 2.5, 10_001])
async def test_a_scale_that_cannot_be_is_refused(api: Api, layer: dict[str, Any], replicas: Any) -> None:
    refused(await api.patch(f"{WEB}/scale", {"spec": {"replicas": replicas}}), 422, "Invalid")
    assert await api.get(WEB) == layer


@pytest.mark.usefixtures("layer")
async def test_a_stack_has_no_scale(api: Api) -> None:
    refused(await api.client.get(f"{STACKS}/todo/scale"), 404, "NotFound")


async def test_a_dry_run_shows_what_would_be_and_changes_nothing(api: Api, layer: dict[str, Any]) -> None:
    wish = {"spec": {"capacity": {"always": 9}}}
    would_be = ok(await api.patch(WEB, wish, dryRun="All"))
    assert (would_be["spec"]["capacity"]["always"], would_be["metadata"]["generation"]) == (9, 2)
    assert await api.get(WEB) == layer


async def test_rules_hold_for_updates(api: Api, layer: dict[str, Any]) -> None:
    status = refused(await api.patch(WEB, {"spec": {"capacity": {"min": 5, "max": 3}, "x": 1}}), 400, "BadRequest")
    assert causes(status) == {"spec.capacity.min", "spec.x"}
    moved = await api.patch(f"{STACKS}/todo", {"spec": {"region": "eu-west-1"}})
    assert causes(refused(moved, 422, "Invalid")) == {"spec.region"}
    assert await api.get(WEB) == layer


async def test_unknown_fields_of_a_newer_version_survive_an_edit(api: Api, layer: dict[str, Any]) -> None:
    stored = await api.stored(WEB_KEY)
    stored["spec"]["future"] = {"a": 1}
    await api.put(WEB_KEY, stored)
    ok(await api.patch(WEB, {"spec": {"capacity": {"always": 3}}}))
    assert (await api.stored(WEB_KEY))["spec"]["future"] == {"a": 1}
    assert layer["metadata"]["generation"] == 1


async def test_an_object_of_the_controller_may_leave_defaults_out(api: Api) -> None:
    await api.make_stack()
    made = ok(await api.client.post(INSTANCES, json=instance()), 201)
    bare = {**made, "spec": {"layers": ["web"], "availability": "layer"}, "status": {}}
    await api.put(f"/strata/objects/instances/todo/{made['metadata']['name']}", bare)
    shown = await api.get(f"{INSTANCES}/by-hand")
    assert shown["spec"]["power"] == "running"
    assert shown["status"]["phase"] == "requested"
    before = await api.revision()
    ok(await api.client.patch(f"{INSTANCES}/by-hand", json={"spec": {"power": "running"}}, headers=MERGE))
    assert await api.revision() == before


async def test_what_is_not_there_cannot_be_changed(api: Api) -> None:
    refused(await api.client.get(WEB), 404, "NotFound")
    refused(await api.patch(WEB, {}), 404, "NotFound")
    refused(await api.client.get(f"{WEB}/scale"), 404, "NotFound")
    refused(await api.patch(f"{WEB}/status", {}), 404, "NotFound")
