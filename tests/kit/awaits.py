"""Where tasks can be suspended, and where they were: the `await` expressions of source files, and of living tasks."""

import ast
import asyncio
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple


class Await(NamedTuple):
    """One await expression, by its place in a file."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int


class Source(NamedTuple):
    place: Await
    text: str


def awaits_of(paths: Iterable[Path]) -> dict[Await, str]:
    """Every await expression in these files, and how it reads (its first line)."""
    found: dict[Await, str] = {}
    for path in sorted(paths):
        text = path.read_text()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Await):
                place = Await(str(path), node.lineno, node.col_offset, node.end_lineno or 0, node.end_col_offset or 0)
                found[place] = (ast.get_source_segment(text, node) or "").partition("\n")[0]
    return found


def suspended(tasks: Iterable["asyncio.Task[Any]"]) -> set[Await]:
    """The await expressions at which these tasks stand now, the running one included."""
    places = {_place(frame.f_code, frame.f_lasti) for task in tasks for frame in _frames(task)}
    return {place for place in places if place is not None}


def _frames(task: "asyncio.Task[Any]") -> Iterator[FrameType]:
    """The coroutines that await each other, from the task's own to the innermost."""
    if task is asyncio.current_task():
        frame: FrameType | None = sys._getframe()  # noqa: SLF001 - a running chain has no other way in
        while frame is not None:
            yield frame
            frame = frame.f_back
        return
    awaited: Any = task.get_coro()
    while getattr(awaited, "cr_frame", None) is not None:
        yield awaited.cr_frame
        awaited = awaited.cr_await


def _place(code: CodeType, last_instruction: int) -> Await | None:
    positions = list(code.co_positions())
    index = last_instruction // 2
    if not 0 <= index < len(positions):
        return None
    line, end_line, column, end_column = positions[index]
    if line is None or end_line is None or column is None or end_column is None:
        return None
    return Await(code.co_filename, line, column, end_line, end_column)
