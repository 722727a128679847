"""Whatever JSON is sent, the answer is an object or a refusal, never a failure of the server."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.kit.api import JSON_PATCH, LAYERS, MERGE, STACKS, Api, run_api
from tests.kit.store import FaultyStore
from tests.kit.virtual_time import VirtualClock, run_virtual

_WORDS = [
    "metadata",
    "spec",
    "status",
    "name",
    "namespace",
    "labels",
    "annotations",
    "finalizers",
    "uid",
    "resourceVersion",
    "ownerReferences",
    "capacity",
    "always",
    "min",
    "max",
    "healing",
    "impairedAfter",
    "instance",
    "image",
    "id",
    "conditions",
    "type",
    "kind",
    "apiVersion",
    "preconditions",
    "dryRun",
    "replicas",
    "strata.dev/controller",
    "5m",
    "web",
]
_TEXT = st.sampled_from(_WORDS) | st.text(max_size=4)
_NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
_PLAIN = st.none() | st.booleans() | _NUMBERS | _TEXT
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=12,
)
_PARTS = st.dictionaries(st.sampled_from(["metadata", "spec", "status", "kind", "extra"]), _JSON, max_size=4)
_FIELDS = st.dictionaries(st.sampled_from(_WORDS), _JSON, max_size=4)
_POINTERS = st.lists(st.sampled_from([*_WORDS, "0", "-", "~1"]), max_size=4).map(
    lambda steps: "".join(f"/{s}" for s in steps)
)
_OPERATIONS = st.lists(
    st.fixed_dictionaries(
        {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]), "path": _POINTERS},
        optional={"value": _JSON, "from": _POINTERS},
    ),
    max_size=4,
)


async def _send_all(parts: Any, fields: Any, operations: Any, anything: Any, *, deleting: bool) -> None:
    clock = VirtualClock()
    async with run_api(FaultyStore(clock), clock) as api:
        await api.make_stack()
        made = await api.make_layer()
        if deleting:
            await api.client.delete(f"{LAYERS}/web")
        await _send(api, made, parts, fields)
        for path in ("web", "web/status", "web/scale"):
            for body in (parts, {"metadata": fields}, {"spec": fields}, {"status": fields}, anything):
                await _answered(api, "PATCH", f"{LAYERS}/{path}", body, MERGE)
            await _answered(api, "PATCH", f"{LAYERS}/{path}", operations, JSON_PATCH)
        await _answered(api, "DELETE", f"{LAYERS}/web", fields)


async def _send(api: Api, made: dict[str, Any], parts: Any, fields: Any) -> None:
    for body in (parts, made | parts, {**made, "metadata": {"name": "b", **fields}}, {**made, "spec": fields}):
        await _answered(api, "POST", LAYERS, body)
        await _answered(api, "POST", STACKS, body)
        await _answered(api, "PUT", f"{LAYERS}/web", body)
        await _answered(api, "PUT", f"{LAYERS}/web/scale", body)
        await _answered(api, "POST", "/strata/v1/orphans/i-1", body)


async def _answered(api: Api, method: str, path: str, body: Any, headers: dict[str, str] | None = None) -> None:
    answer = await api.client.request(method, path, json=body, headers=headers)
    assert answer.status_code < 500, (method, path, body, answer.text)
    assert answer.json()["kind"]
    listed = await api.client.get(LAYERS)
    assert listed.status_code == 200, (method, path, body, listed.text)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(parts=_PARTS, fields=_FIELDS, operations=_OPERATIONS, anything=_JSON, deleting=st.booleans())
def test_any_body_is_answered(parts: Any, fields: Any, operations: Any, anything: Any, deleting: bool) -> None:  # noqa: FBT001 - drawn
    run_virtual(_send_all(parts, fields, operations, anything, deleting=deleting))
