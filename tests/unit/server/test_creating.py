"""Creating objects: what the server adds, what it refuses, and that nothing is made in a stack that is not there."""

import asyncio

import pytest
from tests.kit.api import INSTANCES, LAYERS, STACK_KEY, STACKS, WEB_KEY, Api, causes, ok, refused
from tests.kit.documents import instance, layer, stack

from strata.resources import codec
from strata.resources.kinds import LAYER
from strata.resources.layer import Layer


async def test_a_new_object_has_all_that_the_server_gives_and_every_default(api: Api) -> None:
    await api.make_stack()
    made = await api.make_layer(capacity={"always": 2})
    metadata = made["metadata"]
    assert metadata["uid"]
    assert (metadata["namespace"], metadata["generation"]) == ("todo", 1)
    assert metadata["creationTimestamp"] == "2026-01-05T12:00:00Z"
    assert metadata["finalizers"] == ["strata.dev/controller"]
    assert made["spec"]["capacity"].items() >= {"always": 2, "min": 0}.items()
    assert made["spec"]["healing"]["impairedAfter"] == "5m"
    assert await api.get(f"{LAYERS}/web") == made


async def test_what_is_stored_is_what_the_controller_reads(api: Api, store: object) -> None:
    del store
    await api.make_stack()
    made = await api.make_layer(capacity={"always": 2})
    kv = await api.store.get(WEB_KEY)
    assert kv is not None
    assert b"resourceVersion" not in kv.value
    read = codec.decode(Layer, kv.value, mod_revision=kv.mod_revision)
    assert read.spec.capacity.always == 2
    assert read.metadata.resource_version == made["metadata"]["resourceVersion"] == str(kv.mod_revision)


async def test_what_a_client_says_of_the_servers_own_fields_counts_for_nothing(api: Api) -> None:
    document = stack()
    document["metadata"] |= {"uid": "mine", "generation": 77, "deletionTimestamp": "2020-01-01T00:00:00Z"}
    document["status"] = {"observedGeneration": 9}
    made = ok(await api.client.post(STACKS, json=document), 201)
    assert made["metadata"]["uid"] != "mine"
    assert made["metadata"]["generation"] == 1
    assert "deletionTimestamp" not in made["metadata"]
    assert made["status"]["observedGeneration"] == 0


async def test_labels_annotations_owners_and_other_finalizers_are_kept(api: Api) -> None:
    document = stack()
    owner = {"apiVersion": "strata.dev/v1alpha1", "kind": "Stack", "name": "x", "uid": "1"}
    kept = {"labels": {"a": "b"}, "annotations": {"c": "d"}, "ownerReferences": [owner]}
    document["metadata"] |= {**kept, "finalizers": ["example.com/mine"]}
    made = ok(await api.client.post(STACKS, json=document), 201)["metadata"]
    assert {name: made[name] for name in kept} == kept
    assert made["finalizers"] == ["example.com/mine", "strata.dev/controller"]


async def test_a_name_is_taken_once(api: Api) -> None:
    first = await api.make_stack()
    status = refused(await api.client.post(STACKS, json=stack()), 409, "AlreadyExists")
    assert status["details"] == {"name": "todo", "group": "strata.dev", "kind": "stacks"}
    assert (await api.get(f"{STACKS}/todo"))["metadata"]["uid"] == first["metadata"]["uid"]


async def test_two_creators_at_once_make_one_object(api: Api) -> None:
    answers = await asyncio.gather(*(api.client.post(STACKS, json=stack()) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]


async def test_nothing_is_made_in_a_stack_that_does_not_exist(api: Api) -> None:
    status = refused(await api.client.post(LAYERS, json=layer()), 404, "NotFound")
    assert "Stack 'todo'" in status["message"]
    assert await api.store.get(WEB_KEY) is None


async def test_nothing_is_made_in_a_stack_that_is_being_deleted(api: Api) -> None:
    await api.make_stack()
    ok(await api.client.delete(f"{STACKS}/todo"))
    status = refused(await api.client.post(LAYERS, json=layer()), 403, "Forbidden")
    assert [cause["reason"] for cause in status["details"]["causes"]] == ["NamespaceTerminating"]
    assert await api.store.get(WEB_KEY) is None


async def test_a_stack_that_goes_between_the_look_and_the_write_gets_no_children(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.make_stack()
    read = api.store.get

    async def read_and_delete(key: str) -> object:
        kv = await read(key)
        if key == STACK_KEY and kv is not None and b"deletionTimestamp" not in kv.value:
            monkeypatch.setattr(api.store, "get", read)
            ok(await api.client.delete(f"{STACKS}/todo"))
        return kv

    monkeypatch.setattr(api.store, "get", read_and_delete)
    refused(await api.client.post(LAYERS, json=layer()), 403, "Forbidden")
    assert await read(WEB_KEY) is None


async def test_a_stack_whose_status_changes_meanwhile_gets_its_child(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    await api.make_stack()
    read = api.store.get

    async def read_and_touch(key: str) -> object:
        kv = await read(key)
        if key == STACK_KEY:
            monkeypatch.setattr(api.store, "get", read)
            await api.put(STACK_KEY, {**await api.stored(STACK_KEY), "status": {"instances": {"online": 1}}})
        return kv

    monkeypatch.setattr(api.store, "get", read_and_touch)
    ok(await api.client.post(LAYERS, json=layer()), 201)


async def test_every_wrong_field_of_a_document_is_reported(api: Api) -> None:
    document = stack("Bad_Name", region=3, paused="no")
    status = refused(await api.client.post(STACKS, json=document), 422, "Invalid")
    assert causes(status) == {"metadata.name", "spec.region", "spec.paused"}
    assert status["message"].startswith('Stack.strata.dev "Bad_Name" is invalid: [')


async def test_unknown_fields_are_refused_together_with_what_else_is_wrong(api: Api) -> None:
    status = refused(await api.client.post(STACKS, json=stack(subnet=[], region=3)), 400, "BadRequest")
    assert causes(status) == {"spec.subnet", "spec.region"}
    assert 'strict decoding error: unknown field "spec.subnet" (did you mean `subnets`?)' in status["message"]


@pytest.mark.parametrize(("mode", "warned"), [("Warn", True), ("Ignore", False)])
async def test_unknown_fields_can_be_dropped(api: Api, mode: str, warned: bool) -> None:  # noqa: FBT001 - a column
    answer = await api.client.post(STACKS, json=stack(subnet=[]), params={"fieldValidation": mode})
    assert "subnet" not in ok(answer, 201)["spec"]
    assert "subnet" not in (await api.stored(STACK_KEY))["spec"]
    assert answer.headers.get_list("warning") == (
        ['299 - "unknown field \\"spec.subnet\\" (did you mean `subnets`?)"'] if warned else []
    )


@pytest.mark.parametrize("parameter", ["fieldValidation=Lax", "dryRun=Some", "dryRun=All&dryRun=x"])
async def test_an_unknown_way_of_writing_is_refused(api: Api, parameter: str) -> None:
    refused(await api.client.post(f"{STACKS}?{parameter}", json=stack()), 400, "BadRequest")
    assert await api.store.get(STACK_KEY) is None


async def test_a_dry_run_answers_the_same_and_changes_nothing(api: Api) -> None:
    before = await api.revision()
    made = ok(await api.client.post(STACKS, json=stack(), params={"dryRun": "All"}), 201)
    assert made["spec"]["paused"] is False
    assert await api.revision() == before
    await api.make_stack()
    refused(await api.client.post(STACKS, json=stack(), params={"dryRun": "All"}), 409, "AlreadyExists")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "Layer"}, "does not match the expected one (Stack)"),
        ({"apiVersion": "v1"}, "does not match the expected one (strata.dev/v1alpha1)"),
        ({"kind": ""}, "does not say its kind"),
    ],
)
async def test_a_document_of_another_kind_is_refused(api: Api, change: dict[str, str], said: str) -> None:
    status = refused(await api.client.post(STACKS, json=stack() | change), 400, "BadRequest")
    assert said in status["message"]


async def test_a_namespace_other_than_the_urls_is_refused(api: Api) -> None:
    await api.make_stack()
    document = layer()
    document["metadata"]["namespace"] = "other"
    refused(await api.client.post(LAYERS, json=document), 400, "BadRequest")
    assert await api.store.get(LAYER.key("web", "other")) is None


@pytest.mark.parametrize("name", ["../stacks/x", "a/b", "", None, 3])
async def test_a_name_never_leads_to_another_key(api: Api, name: object) -> None:
    await api.make_stack()
    document = layer()
    document["metadata"]["name"] = name
    before = await api.revision()
    refused(await api.client.post(LAYERS, json=document), 422, "Invalid")
    assert await api.revision() == before


async def test_a_version_on_a_new_object_is_refused(api: Api) -> None:
    document = stack()
    document["metadata"]["resourceVersion"] = "7"
    refused(await api.client.post(STACKS, json=document), 400, "BadRequest")


async def test_an_instance_made_by_hand_is_manual(api: Api) -> None:
    await api.make_stack()
    made = ok(await api.client.post(INSTANCES, json=instance()), 201)
    assert made["spec"]["availability"] == "manual"
    status = refused(await api.client.post(INSTANCES, json=instance("b", availability="layer")), 422, "Invalid")
    assert causes(status) == {"spec.availability"}
