"""Plots as SVG, PNG or a page of HTML, by matplotlib: the extra `plot`, which only a drawing needs."""

import html
import io
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from strata.cli.failures import CliFailure
from strata.simulate.replay import Replay, thresholds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PICTURES = (".svg", ".png", ".pdf")
_PAGES = (".html", ".htm")
_DAY_S = 86_400
_WIDTH_IN, _MACHINES_IN, _SIGNAL_IN = 12.0, 2.6, 1.6
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>strata simulate</title>
<style>body {{ font: 14px/1.5 system-ui, sans-serif; margin: 2rem; max-width: 80rem }} pre {{ overflow-x: auto }}
svg {{ width: 100%; height: auto }}</style>
<h1>{title}</h1>
<pre>{table}</pre>
{svg}
</html>
"""


def draw(replays: Sequence[Replay], path: Path, *, title: str, table: str) -> None:
    """Write the picture or page. Raises CliFailure."""
    suffix = path.suffix.lower()
    if suffix not in (*_PICTURES, *_PAGES):
        raise CliFailure(f"{path}: a plot ends in one of {', '.join((*_PICTURES, *_PAGES))}")
    try:
        from matplotlib import rc_context  # noqa: PLC0415 - an extra, and slow: only a drawing pays for it
    except ImportError as error:
        raise CliFailure("a drawing needs matplotlib: pip install matplotlib") from error
    with rc_context({"svg.hashsalt": "strata"}):  # two drawings of the same replay are the same file
        _write(_figure(replays), path, suffix, title=title, table=table)


def _write(figure: "Figure", path: Path, suffix: str, *, title: str, table: str) -> None:
    try:
        if suffix in _PAGES:
            page = _PAGE.format(title=html.escape(title), table=html.escape(table), svg=_svg(figure))
            path.write_text(page, encoding="utf-8")
        else:
            figure.savefig(path, metadata=_undated(suffix))
    except OSError as error:
        raise CliFailure(f"{path}: {error.strerror}") from error


def _svg(figure: "Figure") -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata=_undated(".svg"))
    return text.getvalue().partition("<svg")[1] + text.getvalue().partition("<svg")[2]


def _undated(suffix: str) -> dict[str, str | None]:
    """Without the time of drawing, for the same reason."""
    times: dict[str, dict[str, str | None]] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    return times.get(suffix, {})


def _figure(replays: Sequence[Replay]) -> "Figure":
    from matplotlib.figure import Figure  # noqa: PLC0415 - see draw

    rows = [(replay, name) for replay in replays for name in (None, *replay.seen)]
    heights = [_SIGNAL_IN if name else _MACHINES_IN for _, name in rows]
    figure = Figure(figsize=(_WIDTH_IN, sum(heights)), layout="constrained")
    axes = figure.subplots(len(rows), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axis, (replay, name) in zip(axes, rows, strict=True):
        axis.xaxis_date()
        axis.set_xlim(*_days([replay.timeline.start, replay.timeline.end]))
        if name is None:
            _machines(axis, replay)
        else:
            _signal(axis, replay, name)
    return figure


def _machines(axis: "Axes", replay: Replay) -> None:
    moments = replay.timeline.moments
    times = _days([*(moment.at for moment in moments), replay.timeline.end])
    for label, values, alpha in (
        ("running", [moment.running for moment in moments], 0.25),
        ("online", [moment.online for moment in moments], 0.5),
    ):
        held = [*values, *values[-1:]]
        axis.fill_between(times, held, step="post", label=label, linewidth=0, color="tab:blue", alpha=alpha)
    desired = [moment.desired for moment in moments]
    axis.step(times, [*desired, *desired[-1:]], where="post", color="black", linewidth=1, label="desired")
    for decision in replay.timeline.decisions:
        colour = "tab:red" if decision.change > 0 else "tab:green"
        axis.axvline(_days([decision.at])[0], color=colour, linewidth=0.5, alpha=0.6)
    axis.set_ylim(bottom=0)
    axis.set_ylabel("machines")
    axis.set_title(f"{replay.policy}: {replay.layer.metadata.name}", loc="left", fontsize="medium")
    axis.legend(loc="upper right", ncols=3, fontsize="small", frameon=False)


def _days(times: Iterable[datetime]) -> list[float]:
    """Times as matplotlib counts them: in days since 1970."""
    return [time.timestamp() / _DAY_S for time in times]


def _signal(axis: "Axes", replay: Replay, name: str) -> None:
    points = replay.seen[name]
    times = _days(point.at for point in points)
    axis.plot(times, [point.value for point in points], color="tab:gray", linewidth=0.7)
    load = replay.layer.spec.capacity.load
    up, down = thresholds(load, name) if load else (None, None)
    for value, colour in ((up, "tab:red"), (down, "tab:green")):
        if value is not None:
            axis.axhline(value, color=colour, linewidth=0.8, linestyle="--")
    axis.set_ylabel(name)
