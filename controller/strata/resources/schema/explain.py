"""What a field is, for people: `strata explain layer.spec.capacity`."""

from dataclasses import dataclass
from typing import Any

from strata.errors import NotFound
from strata.resources.schema.definition import Definition
from strata.resources.schema.node import Node


@dataclass(frozen=True, slots=True)
class FieldDoc:
    """A field and the fields inside it. `type` is such as `integer`, `[]string`, `map[string]integer`."""

    path: str
    type: str
    description: str
    required: bool
    default: Any
    constraints: tuple[str, ...]
    fields: tuple["FieldDoc", ...] = ()


_SAID = (
    ("enum", "one of {}"), ("pattern", "matches {}"), ("minimum", "at least {}"), ("maximum", "at most {}"),
    ("minLength", "at least {} characters"), ("maxLength", "at most {} characters"),
    ("minItems", "at least {} items"), ("maxItems", "at most {} items"), ("format", "format {}"),
)  # fmt: skip


def explain(definition: Definition, path: tuple[str, ...] = ()) -> FieldDoc:
    """The field at `path` (names; lists and maps are stepped through), with its children one level deep.

    Raises NotFound, with the path up to the unknown name, for a field that there is none of.
    """
    node, required = definition.root, True
    for index, name in enumerate(path):
        parent = _inner(node)
        child = parent.properties.get(name)
        if child is None:
            raise NotFound(".".join((definition.singular, *path[: index + 1])))
        node, required = child, name in parent.required
    inner = _inner(node)
    children = tuple(
        _describe(child, ".".join((*path, name)), required=name in inner.required)
        for name, child in inner.properties.items()
    )
    return _describe(node, ".".join(path), required=required, fields=children)


def _inner(node: Node) -> Node:
    """The object that a list or a map holds, however deep."""
    while not node.properties and (node.items or node.additional):
        node = node.items or node.additional or node
    return node


def _describe(node: Node, path: str, *, required: bool, fields: tuple[FieldDoc, ...] = ()) -> FieldDoc:
    return FieldDoc(
        path=path,
        type=_type(node),
        description=node.description,
        required=required,
        default=node.make_default() if node.has_default else None,
        constraints=tuple(_constraints(node)),
        fields=fields,
    )


def _type(node: Node) -> str:
    if node.items:
        return f"[]{_type(node.items)}"
    if node.additional:
        return f"map[string]{_type(node.additional)}"
    return node.type


def _constraints(node: Node) -> list[str]:
    said = []
    for key, text in _SAID:
        if key in node.raw:
            value = node.raw[key]
            said.append(text.format(", ".join(map(str, value)) if isinstance(value, list) else value))
    return said
