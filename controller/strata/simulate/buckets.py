"""Time lines cut into as many pieces as a plot has columns."""

from collections.abc import Callable, Sequence
from datetime import datetime

from strata.planner.forecast.timeline import Moment
from strata.resources.signal import Point


def of_moments(
    moments: Sequence[Moment], start: datetime, end: datetime, columns: int, value: Callable[[Moment], int]
) -> list[float]:
    """The highest value that held at any time of each piece."""
    width = (end - start) / columns
    highest = [0.0] * columns
    at = 0
    for column in range(columns):
        until = start + (column + 1) * width
        if at:
            highest[column] = value(moments[at - 1])
        while at < len(moments) and moments[at].at < until:
            highest[column] = max(highest[column], value(moments[at]))
            at += 1
    return highest


def of_points(points: Sequence[Point], start: datetime, end: datetime, columns: int) -> list[float | None]:
    """The mean of each piece; None where there is no number."""
    width = (end - start) / columns
    sums, counts = [0.0] * columns, [0] * columns
    for point in points:
        column = min(columns - 1, max(0, int((point.at - start) / width)))
        sums[column] += point.value
        counts[column] += 1
    return [total / count if count else None for total, count in zip(sums, counts, strict=True)]
