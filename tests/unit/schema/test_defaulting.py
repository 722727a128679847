"""Defaults come from the CRDs, nulls mean nothing, and filling twice is filling once."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.kit.documents import instance, layer, stack

from strata.resources.schema import Definition, definitions

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


def test_a_layer_is_filled_with_its_defaults() -> None:
    document = layer(capacity={"always": 3})
    definitions()["layers"].fill(document)
    assert document["spec"] == {
        "type": "custom",
        "instance": {},
        "capacity": {"always": 3, "min": 0, "schedule": [], "scaleIn": "terminate"},
        "healing": {
            "enabled": True,
            "impairedAfter": "5m",
            "startDeadline": "10m",
            "action": "replace",
            "maxUnhealthy": "30%",
        },
        "update": {"strategy": "RollingUpdate", "maxSurge": 1, "maxUnavailable": 0, "paused": False},
        "shutdown": {"drain": True, "timeout": "120s"},
    }
    assert document["status"]["desired"] == 0
    assert document["status"]["conditions"] == []


def test_defaults_are_filled_inside_of_lists() -> None:
    document = layer()
    document["status"] = {"conditions": [{"type": "Ready", "status": "True", "reason": "Ready"}]}
    definitions()["layers"].fill(document)
    assert document["status"]["conditions"][0]["message"] == ""


def test_a_null_is_a_field_not_said() -> None:
    document = stack(endpoint=None, paused=None, instance={"keyName": None})
    definitions()["stacks"].fill(document)
    assert "endpoint" not in document["spec"]
    assert document["spec"]["paused"] is False
    assert document["spec"]["instance"] == {}


def test_a_default_is_never_shared_between_objects() -> None:
    first, second = layer(), layer()
    definitions()["layers"].fill(first)
    definitions()["layers"].fill(second)
    first["status"]["conditions"].append("mine")
    assert second["status"]["conditions"] == []


def test_an_integral_float_is_an_integer() -> None:
    document = layer(capacity={"always": 3.0})
    definitions()["layers"].fill(document)
    assert isinstance(document["spec"]["capacity"]["always"], int)


@pytest.mark.parametrize("make", [stack, layer, instance])
def test_filling_twice_is_filling_once(make: Any) -> None:
    document = make()
    definition = next(found for found in definitions().values() if found.kind.kind == document["kind"])
    definition.fill(document)
    once = copy.deepcopy(document)
    definition.fill(document)
    assert document == once


@pytest.mark.parametrize("definition", definitions().values(), ids=lambda definition: definition.kind.plural)
@given(spec=_JSON, status=_JSON, metadata=_JSON)
def test_any_json_is_judged_without_a_crash(definition: Definition, spec: Any, status: Any, metadata: Any) -> None:
    document = {"spec": spec, "status": status, "metadata": metadata}
    definition.fill(document)
    definition.unknown_fields(document)
    for part in ("metadata", "spec", "status"):
        definition.validate(part, document.get(part))
