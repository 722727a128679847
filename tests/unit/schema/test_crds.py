"""The CRD files themselves: a Kubernetes API server would take them, and `explain` has something to say of all."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from strata.data_files import data_folder
from strata.resources.duration import parse_duration
from strata.resources.kinds import SERVED
from strata.resources.schema import Definition, definitions, find_definition
from strata.resources.schema.node import Node

_ALL = pytest.mark.parametrize("definition", definitions().values(), ids=lambda definition: definition.kind.plural)


def _walk(node: Node, path: str = "") -> Iterator[tuple[str, Node]]:
    yield path, node
    for name, child in node.properties.items():
        yield from _walk(child, f"{path}.{name}")
    for child in filter(None, (node.items, node.additional)):
        yield from _walk(child, f"{path}[]")


def test_there_is_one_crd_a_served_kind() -> None:
    files = [yaml.safe_load(path.read_text()) for path in data_folder("crds").glob("*.yaml")]
    assert {file["spec"]["names"]["kind"] for file in files} == {kind.kind for kind in SERVED}
    assert list(definitions()) == [kind.plural for kind in SERVED]


def test_data_is_found_in_a_checkout() -> None:
    assert (data_folder("crds") / "stacks.yaml").is_file()
    assert data_folder("examples").parts[-2:] == ("manifests", "examples")


@_ALL
def test_a_crd_agrees_with_its_kind(definition: Definition) -> None:
    spec = definition.document["spec"]
    assert definition.document["metadata"]["name"] == f"{definition.kind.plural}.{definition.group}"
    assert (spec["scope"] == "Namespaced") == definition.kind.namespaced
    assert spec["names"]["kind"] == definition.kind.kind
    assert ("all" in definition.categories) == definition.kind.writable
    assert spec["versions"][0]["subresources"]["status"] == {}


@_ALL
def test_every_field_says_what_it_is_for(definition: Definition) -> None:
    assert [path for path, node in _walk(definition.root) if not node.description] == []


@_ALL
def test_every_default_is_valid_itself(definition: Definition) -> None:
    for part in ("spec", "status"):
        for path, node in _walk(definition.root.properties[part], part):
            if node.has_default and node.raw.get("enum"):
                assert node.make_default() in node.raw["enum"], path


@_ALL
def test_every_pattern_is_of_the_dialect_of_the_kubernetes_api(definition: Definition) -> None:
    patterns = [node.raw["pattern"] for _, node in _walk(definition.root) if "pattern" in node.raw]
    assert patterns
    for pattern in patterns:
        assert pattern.startswith("^")
        assert pattern.endswith("$")
        assert not re.search(r"\(\?|\\d|\\w", pattern), pattern


def test_the_machine_template_is_the_same_on_all_kinds() -> None:
    def without_description(definition: Definition) -> dict[str, Any]:
        raw = definition.root.properties["spec"].properties["instance"].raw
        shared = {key: value for key, value in raw["properties"].items() if key != "spot"}
        return {key: value for key, value in raw.items() if key != "description"} | {"properties": shared}

    stack, *others = map(without_description, definitions().values())
    assert all(one == stack for one in others)


def test_the_share_of_spot_machines_is_the_same_on_stack_and_layer_and_nowhere_else() -> None:
    shares = {}
    for plural, definition in definitions().items():
        shares[plural] = definition.root.properties["spec"].properties["instance"].raw["properties"].get("spot")
    assert shares["stacks"] == shares["layers"] is not None
    assert shares["instances"] is shares["layerrevisions"] is None


def test_scale_is_the_layers_always() -> None:
    scale = definitions()["layers"].scale
    assert scale is not None
    assert scale.spec_replicas == ("spec", "capacity", "always")
    assert scale.status_replicas == ("status", "replicas")
    assert scale.selector == ("status", "selector")


@pytest.mark.parametrize("name", ["Layer", "layers", "LAYER", "ly"])
def test_a_kind_is_found_by_all_its_names(name: str) -> None:
    definition = find_definition(name)
    assert definition is not None
    assert definition.kind.plural == "layers"


def test_an_unknown_kind_is_not_found() -> None:
    assert find_definition("pods") is None


def test_no_name_means_two_kinds() -> None:
    names = [
        name
        for definition in definitions().values()
        for name in {definition.kind.plural, definition.singular, *definition.short_names}
    ]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("text", ["5m", "90s", "1h30m", "2d", "1d2h3m4s", "", "5", "m", "5m ", "1m1h", "-5m", "5M"])
def test_the_crds_duration_is_the_one_that_is_parsed(text: str) -> None:
    node = definitions()["layers"].root.at(("spec", "healing", "impairedAfter"))
    assert node is not None
    by_schema = re.fullmatch(node.raw["pattern"], text) is not None and len(text) >= node.raw["minLength"]
    try:
        parse_duration(text)
    except ValueError:
        assert not by_schema
    else:
        assert by_schema


def test_a_broken_installation_says_where_it_looked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("strata.data_files._PACKAGE", tmp_path / "a" / "b")
    with pytest.raises(FileNotFoundError, match="lacks its crds"):
        data_folder("crds")
