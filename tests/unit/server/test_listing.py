"""LIST: pages are one list at one revision, selectors select, and Tables are what people see."""

from typing import Any

import pytest
from tests.kit.api import BASE, LAYERS, PARTIAL, STACK_KEY, STACKS, TABLE, WEB_KEY, Api, ok, refused

from strata.resources.kinds import LAYER
from strata.store.port import Delete


async def make_layers(api: Api, count: int) -> None:
    await api.make_stack()
    for number in range(count):
        await api.make_layer(f"l{number:02}", labels={"half": str(number % 2), **({"first": ""} if not number else {})})


def names(body: dict[str, Any]) -> list[str]:
    return [item["metadata"]["name"] for item in body["items"]]


async def test_an_empty_list_has_a_revision_to_watch_from(api: Api) -> None:
    body = await api.get(STACKS)
    assert (body["kind"], body["items"]) == ("StackList", [])
    assert body["metadata"]["resourceVersion"] == str(await api.revision())


async def test_a_list_shows_one_namespace_or_all(api: Api) -> None:
    await make_layers(api, 2)
    await api.make_stack("other")
    other = LAYER.key("l00", "other")
    stored = await api.stored(LAYER.key("l00", "todo"))
    stored["metadata"]["namespace"] = "other"
    await api.put(other, stored)
    assert names(await api.get(LAYERS)) == ["l00", "l01"]
    everywhere = await api.get(f"{BASE}/layers")
    assert [(i["metadata"]["namespace"], i["metadata"]["name"]) for i in everywhere["items"]] == [
        ("other", "l00"), ("todo", "l00"), ("todo", "l01"),
    ]  # fmt: skip
    assert names(await api.get(f"{BASE}/namespaces/to/layers")) == []


async def test_pages_make_up_one_list_as_it_was_at_the_first(api: Api) -> None:
    await make_layers(api, 7)
    first = await api.get(LAYERS, limit="3")
    assert first["metadata"]["remainingItemCount"] == 4
    await api.make_layer("l02b")
    await api.store.txn([], [Delete(LAYER.key("l06", "todo"))])
    found, page = names(first), first
    while token := page["metadata"].get("continue"):
        page = await api.get(LAYERS, limit="3", **{"continue": token})
        found += names(page)
        assert page["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert found == [f"l{number:02}" for number in range(7)]
    assert "l02b" in names(await api.get(LAYERS))


@pytest.mark.parametrize("limit", ["1", "2", "3", "10"])
async def test_pages_of_a_selection_are_full_and_complete(api: Api, limit: str) -> None:
    await make_layers(api, 9)
    query = {"limit": limit, "labelSelector": "half=0"}
    found: list[str] = []
    token = ""
    for _ in range(9):
        page = await api.get(LAYERS, **query, **({"continue": token} if token else {}))
        found += names(page)
        token = page["metadata"].get("continue", "")
        assert "remainingItemCount" not in page["metadata"]
        if not token:
            break
        assert len(names(page)) == int(limit)
    assert found == ["l00", "l02", "l04", "l06", "l08"]


async def test_a_token_too_old_is_expired(api: Api, store: Any) -> None:
    await make_layers(api, 3)
    token = (await api.get(LAYERS, limit="1"))["metadata"]["continue"]
    await api.make_layer("new")
    store.server.compact(await api.revision())
    answer = await api.client.get(LAYERS, params={"limit": "1", "continue": token})
    assert "list again" in refused(answer, 410, "Expired")["message"]


async def test_a_token_leads_nowhere_else(api: Api) -> None:
    await make_layers(api, 3)
    token = (await api.get(LAYERS, limit="1"))["metadata"]["continue"]
    for path in (STACKS, f"{BASE}/namespaces/other/layers"):
        refused(await api.client.get(path, params={"continue": token, "limit": "1"}), 400, "BadRequest")
    for wrong in ("x", "####", token[:-4], "bnVsbA"):
        refused(await api.client.get(LAYERS, params={"continue": wrong, "limit": "1"}), 400, "BadRequest")


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("half=1", [1, 3]),
        ("half==1", [1, 3]),
        ("half!=1", [0, 2]),
        ("half in (1,0)", [0, 1, 2, 3]),
        ("half notin (1)", [0, 2]),
        ("first", [0]),
        ("!first", [1, 2, 3]),
        ("first=", [0]),
        ("half=0, !first", [2]),
        ("none=1", []),
        ("", [0, 1, 2, 3]),
    ],
)
async def test_label_selectors(api: Api, selector: str, expected: list[int]) -> None:
    await make_layers(api, 4)
    assert names(await api.get(LAYERS, labelSelector=selector)) == [f"l{number:02}" for number in expected]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("metadata.name=l01", ["l01"]),
        ("metadata.name!=l01", ["l00", "l02"]),
        ("metadata.name=l01,metadata.namespace=todo", ["l01"]),
        ("metadata.name=l01,metadata.namespace=other", []),
        ("metadata.name=l0", []),
        ("metadata.namespace=todo", ["l00", "l01", "l02"]),
    ],
)
async def test_field_selectors(api: Api, selector: str, expected: list[str]) -> None:
    await make_layers(api, 3)
    assert names(await api.get(LAYERS, fieldSelector=selector)) == expected
    assert names(await api.get(f"{BASE}/layers", fieldSelector=selector)) == expected


@pytest.mark.parametrize(
    "query",
    [
        {"labelSelector": "a=(b"},
        {"labelSelector": "a in b"},
        {"labelSelector": "=x"},
        {"fieldSelector": "spec.type=custom"},
        {"fieldSelector": "metadata.name"},
        {"limit": "-1"},
        {"limit": "many"},
        {"watch": "perhaps"},
        {"resourceVersionMatch": "Roughly"},
        {"includeObject": "Some"},
    ],
    ids=str,
)
async def test_a_query_that_is_not_understood_is_refused(api: Api, query: dict[str, str]) -> None:
    refused(await api.client.get(LAYERS, params=query), 400, "BadRequest")


async def test_a_list_can_be_of_an_older_revision(api: Api) -> None:
    await make_layers(api, 2)
    revision = str(await api.revision())
    await api.make_layer("new")
    query = {"resourceVersion": revision, "resourceVersionMatch": "Exact"}
    then = await api.get(LAYERS, **query)
    assert (names(then), then["metadata"]["resourceVersion"]) == (["l00", "l01"], revision)
    assert len(names(await api.get(LAYERS, resourceVersion="0"))) == 3


async def test_a_table_shows_columns_and_cells(api: Api) -> None:
    await api.make_stack()
    await api.make_layer(capacity={"always": 2, "max": 4})
    condition = {
        "type": "Ready",
        "status": "False",
        "reason": "Converging",
        "lastTransitionTime": "2026-01-05T12:00:00Z",
    }
    status = {"desired": 2, "instances": {"online": 1}, "conditions": [condition]}
    ok(await api.patch(f"{LAYERS}/web/status", {"status": status}))
    table = ok(await api.client.get(LAYERS, headers=TABLE))
    columns = [column["name"] for column in table["columnDefinitions"]]
    (row,) = table["rows"]
    assert dict(zip(columns, row["cells"], strict=True)).items() >= {
        "Name": "web", "Desired": 2, "Online": 1, "Ready": "False", "Protected": None, "Age": "0s",
        "Type": "custom", "Always": 2, "Min": 0, "Max": 4, "Image": None, "Reason": "Converging",
    }.items()  # fmt: skip
    assert [column["name"] for column in table["columnDefinitions"] if column["priority"] == 0][-1] == "Age"
    assert (table["kind"], row["object"]["kind"]) == ("Table", "PartialObjectMetadata")
    assert table["metadata"]["resourceVersion"] == str(await api.revision())


async def test_a_table_can_be_of_one_object_and_carry_it(api: Api) -> None:
    await api.make_stack()
    answer = await api.client.get(f"{STACKS}/todo", headers=TABLE, params={"includeObject": "Object"})
    assert answer.headers["content-type"] == "application/json;as=Table;v=v1;g=meta.k8s.io"
    (row,) = ok(answer)["rows"]
    assert row["object"]["spec"]["region"] == "us-east-1"
    assert row["cells"][:2] == ["todo", "us-east-1"]
    assert "us-east-1a,us-east-1b" in row["cells"]
    without = ok(await api.client.get(STACKS, headers=TABLE, params={"includeObject": "None"}))
    assert "object" not in without["rows"][0]


async def test_metadata_alone_can_be_asked_for(api: Api) -> None:
    made = await api.make_stack()
    one = ok(await api.client.get(f"{STACKS}/todo", headers=PARTIAL))
    assert (one["kind"], one["metadata"], "spec" in one) == ("PartialObjectMetadata", made["metadata"], False)
    many = ok(await api.client.get(STACKS, headers=PARTIAL))
    assert (many["kind"], len(many["items"])) == ("PartialObjectMetadataList", 1)


@pytest.mark.parametrize(
    "accept", ["application/vnd.kubernetes.protobuf,application/json", "*/*", "application/json;q=0.9", "text/html,*/*"]
)
async def test_json_is_what_most_get(api: Api, accept: str) -> None:
    assert ok(await api.client.get(STACKS, headers={"accept": accept}))["kind"] == "StackList"


@pytest.mark.parametrize("accept", ["application/yaml", "application/json;as=Table;v=v1beta1;g=meta.k8s.io"])
async def test_what_is_not_served_is_not_acceptable(api: Api, accept: str) -> None:
    refused(await api.client.get(STACKS, headers={"accept": accept}), 406, "NotAcceptable")


@pytest.mark.parametrize("garbage", [b"{not json", b"[]", b'{"kind":"Layer"}', b"\xff"])
async def test_one_poisoned_value_spoils_no_list(api: Api, garbage: bytes) -> None:
    await make_layers(api, 2)
    await api.put_raw(WEB_KEY, garbage)
    assert names(await api.get(LAYERS)) == ["l00", "l01", "web"]
    assert ok(await api.client.get(LAYERS, headers=TABLE))["rows"][2]["cells"][0] == "web"
    ok(await api.client.delete(f"{LAYERS}/web"))
    assert names(await api.get(LAYERS)) == ["l00", "l01"]


async def test_namespaces_are_the_stacks(api: Api) -> None:
    made = await api.make_stack()
    body = await api.get("/api/v1/namespaces")
    assert (body["kind"], names(body)) == ("NamespaceList", ["todo"])
    one = await api.get("/api/v1/namespaces/todo")
    assert (one["kind"], one["status"]) == ("Namespace", {"phase": "Active"})
    assert one["metadata"]["uid"] == made["metadata"]["uid"]
    assert await api.store.get(STACK_KEY) is not None
    refused(await api.client.get("/api/v1/namespaces/none"), 404, "NotFound")
    refused(await api.client.post("/api/v1/namespaces", json={}), 405, "MethodNotAllowed")
