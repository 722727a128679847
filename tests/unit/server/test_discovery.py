"""Discovery, CRDs, version and health: what a client asks before it asks for anything."""

from typing import Any

import pytest
from tests.kit.api import TABLE, Api, ok, refused

from strata.server.context import HealthCheck

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


async def test_groups_versions_and_resources_lead_to_each_other(api: Api) -> None:
    groups = (await api.get("/apis"))["groups"]
    assert {group["name"] for group in groups} == {"strata.dev", "events.k8s.io", "apiextensions.k8s.io"}
    for group in groups:
        assert (await api.get(f"/apis/{group['name']}"))["versions"] == group["versions"]
        version = group["preferredVersion"]["groupVersion"]
        listed = await api.get(f"/apis/{version}")
        assert listed["groupVersion"] == version
        for resource in listed["resources"]:
            if "/" not in resource["name"]:
                assert (await api.get(f"/apis/{version}/{resource['name']}"))["kind"] == f"{resource['kind']}List"
    assert (await api.get("/api"))["versions"] == ["v1"]
    assert {resource["name"] for resource in (await api.get("/api/v1"))["resources"]} == {"namespaces", "events"}


async def test_our_kinds_are_described_as_their_crds_do(api: Api) -> None:
    resources = {entry["name"]: entry for entry in (await api.get("/apis/strata.dev/v1alpha1"))["resources"]}
    assert set(resources) == {
        "stacks", "stacks/status", "layers", "layers/status", "layers/scale", "instances", "instances/status",
        "layerrevisions",
    }  # fmt: skip
    assert resources["layers"]["shortNames"] == ["ly"]
    assert resources["layers"]["namespaced"]
    assert set(resources["layerrevisions"]["verbs"]) == {"get", "list", "watch"}
    assert not resources["stacks"]["namespaced"]
    assert (resources["layers/scale"]["group"], resources["layers/scale"]["kind"]) == ("autoscaling", "Scale")


async def test_clients_only_read_what_the_controller_alone_writes(api: Api) -> None:
    await api.make_stack()
    revisions = "/apis/strata.dev/v1alpha1/namespaces/todo/layerrevisions"
    assert (await api.get(revisions))["items"] == []
    refused(await api.client.post(revisions, json={}), 405, "MethodNotAllowed")
    for method in ("PUT", "PATCH", "DELETE"):
        refused(await api.client.request(method, f"{revisions}/web-v1-0"), 405, "MethodNotAllowed")


async def test_the_crds_are_served(api: Api) -> None:
    body = await api.get(CRDS)
    assert len(body["items"]) == 4
    one = await api.get(f"{CRDS}/layers.strata.dev")
    assert one["spec"]["names"]["kind"] == "Layer"
    assert {"type": "Established", "status": "True"}.items() <= one["status"]["conditions"][1].items()
    assert ok(await api.client.get(CRDS, headers=TABLE))["rows"][0]["cells"][0] == "stacks.strata.dev"
    refused(await api.client.get(f"{CRDS}/pods"), 404, "NotFound")
    refused(await api.client.get(CRDS, params={"watch": "true"}), 405, "MethodNotAllowed")


@pytest.mark.parametrize("path", ["/version", "/version/"])
async def test_the_version_is_told(api: Api, path: str) -> None:
    answer = await api.client.get(path, follow_redirects=True)
    assert ok(answer)["gitVersion"] == "v0.1.0"


@pytest.mark.parametrize(
    "path",
    ["/", "/apis/apps/v1", "/apis/strata.dev/v1alpha1/pods", "/apis/strata.dev/v1alpha1/layers/web", "/openapi/v3"],
)
async def test_what_is_not_served_is_a_status(api: Api, path: str) -> None:
    refused(await api.client.get(path), 404, "NotFound")


async def test_a_method_that_is_not_served_is_a_status(api: Api) -> None:
    refused(await api.client.post("/apis/strata.dev/v1alpha1/layers", json={}), 405, "MethodNotAllowed")
    refused(await api.client.put("/readyz"), 405, "MethodNotAllowed")


async def test_health_is_well_where_every_check_is(api: Api) -> None:
    api.checks += [HealthCheck("etcd", ok=True, reason="3 ms"), HealthCheck("loop", ok=True, livez=True, readyz=False)]
    for path in ("/livez", "/readyz", "/healthz"):
        answer = await api.client.get(path)
        assert (answer.status_code, answer.text) == (200, "ok")
    verbose = (await api.client.get("/readyz?verbose")).text
    assert "[+]etcd ok: 3 ms\n" in verbose
    assert "[+]watch-hub ok\n" in verbose
    assert "loop" not in verbose


async def test_a_failing_check_is_named_with_its_reason(api: Api) -> None:
    api.checks.append(HealthCheck("etcd", ok=False, reason="no answer for 12 s"))
    answer = await api.client.get("/readyz")
    assert answer.status_code == 503
    assert "[-]etcd failed: no answer for 12 s\n" in answer.text
    assert answer.text.endswith("readyz check failed\n")
    assert (await api.client.get("/livez")).status_code == 200
    assert (await api.client.get("/readyz", params={"exclude": "etcd"})).status_code == 200


async def test_every_answer_of_the_api_is_json(api: Api) -> None:
    paths: list[Any] = ["/apis", "/nothing", "/apis/strata.dev/v1alpha1/stacks"]
    for path in paths:
        assert (await api.client.get(path)).headers["content-type"] == "application/json"
