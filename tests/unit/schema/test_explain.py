import pytest

from strata.errors import NotFound
from strata.resources.schema import definitions, explain


def test_a_kind_is_explained_with_its_parts() -> None:
    doc = explain(definitions()["layers"])
    assert {field.path for field in doc.fields} == {"apiVersion", "kind", "metadata", "spec", "status"}
    assert doc.description.startswith("A server role")


def test_a_field_is_explained_with_type_default_and_limits() -> None:
    doc = explain(definitions()["layers"], ("spec", "capacity", "always"))
    assert (doc.type, doc.default, doc.required) == ("integer", 0, False)
    assert "at most 10000" in doc.constraints


def test_lists_and_maps_are_stepped_through() -> None:
    subnets = explain(definitions()["stacks"], ("spec", "subnets"))
    assert subnets.type == "[]object"
    assert [field.path for field in subnets.fields] == ["spec.subnets.id", "spec.subnets.zone"]
    assert all(field.required for field in subnets.fields)
    assert explain(definitions()["stacks"], ("spec", "subnets", "id")).type == "string"
    assert explain(definitions()["stacks"], ("status", "instances")).type == "map[string]integer"


def test_metadata_is_explained_as_well() -> None:
    labels = explain(definitions()["instances"], ("metadata", "labels"))
    assert labels.type == "map[string]string"
    assert labels.description


def test_an_unknown_field_is_named_up_to_where_it_goes_wrong() -> None:
    with pytest.raises(NotFound) as caught:
        explain(definitions()["layers"], ("spec", "capacty", "always"))
    assert caught.value.key == "layer.spec.capacty"
