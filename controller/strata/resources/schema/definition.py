"""One kind as its CRD defines it. The CRDs are read once a process."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path as FilePath
from types import MappingProxyType
from typing import Any

import jsonschema_rs
import yaml

from strata.data_files import data_folder
from strata.errors import Cause
from strata.resources.kinds import BY_PLURAL, SERVED, Kind
from strata.resources.schema.causes import duplicate_causes, to_cause
from strata.resources.schema.defaulting import fill
from strata.resources.schema.jsonschema import to_json_schema
from strata.resources.schema.metadata import metadata_schema
from strata.resources.schema.node import Node, Path, parse
from strata.resources.schema.unknown import find_unknown, unknown_cause

PARTS = ("metadata", "spec", "status")


@dataclass(frozen=True, slots=True)
class Column:
    """A printer column. `priority` 0 is shown always, others with `-o wide`. `json_path` is relative: `.spec.x`."""

    name: str
    type: str
    json_path: str
    format: str = ""
    description: str = ""
    priority: int = 0


@dataclass(frozen=True, slots=True)
class ScalePaths:
    """Where the scale subresource finds its three values, as paths of names."""

    spec_replicas: tuple[str, ...]
    status_replicas: tuple[str, ...]
    selector: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Definition:
    """A kind with its schema. `document` is the CRD itself; `root` describes whole objects, metadata included."""

    kind: Kind
    group: str
    version: str
    list_kind: str
    singular: str
    short_names: tuple[str, ...]
    categories: tuple[str, ...]
    columns: tuple[Column, ...]
    scale: ScalePaths | None
    document: Mapping[str, Any] = field(repr=False)
    root: Node = field(repr=False)
    validators: Mapping[str, jsonschema_rs.Validator] = field(repr=False)

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}"

    def fill(self, document: dict[str, Any]) -> None:
        """Put defaults in and take nulls out, in place. Cheap enough for every read."""
        fill(self.root, document)

    def validate(self, part: str, value: Any) -> list[Cause]:  # noqa: ANN401 - JSON
        """Everything that the schema finds wrong with `metadata`, `spec` or `status`."""
        errors = self.validators[part].iter_errors(value)
        causes = [to_cause(self.root, (part,), error) for error in errors]
        node = self.root.properties[part]
        return causes + duplicate_causes(node, value, (part,))

    def unknown_fields(self, document: Mapping[str, Any]) -> list[Path]:
        """The paths of all fields that the schema does not know."""
        return list(find_unknown(self.root, document))

    def unknown_cause(self, path: Path) -> Cause:
        """Why this field is wrong, with the one that was probably meant."""
        return unknown_cause(self.root, path)


@cache
def definitions() -> Mapping[str, Definition]:
    """Every served kind's definition by its plural, in the order of `kinds.SERVED`."""
    found = {}
    for path in sorted(data_folder("crds").glob("*.yaml")):
        definition = _load(path)
        found[definition.kind.plural] = definition
    return MappingProxyType({kind.plural: found[kind.plural] for kind in SERVED})


def find_definition(name: str) -> Definition | None:
    """The definition that this kind, plural, singular or short name means, in any case; None if there is none."""
    wanted = name.lower()
    for definition in definitions().values():
        names = (definition.kind.kind.lower(), definition.kind.plural, definition.singular, *definition.short_names)
        if wanted in names:
            return definition
    return None


def _load(path: FilePath) -> Definition:
    with path.open(encoding="utf-8") as file:
        return from_document(yaml.load(file, Loader=yaml.CSafeLoader))


def from_document(document: Mapping[str, Any]) -> Definition:
    """The definition that a CRD document makes. It has one version."""
    spec = document["spec"]
    (version,) = spec["versions"]
    root = parse(_whole(version["schema"]["openAPIV3Schema"]))
    names = spec["names"]
    return Definition(
        kind=BY_PLURAL[names["plural"]],
        group=spec["group"],
        version=version["name"],
        list_kind=names["listKind"],
        singular=names["singular"],
        short_names=tuple(names.get("shortNames", ())),
        categories=tuple(names.get("categories", ())),
        columns=tuple(_column(column) for column in version.get("additionalPrinterColumns", ())),
        scale=_scale(version.get("subresources", {}).get("scale")),
        document=document,
        root=root,
        validators={part: _validator(root.properties[part]) for part in PARTS},
    )


def _whole(schema: Mapping[str, Any]) -> dict[str, Any]:
    properties = schema["properties"]
    return {**schema, "properties": {**properties, "metadata": metadata_schema(properties.get("metadata", {}))}}


def _validator(node: Node) -> jsonschema_rs.Validator:
    # RegexOptions: the engine without backtracking, whose dialect (RE2's) is also that of the Kubernetes API.
    return jsonschema_rs.Draft202012Validator(
        to_json_schema(node.raw), validate_formats=True, pattern_options=jsonschema_rs.RegexOptions()
    )


def _column(column: Mapping[str, Any]) -> Column:
    return Column(
        name=column["name"],
        type=column["type"],
        json_path=column["jsonPath"],
        format=column.get("format", ""),
        description=column.get("description", ""),
        priority=column.get("priority", 0),
    )


def _scale(scale: Mapping[str, str] | None) -> ScalePaths | None:
    if scale is None:
        return None
    paths = (scale[key] for key in ("specReplicasPath", "statusReplicasPath", "labelSelectorPath"))
    return ScalePaths(*(tuple(path.strip(".").split(".")) for path in paths))
