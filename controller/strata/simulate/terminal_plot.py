"""Plots for terminals, of Unicode's block elements."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from strata.simulate import buckets
from strata.simulate.replay import Replay, thresholds

_EIGHTHS = " ▁▂▃▄▅▆▇█"
_DESIRED = "─"
_MARGIN = 10  # for the numbers on the left
_MACHINE_ROWS, _SIGNAL_ROWS = 8, 3
_LEAST_COLUMNS = 20
_DAY = timedelta(days=1)


def plot(replay: Replay, width: int) -> Iterator[str]:
    """Machines above, each signal below, one time axis."""
    columns = max(_LEAST_COLUMNS, width - _MARGIN)
    timeline = replay.timeline
    span = (timeline.start, timeline.end, columns)
    running = buckets.of_moments(timeline.moments, *span, value=lambda moment: moment.running)
    desired = buckets.of_moments(timeline.moments, *span, value=lambda moment: moment.desired)
    top = max(1.0, *running, *desired)
    yield f"{'':{_MARGIN}}machines that run (bars), and are desired ({_DESIRED})"
    yield from _rows(running, top, _MACHINE_ROWS, marks=desired)
    for name, points in replay.seen.items():
        values = buckets.of_points(points, *span)
        known = [value for value in values if value is not None]
        load = replay.layer.spec.capacity.load
        up = thresholds(load, name)[0] if load else None
        yield f"{'':{_MARGIN}}{name}" + ("" if up is None else f" (at most {up:g} is wanted: {_DESIRED})")
        top = max([*known, up or 0.0, 1e-9])
        marks = [up if up is not None else None] * columns
        yield from _rows(values, top, _SIGNAL_ROWS, marks=marks)
    yield _axis(timeline.start, timeline.end, columns)


def _rows(values: Sequence[float | None], top: float, height: int, *, marks: Sequence[float | None]) -> Iterator[str]:
    for row in range(height - 1, -1, -1):
        line = "".join(_cell(value, mark, top, height, row) for value, mark in zip(values, marks, strict=True))
        label = f"{top:g}" if row == height - 1 else "0" if row == 0 else ""
        yield f"{_short(label):>{_MARGIN - 2}} ┤{line}".rstrip()


def _cell(value: float | None, mark: float | None, top: float, height: int, row: int) -> str:
    filled = 0 if value is None else round(value / top * height * 8) - row * 8
    if filled <= 0 and mark is not None and row == min(height - 1, int(mark / top * height - 1e-9)):
        return _DESIRED
    return _EIGHTHS[max(0, min(8, filled))]


def _short(label: str) -> str:
    return label[: _MARGIN - 2]


def _axis(start: datetime, end: datetime, columns: int) -> str:
    form = "%d %b" if end - start > 2 * _DAY else "%d %b %H:%M"
    left, middle, right = (moment.strftime(form) for moment in (start, start + (end - start) / 2, end))
    line = left + middle.center(max(0, columns - len(left) - len(right))) + right
    return f"{'':{_MARGIN}}{line}"
