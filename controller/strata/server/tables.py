"""meta.k8s.io/v1 Tables: what a CLI prints, made where the columns are known."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import jsonpath

from strata.resources.schema import Column
from strata.server.resource import Document, Resource, partial

Cell = str | int | float | bool | None

_NAME = {
    "name": "Name", "type": "string", "format": "name", "priority": 0,
    "description": "The object's name, unique among its kind in its namespace",
}  # fmt: skip
_EVENTS = "events"  # the one collection whose Table does not begin with the name


def column_definitions(resource: Resource) -> list[dict[str, Any]]:
    """The columns of this resource's Table."""
    return [*([] if resource.plural == _EVENTS else [_NAME]), *(_definition(column) for column in resource.columns)]


def row(resource: Resource, document: Document, now: datetime, include: str) -> Document:
    """One object as a row. `include`: what `object` is, as includeObject says (None, Metadata, Object)."""
    name = [] if resource.plural == _EVENTS else [document["metadata"]["name"]]
    made: Document = {"cells": [*name, *(_cell(column, document, now) for column in resource.columns)]}
    if include != "None":
        made["object"] = document if include == "Object" else partial(document)
    return made


def table(rows: Sequence[Document], metadata: Document, columns: Sequence[dict[str, Any]]) -> Document:
    """A Table; a watch sends its columns only in the first event, and none (an empty list) later."""
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": list(columns),
        "rows": list(rows),
    }


def _definition(column: Column) -> dict[str, Any]:
    return {
        "name": column.name,
        "type": column.type,
        "format": "" if column.format == "reference" else column.format,
        "priority": column.priority,
        "description": column.description,
    }


def _cell(column: Column, document: Document, now: datetime) -> Cell:
    value = _getter(column.json_path)(document)
    if value is None or value == []:
        return None
    if column.format == "reference":
        return f"{str(value.get('kind', '')).lower()}/{value.get('name', '')}"
    if column.type == "date":
        return human_age(str(value), now)
    if column.type in {"integer", "number", "boolean"}:
        return value if isinstance(value, (int, float)) else None
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


@cache
def _getter(path: str) -> Callable[[Mapping[str, Any]], Any]:
    """What reads this path of an object: a walk where the path is only names, which most are."""
    names = path.strip(".").split(".")
    if all(name.isidentifier() for name in names):
        return lambda document: _walk(document, names)
    query = jsonpath.compile(f"${path}")
    many = "[*]" in path

    def find(document: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
        found = query.findall(document)
        if many:
            return list(dict.fromkeys(map(str, found)))
        return found[0] if found else None

    return find


def _walk(document: Mapping[str, Any], names: Sequence[str]) -> Any:  # noqa: ANN401 - JSON
    value: Any = document
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


_CLOCKS_DIFFER_S = 2
_MINUTE_S, _HOUR_S, _DAY_S, _YEAR_S = 60, 3600, 86_400, 365 * 86_400


def human_age(timestamp: str, now: datetime) -> str:
    """Time since `timestamp`, as kubectl writes it: `5s`, `3m20s`, `7h`, `2d4h`, `3y10d`."""
    try:
        age_s = int((now - datetime.fromisoformat(timestamp)).total_seconds())
    except (ValueError, TypeError):  # no time, or one without a zone
        return "<unknown>"
    # Two machines' clocks differ a little.
    return _human_duration(max(age_s, 0)) if age_s >= -_CLOCKS_DIFFER_S else "<invalid>"


# (below this many seconds, unit in seconds and its letter, the smaller unit that is shown too, if any)
_STEPS: tuple[tuple[int, int, str, int, str], ...] = (
    (2 * _MINUTE_S, 1, "s", 0, ""),
    (10 * _MINUTE_S, _MINUTE_S, "m", 1, "s"),
    (3 * _HOUR_S, _MINUTE_S, "m", 0, ""),
    (8 * _HOUR_S, _HOUR_S, "h", _MINUTE_S, "m"),
    (2 * _DAY_S, _HOUR_S, "h", 0, ""),
    (8 * _DAY_S, _DAY_S, "d", _HOUR_S, "h"),
    (2 * _YEAR_S, _DAY_S, "d", 0, ""),
    (8 * _YEAR_S, _YEAR_S, "y", _DAY_S, "d"),
)


def _human_duration(age_s: int) -> str:
    for below_s, unit_s, letter, small_s, small_letter in _STEPS:
        if age_s < below_s:
            rest = age_s % unit_s // small_s if small_s else 0
            return f"{age_s // unit_s}{letter}" + (f"{rest}{small_letter}" if rest else "")
    return f"{age_s // _YEAR_S}y"
