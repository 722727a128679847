"""A structural schema as a tree that defaulting, pruning and explain walk. Parsed once, never changed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

Path = tuple[str | int, ...]

_NO_DEFAULT: Final = b""
INT_OR_STRING: Final = "int-or-string"  # a Node's type where the schema says x-kubernetes-int-or-string


@dataclass(frozen=True, slots=True)
class Node:
    """One field. `default` is kept as JSON bytes, so that no two objects ever share a mutable default."""

    type: str
    description: str = ""
    nullable: bool = False
    default: bytes = _NO_DEFAULT
    required: frozenset[str] = frozenset()
    properties: Mapping[str, "Node"] = field(default_factory=dict, repr=False)
    items: "Node | None" = None
    additional: "Node | None" = None
    open: bool = False  # x-kubernetes-preserve-unknown-fields: anything may stand here
    map_keys: tuple[str, ...] = ()  # of a list that is a map
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def has_default(self) -> bool:
        return self.default != _NO_DEFAULT

    def make_default(self) -> Any:  # noqa: ANN401 - JSON
        """A fresh copy of the default."""
        return msgspec.json.decode(self.default)

    def child(self, step: str | int) -> "Node | None":
        """The schema of a property, a map's value or a list's element."""
        if isinstance(step, int):
            return self.items
        return self.properties.get(step) or self.additional

    def at(self, path: Path) -> "Node | None":
        """The schema of what stands at this path; None where the schema says nothing of it."""
        node: Node | None = self
        for step in path:
            node = node.child(step) if node else None
        return node


def parse(schema: Mapping[str, Any]) -> Node:
    """Turn a structural schema (apiextensions.k8s.io/v1) into a Node."""
    additional = schema.get("additionalProperties")
    items = schema.get("items")
    return Node(
        type=INT_OR_STRING if schema.get("x-kubernetes-int-or-string") else schema.get("type", "object"),
        description=schema.get("description", ""),
        nullable=schema.get("nullable", False),
        default=msgspec.json.encode(schema["default"]) if "default" in schema else _NO_DEFAULT,
        required=frozenset(schema.get("required", ())),
        properties={name: parse(child) for name, child in schema.get("properties", {}).items()},
        items=parse(items) if items else None,
        additional=parse(additional) if isinstance(additional, Mapping) else None,
        open=schema.get("x-kubernetes-preserve-unknown-fields", False) or additional is True,
        map_keys=tuple(schema.get("x-kubernetes-list-map-keys", ())),
        raw=schema,
    )


def render_path(path: Path) -> str:
    """A path as people read it: `spec.subnets[1].id`, `metadata.labels[team/name]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif step.isidentifier():
            text += f".{step}" if text else step
        else:
            text += f"[{step}]"
    return text
