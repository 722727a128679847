"""Finds what a document says that its schema does not know, and guesses what was meant."""

import difflib
from collections.abc import Iterator
from typing import Any

from strata.errors import Cause
from strata.resources.schema.node import Node, Path, render_path


def find_unknown(node: Node, value: Any, path: Path = ()) -> Iterator[Path]:  # noqa: ANN401 - JSON
    """The paths of all fields that the schema does not know; not those inside another unknown field."""
    if node.open:
        return
    if isinstance(value, dict):
        for name, item in value.items():
            child = node.child(name)
            if child is not None:
                yield from find_unknown(child, item, (*path, name))
            elif node.type == "object":
                yield (*path, name)
    elif isinstance(value, list) and node.items is not None:
        for index, item in enumerate(value):
            yield from find_unknown(node.items, item, (*path, index))


def prune(value: Any, paths: list[Path]) -> None:  # noqa: ANN401 - JSON
    """Remove these fields, in place. Each path ends in a field's name."""
    for path in paths:
        parent = value
        for step in path[:-1]:
            parent = parent[step]
        del parent[path[-1]]


def unknown_cause(root: Node, path: Path) -> Cause:
    """Why this field is wrong, with the field that was probably meant."""
    return Cause(render_path(path), "FieldValueForbidden", f'unknown field "{render_path(path)}"{_hint(root, path)}')


def _hint(root: Node, path: Path) -> str:
    parent = root.at(path[:-1])
    known = parent.properties if parent else {}
    name = str(path[-1])
    folded = {field.lower(): field for field in known}
    close = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.6)
    if close:
        return f" (did you mean `{folded[close[0]]}`?)"
    return f" (known here: {', '.join(sorted(known))})" if known else ""
