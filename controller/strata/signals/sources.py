"""The Prometheus servers of the daemon's settings, by name."""

from typing import NoReturn

from strata.errors import SignalError


def no_source(name: str) -> NoReturn:
    """For a daemon whose settings name none."""
    raise SignalError("UnknownSource", f"the daemon's settings have no Prometheus named {name}")
