"""Child processes that cannot outlive this one, each with a log file.

Owns starting, watching and stopping them; knows nothing of what they are. Must run on the main thread's event loop:
a tether is to the thread that started the child.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_TETHER = Path(__file__).with_name("tether.py")
_TAIL_BYTES = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to run. `command[0]` is an absolute path; `ready_url` answers below 400 once it can be used."""

    name: str
    command: tuple[str, ...]
    log: Path
    ready_url: str
    environment: Mapping[str, str] = field(default_factory=dict)
    grace_s: float = 5.0


class Child:
    """A running program."""

    def __init__(self, program: Program, process: asyncio.subprocess.Process, log_start: int) -> None:
        self.program = program
        self._process = process
        self._log_start = log_start  # what is before it was said by earlier ones

    @classmethod
    async def start(cls, program: Program) -> "Child":
        """Start it in a session of its own, so that a terminal's Ctrl-C reaches it only through us."""
        with program.log.open("ab") as log:
            log_start = log.tell()
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-ISs", str(_TETHER), str(os.getpid())),
                *program.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=program.environment,
                start_new_session=True,
            )
        return cls(program, process, log_start)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def wait(self) -> int:
        """Its exit code, negative for a signal, once it has ended."""
        return await self._process.wait()

    async def stop(self) -> None:
        """End it and all it started: politely, then by force. Idempotent."""
        self._signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), self.program.grace_s)
        except TimeoutError:
            pass
        finally:
            self._signal(signal.SIGKILL)  # also what it left behind in its group
        await self._process.wait()

    def last_lines(self, count: int = 15) -> list[str]:
        """The end of its log, as far as this very child wrote it."""
        with self.program.log.open("rb") as log:
            log.seek(max(self._log_start, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
            return log.read().decode(errors="replace").splitlines()[-count:]

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def outcome(code: int) -> str:
    """An exit code in words."""
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"was killed by {signal.Signals(-code).name}"
    return f"exited with {code}"
