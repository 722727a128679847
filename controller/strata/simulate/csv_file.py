"""Numbers over time from CSV files: a head, then `time,value` in each line. What is wrong is told with its line."""

import csv
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from strata.cli.failures import CliFailure
from strata.resources.signal import Point

_COLUMNS = 2
_MILLISECONDS = 1e11  # an epoch time beyond this is one in milliseconds: in seconds it would be the year 5138


def read_points(path: Path) -> tuple[Point, ...]:
    """The points, oldest first. Times are ISO 8601 (UTC where none is said) or seconds since 1970; an empty value is a
    number that is missing. Raises CliFailure."""
    points = sorted(_points(path), key=lambda found: found[0].at)
    for (before, _), (after, line) in pairwise(points):
        if before.at == after.at:
            raise CliFailure(f"{path}: line {line}: the time {after.at.isoformat()} stands there twice")
    if not points:
        raise CliFailure(f"{path}: there are no numbers in it, only a head")
    return tuple(point for point, _ in points)


def rows(path: Path, least_columns: int) -> Iterator[tuple[int, list[str]]]:
    """The lines below the head, with their numbers. Raises CliFailure."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise CliFailure(f"{path}: {why}") from error
    reader = csv.reader(text.splitlines())
    for row in reader:
        if reader.line_num == 1:
            _check_head(path, row)
            continue
        if not any(cell.strip() for cell in row):
            continue
        if len(row) < least_columns:
            raise CliFailure(f"{path}: line {reader.line_num}: {least_columns} columns are expected, not {len(row)}")
        yield reader.line_num, [cell.strip() for cell in row]


def _check_head(path: Path, row: list[str]) -> None:
    """A file without a head would lose its first numbers."""
    if any(cell.strip().replace(".", "", 1).isdigit() for cell in row[1:]):
        raise CliFailure(f"{path}: line 1: a head such as time,value is expected, not numbers")


def number(path: Path, line: int, text: str) -> float:
    """Raises CliFailure for what is no finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise CliFailure(f"{path}: line {line}: {text!r} is not a number")
    return value


def _points(path: Path) -> Iterator[tuple[Point, int]]:
    for line, (time, value, *_) in rows(path, _COLUMNS):
        if value:
            yield Point(_time(path, line, time), number(path, line, value)), line


def _time(path: Path, line: int, text: str) -> datetime:
    try:
        seconds = float(text)
    except ValueError:
        return _iso(path, line, text)
    try:
        return datetime.fromtimestamp(seconds / 1000 if seconds > _MILLISECONDS else seconds, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise CliFailure(f"{path}: line {line}: {text!r} is not a time") from error


def _iso(path: Path, line: int, text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise CliFailure(f"{path}: line {line}: {text!r} is not a time such as 2026-11-23T18:00:00Z") from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)
