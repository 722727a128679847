"""The CRDs and the structs say the same: what one lets in, the other can hold, with the same defaults."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec import inspect

from strata.resources.kinds import SERVED, Kind
from strata.resources.schema import definitions
from strata.resources.schema.defaulting import fill
from strata.resources.schema.node import INT_OR_STRING, Node

_PLAIN = {
    inspect.IntType: "integer",
    inspect.FloatType: "number",
    inspect.StrType: "string",
    inspect.BoolType: "boolean",
    inspect.DateTimeType: "string",
    inspect.DateType: "string",
    inspect.LiteralType: "string",
    inspect.EnumType: "string",
    inspect.VarTupleType: "array",
    inspect.DictType: "object",
    inspect.StructType: "object",
}


def _differences(type_: inspect.Type, node: Node, path: str) -> Iterator[str]:
    """Every way in which a schema differs from the type that holds its values."""
    if isinstance(type_, inspect.UnionType) and not any(isinstance(part, inspect.NoneType) for part in type_.types):
        if {type(part) for part in type_.types} != {inspect.IntType, inspect.StrType} or node.type != INT_OR_STRING:
            yield f"{path}: {type_} is {node.type} in the schema"
        return
    if isinstance(type_, inspect.UnionType):
        (type_,) = [part for part in type_.types if not isinstance(part, inspect.NoneType)]
        if not node.nullable:
            yield f"{path}: the struct takes null, the schema does not"
    elif node.nullable:
        yield f"{path}: the schema takes null, the struct does not"
    if _PLAIN.get(type(type_)) != node.type:
        yield f"{path}: {type_} is {node.type} in the schema"
    if isinstance(type_, inspect.DateTimeType) != (node.raw.get("format") == "date-time"):
        yield f"{path}: one is a date-time, the other is not"
    if isinstance(type_, inspect.DateType) != (node.raw.get("format") == "date"):
        yield f"{path}: one is a date, the other is not"
    yield from _inner_differences(type_, node, path)


def _inner_differences(type_: inspect.Type, node: Node, path: str) -> Iterator[str]:
    enum = node.raw.get("enum")
    if isinstance(type_, inspect.LiteralType) and set(type_.values) != set(enum or ()):
        yield f"{path}: {type_.values} is {enum} in the schema"
    if isinstance(type_, inspect.EnumType) and {member.value for member in type_.cls} != set(enum or ()):
        yield f"{path}: {list(type_.cls)} is {enum} in the schema"
    if isinstance(type_, inspect.VarTupleType) and node.items:
        yield from _differences(type_.item_type, node.items, f"{path}[]")
    if isinstance(type_, inspect.DictType) and node.additional:
        yield from _differences(type_.value_type, node.additional, f"{path}{{}}")
    if isinstance(type_, inspect.StructType):
        yield from _field_differences(type_, node, path)


def _field_differences(type_: inspect.StructType, node: Node, path: str) -> Iterator[str]:
    fields = {field.encode_name: field for field in type_.fields}
    if fields.keys() != node.properties.keys():
        yield f"{path}: only one of both has {sorted(fields.keys() ^ node.properties.keys())}"
        return
    if node.required != {name for name, field in fields.items() if field.required}:
        yield f"{path}: the schema requires {sorted(node.required)}"
    for name, field in fields.items():
        child = node.properties[name]
        if not field.required and not _same_default(child, field):
            yield f"{path}.{name}: the defaults differ"
        yield from _differences(field.type, child, f"{path}.{name}")


def _same_default(node: Node, field: inspect.Field) -> bool:
    """Whether the schema's default, itself filled with defaults, is the struct's."""
    wanted = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
    if wanted is None:
        return not node.has_default
    filled = fill(node, node.make_default()) if node.has_default else None
    return bool(filled == msgspec.to_builtins(wanted) or _converted(filled, type(wanted)) == wanted)


def _converted(value: Any, type_: Any) -> Any:
    return msgspec.convert(value, type_) if value is not None else None


@pytest.mark.parametrize("kind", SERVED, ids=lambda kind: kind.plural)
@pytest.mark.parametrize("part", ["spec", "status"])
def test_a_crd_has_exactly_the_fields_types_and_defaults_of_its_struct(kind: Kind, part: str) -> None:
    definition = definitions()[kind.plural]
    record = inspect.type_info(kind.record)
    assert isinstance(record, inspect.StructType)
    (type_,) = [field.type for field in record.fields if field.encode_name == part]
    assert list(_differences(type_, definition.root.properties[part], part)) == []


def test_a_difference_would_be_found() -> None:
    spec = definitions()["layers"].root.properties["spec"]
    status = inspect.type_info(SERVED[1].record)
    assert isinstance(status, inspect.StructType)
    (type_,) = [field.type for field in status.fields if field.encode_name == "status"]
    assert list(_differences(type_, spec, "spec")) != []


@pytest.mark.parametrize("kind", SERVED, ids=lambda kind: kind.plural)
def test_metadata_is_what_object_meta_holds(kind: Kind) -> None:
    record = inspect.type_info(kind.record)
    assert isinstance(record, inspect.StructType)
    (meta,) = [field.type for field in record.fields if field.encode_name == "metadata"]
    assert isinstance(meta, inspect.StructType)
    known = definitions()[kind.plural].root.properties["metadata"].properties.keys()
    assert known == {field.encode_name for field in meta.fields}
