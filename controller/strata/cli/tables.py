"""Tables as kubectl prints them: upper-case heads, three spaces between columns, no lines.

Owns widths, colours and the reading of the server's Table answers. Rows can be added later (a watch): a column never
gets narrower.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

import click

from strata.cli import ages
from strata.cli.colours import paint

Json = dict[str, Any]
Row = Sequence[str]

_GAP = "   "


class TableWriter:
    """Prints rows under one head. The head is printed with the first rows, or not at all."""

    def __init__(self, head: Row, *, colour: bool, with_head: bool = True, margin: str = "") -> None:
        self._margin = margin
        self._head = [title.upper() for title in head]
        self._widths = [len(title) for title in self._head] if with_head else [0] * len(head)
        self._colour = colour
        self._head_due = with_head

    def write(self, rows: Iterable[Row]) -> None:
        cells = [[_one_line(cell) for cell in row] for row in rows]
        for row in cells:
            self._widths = [max(width, len(cell)) for width, cell in zip(self._widths, row, strict=True)]
        lines = [self._line(row, painted=self._colour) for row in cells]
        if self._head_due and cells:
            lines.insert(0, self._line(self._head, painted=False))
            self._head_due = False
        if lines:
            click.echo("\n".join(lines))

    def _line(self, row: Row, *, painted: bool) -> str:
        padded = []
        for title, cell, width in zip(self._head, row, self._widths, strict=True):
            padded.append((paint(title, cell, row[0]) if painted else cell) + " " * (width - len(cell)))
        return self._margin + _GAP.join(padded).rstrip()


def _one_line(cell: str) -> str:
    first, newline, _ = cell.partition("\n")
    return f"{first}..." if newline else first


class ServerTable:
    """How the rows of the server's Table answers become ours: which columns, and which of our own around them."""

    def __init__(
        self, table: Json, *, wide: bool, namespaces: bool, labels: bool, prefix: str = "", now: Callable[[], datetime]
    ) -> None:
        self._columns = [
            (at, str(column.get("name", "")), column.get("type") == "date")
            for at, column in enumerate(table.get("columnDefinitions") or [])
            if wide or not column.get("priority")
        ]
        self._namespaces = namespaces
        self._labels = labels
        self._prefix = prefix
        self._now = now

    @property
    def head(self) -> list[str]:
        before = ["NAMESPACE"] if self._namespaces else []
        return [*before, *(title for _, title, _ in self._columns), *(["LABELS"] if self._labels else [])]

    def row(self, row: Json) -> list[str]:
        cells = [self._cell(row["cells"][at], dated=dated) for at, _, dated in self._columns]
        if cells:
            cells[0] = self._prefix + cells[0]
        metadata = row_holder(row).get("metadata") or {}
        before = [metadata.get("namespace") or "<none>"] if self._namespaces else []
        return [*before, *cells, *([labels_text(metadata)] if self._labels else [])]

    def _cell(self, value: object, *, dated: bool) -> str:
        if dated and ages.parse_time(value):
            return ages.age(value, self._now())
        return text(value)


def row_holder(row: Json) -> Json:
    """The object of a Table's row, or as much of it as the server gave."""
    found: Json = row.get("object") or {}
    return found


def labels_text(metadata: Json) -> str:
    labels = metadata.get("labels") or {}
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "<none>"


def text(value: object) -> str:
    """A cell's value as people read it."""
    if value is None or value == "":
        return "<none>"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(text(item) for item in value)
    return str(value)
