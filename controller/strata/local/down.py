"""`strata down`: ends this user's world, and clears away what a killed one left."""

import os
import select
import signal

from strata.cli.failures import CliFailure
from strata.local.state import Home, WorldRecord

_END_S = 40.0


def run_down(home: Home) -> str:
    """End it; what was done, in words. Idempotent. Raises CliFailure if it will not end."""
    record = home.read()
    if record is not None and home.is_up():
        _end(record.pid)
    with home.hold() as alone:
        if not alone:
            raise CliFailure("a world is just starting or ending; try again")
        home.clear_leftovers()
        death = home.take_death()
    told = f"{death}\n" if death else ""
    if record is None:
        return f"{told}nothing is up"
    return told + _said(record)


def _said(record: WorldRecord) -> str:
    return "all stopped" if record.temporary else f"all stopped; the data stays in {record.data_dir}"


def _end(pid: int) -> None:
    """A file of the process, unlike its number, never comes to mean another one."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(process, signal.SIGTERM)
        if not select.select([process], [], [], _END_S)[0]:
            raise CliFailure(f"the world (process {pid}) does not end")
    except ProcessLookupError:
        return
    finally:
        os.close(process)
