"""What the validator found, in the Kubernetes API's words, with the fix."""

import difflib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import jsonschema_rs
import msgspec

from strata.errors import Cause
from strata.resources.schema.node import INT_OR_STRING, Node, Path, render_path

_SHOWN_CHARACTERS = 80
_TYPES = MappingProxyType(
    {
        "string": "a string", "integer": "an integer", "number": "a number", "boolean": "true or false",
        "array": "a list", "object": "a mapping", INT_OR_STRING: "a whole number or a text",
    }
)  # fmt: skip


def to_cause(root: Node, prefix: Path, error: jsonschema_rs.ValidationError) -> Cause:
    """One validation error as a Cause; `prefix` is where the validated part stands in its document."""
    path: Path = (*prefix, *error.instance_path)
    kind = error.kind
    name = kind.name
    if name == "required":
        path = (*path, str(getattr(kind, "property", "")))
        return Cause(render_path(path), "FieldValueRequired", "Required value" + _about(root, path))
    reason, message = _DESCRIBERS.get(name, _describe_other)(error, root.at(path))
    return Cause(render_path(path), reason, message + _about(root, path))


def show(value: Any) -> str:  # noqa: ANN401 - JSON
    """A value as JSON, cut where it gets long."""
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _about(root: Node, path: Path) -> str:
    node = root.at(path)
    return f" ({node.description})" if node and node.description else ""


Description = tuple[str, str]

_LIMITS = MappingProxyType(
    {
        "minimum": "must be at least {}",
        "maximum": "must be at most {}",
        "minLength": "must have at least {} characters",
        "minItems": "must have at least {} items",
    }
)


def _describe_type(error: jsonschema_rs.ValidationError, node: Node | None) -> Description:
    wanted = _TYPES.get(node.type if node else "", "another type")
    return "FieldValueTypeInvalid", f"Invalid value: {show(error.instance)}: must be {wanted}"


def _describe_enum(error: jsonschema_rs.ValidationError, node: Node | None) -> Description:
    options = [str(option) for option in (node.raw.get("enum", ()) if node else ())]
    close = difflib.get_close_matches(str(error.instance), options, n=1)
    hint = f"; did you mean `{close[0]}`?" if close else ""
    supported = ", ".join(f'"{option}"' for option in options)
    return "FieldValueNotSupported", f"Unsupported value: {show(error.instance)}: supported values: {supported}{hint}"


def _describe_pattern(error: jsonschema_rs.ValidationError, node: Node | None) -> Description:
    pattern = node.raw.get("pattern", "") if node else ""
    return "FieldValueInvalid", f"Invalid value: {show(error.instance)}: must match {pattern}"


def _describe_max_length(error: jsonschema_rs.ValidationError, node: Node | None) -> Description:
    limit = node.raw.get("maxLength", 0) if node else 0
    return "FieldValueTooLong", f"Too long: must have at most {limit} characters, has {len(str(error.instance))}"


def _describe_max_items(error: jsonschema_rs.ValidationError, node: Node | None) -> Description:
    limit = node.raw.get("maxItems", 0) if node else 0
    return "FieldValueTooMany", f"Too many: {_length(error.instance)}: must have at most {limit} items"


def _describe_unique(error: jsonschema_rs.ValidationError, _node: Node | None) -> Description:
    items = error.instance if isinstance(error.instance, list) else []
    doubled = next((item for index, item in enumerate(items) if item in items[:index]), None)
    return "FieldValueDuplicate", f"Duplicate value: {show(doubled)}"


def _describe_limit(error: jsonschema_rs.ValidationError, node: Node | None) -> Description:
    name = error.kind.name
    limit = node.raw.get(name, "") if node else ""
    return "FieldValueInvalid", f"Invalid value: {show(error.instance)}: {_LIMITS[name].format(limit)}"


def _describe_format(error: jsonschema_rs.ValidationError, node: Node | None) -> Description:
    kind = node.raw.get("format", "") if node else ""
    wanted = "a time such as 2026-12-31T18:00:00Z" if kind == "date-time" else f"of the format {kind}"
    return "FieldValueInvalid", f"Invalid value: {show(error.instance)}: must be {wanted}"


def _describe_other(error: jsonschema_rs.ValidationError, _node: Node | None) -> Description:
    return "FieldValueInvalid", f"Invalid value: {show(error.instance)}: {error.message}"


def _length(value: Any) -> int:  # noqa: ANN401 - JSON
    return len(value) if isinstance(value, list) else 0


_DESCRIBERS: Mapping[str, Callable[[jsonschema_rs.ValidationError, Node | None], Description]] = MappingProxyType(
    {
        "type": _describe_type,
        "enum": _describe_enum,
        "pattern": _describe_pattern,
        "maxLength": _describe_max_length,
        "maxItems": _describe_max_items,
        "uniqueItems": _describe_unique,
        "format": _describe_format,
        **dict.fromkeys(_LIMITS, _describe_limit),
    }
)


def duplicate_causes(node: Node, value: Any, path: Path) -> list[Cause]:  # noqa: ANN401 - JSON
    """The doubled keys of every list that is a map (`x-kubernetes-list-map-keys`), at any depth."""
    found: list[Cause] = []
    if isinstance(value, dict):
        for name, item in value.items():
            child = node.child(name)
            if child is not None:
                found += duplicate_causes(child, item, (*path, name))
    elif isinstance(value, list) and node.items is not None:
        found += _doubled_keys(node, value, path)
        for index, item in enumerate(value):
            found += duplicate_causes(node.items, item, (*path, index))
    return found


def _doubled_keys(node: Node, items: list[Any], path: Path) -> list[Cause]:
    found: list[Cause] = []
    seen: set[bytes] = set()
    for index, item in enumerate(items):
        if not node.map_keys or not isinstance(item, dict):
            continue
        values = [item.get(key) for key in node.map_keys]
        key = msgspec.json.encode(values)
        if key in seen:
            where = render_path((*path, index, node.map_keys[0]))
            found.append(Cause(where, "FieldValueDuplicate", f"Duplicate value: {show(values[0])}"))
        seen.add(key)
    return found
