"""Which words of a table have a colour on a terminal: phases, and the states of conditions."""

import click

_PHASES = {
    "online": "green",
    "requested": "yellow",
    "pending": "yellow",
    "booting": "yellow",
    "running_setup": "yellow",
    "rebooting": "yellow",
    "stopping": "yellow",
    "shutting_down": "yellow",
    "terminating": "yellow",
    "setup_failed": "red",
    "start_failed": "red",
    "connection_lost": "red",
    "stop_failed": "red",
    "stopped": "bright_black",
    "terminated": "bright_black",
    "Warning": "yellow",
}
_STATES = {"True": "green", "False": "red", "Unknown": "yellow"}
_BAD_IF_TRUE = frozenset({"PROTECTED", "PAUSED", "ORPHANSHELD", "STALLED"})
_NEUTRAL = frozenset({"PROGRESSING"})


def paint(header: str, cell: str, first: str = "") -> str:
    """The cell, coloured if it is a phase or a condition's state. What is good to be true is said by the column's
    header or, in a table of conditions, by the row's first cell, the condition's type."""
    if header == "NAME":
        return cell
    colour = _PHASES.get(cell)
    if colour is None and cell in _STATES:
        colour = _of_state(header if header != "STATUS" else first.upper(), cell)
    return click.style(cell, fg=colour) if colour else cell


def _of_state(condition: str, state: str) -> str | None:
    if condition in _NEUTRAL:
        return None
    if condition in _BAD_IF_TRUE:
        return {"True": "red", "False": "green"}.get(state, "yellow")
    return _STATES[state]
