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
_BAD_IF_TRUE = frozenset({"PROTECTED", "PAUSED", "ORPHANSHELD"})


def paint(header: str, cell: str) -> str:
    """The cell, coloured if it is a phase or a condition's state under this header."""
    if header == "NAME":
        return cell
    colour = _PHASES.get(cell)
    if colour is None and cell in _STATES:
        colour = _inverted(cell) if header in _BAD_IF_TRUE else _STATES[cell]
    return click.style(cell, fg=colour) if colour else cell


def _inverted(state: str) -> str:
    return {"True": "red", "False": "green"}.get(state, "yellow")
