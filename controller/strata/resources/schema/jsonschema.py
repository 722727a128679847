"""Structural schema (OpenAPI v3) to JSON Schema 2020-12. Unknown fields are not its business: see `unknown`."""

from collections.abc import Mapping
from typing import Any

_KEPT = (
    "description", "enum", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems",
    "minProperties", "maxProperties", "required",
)  # fmt: skip
_INTEGER_LIMIT = {"int32": 2**31, "int64": 2**63}


def to_json_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The same constraints, in JSON Schema's words; `x-kubernetes-*` and integer formats are translated."""
    converted = {key: schema[key] for key in _KEPT if key in schema}
    if "type" in schema:
        converted["type"] = [schema["type"], "null"] if schema.get("nullable") else schema["type"]
    if schema.get("nullable") and "enum" in converted:
        converted["enum"] = [*converted["enum"], None]
    if schema.get("x-kubernetes-int-or-string"):
        converted["type"] = ["integer", "string", *(["null"] if schema.get("nullable") else [])]
    if schema.get("type") == "integer":
        limit = _INTEGER_LIMIT[schema.get("format", "int64")]
        converted.setdefault("minimum", -limit)
        converted.setdefault("maximum", limit - 1)
    if schema.get("format") == "date-time":
        converted["format"] = "date-time"
    if schema.get("x-kubernetes-list-type") == "set":
        converted["uniqueItems"] = True
    _convert_children(schema, converted)
    return converted


def _convert_children(schema: Mapping[str, Any], converted: dict[str, Any]) -> None:
    if "properties" in schema:
        converted["properties"] = {name: to_json_schema(child) for name, child in schema["properties"].items()}
    if "items" in schema:
        converted["items"] = to_json_schema(schema["items"])
    if isinstance(schema.get("additionalProperties"), Mapping):
        converted["additionalProperties"] = to_json_schema(schema["additionalProperties"])
