"""The visible side of the supervisor: starts it, hears what it tells, ends it.

The supervisor ends by itself when this process does, for whatever reason: the pipe between them closes.
"""

import contextlib
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import IO

import msgspec

from strata.cli.failures import CliFailure
from strata.local.messages import DETACH, Failed, Message, decode
from strata.local.options import WorldOptions
from strata.local.processes import outcome

_END_S = 30.0  # longer than the graces of all its children together
_CHUNK_BYTES = 65_536
_LAST_LINES = 15


class WorldEnded(CliFailure):
    """The world was ended, in good order, by somebody else."""


@contextlib.contextmanager
def supervised(options: WorldOptions) -> Iterator["Supervisor"]:
    """A supervisor, which is ended with the context unless `detach` was called."""
    # It does not share our standard error: detached it lives on, and who waits for that to close would wait for ever.
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-P", "-m", "strata.local.world", msgspec.json.encode(options).decode()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,  # a terminal's Ctrl-C is for us; the supervisor hears of it by the pipe
        )
        supervisor = Supervisor(process, errors)
        try:
            yield supervisor
        finally:
            supervisor.end()


class Supervisor:
    """A supervisor process and the two pipes to it."""

    def __init__(self, process: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
        self._process = process
        self._errors = errors
        self._buffer = b""

    def next_message(self, timeout_s: float | None) -> Message | None:
        """What it tells next; None when it told nothing for `timeout_s`.

        Raises:
            WorldEnded: somebody ended it, as `strata down` does.
            CliFailure: it failed, or died.
        """
        line = self._next_line(timeout_s)
        if line is None:
            return None
        message = decode(line)
        if isinstance(message, Failed):
            raise CliFailure("\n".join([message.text, *(f"  | {text}" for text in message.log)]))
        return message

    def pause(self, seconds: float) -> None:
        """Let this time pass. Raises CliFailure as soon as the supervisor fails or is gone."""
        self.next_message(seconds)

    def detach(self) -> None:
        """Let it live on without us."""
        stdin = _open(self._process.stdin)
        stdin.write(DETACH)
        stdin.close()

    def end(self) -> None:
        """Close the pipe; wait until it has cleared all away, unless it was told to live on. Idempotent."""
        stdin = _open(self._process.stdin)
        if stdin.closed:
            return
        with contextlib.suppress(BrokenPipeError):
            stdin.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()  # its children die with it; what is left on disk goes at the next look
            self._process.wait()

    def _next_line(self, timeout_s: float | None) -> bytes | None:
        stdout = _open(self._process.stdout)
        while b"\n" not in self._buffer:
            if not select.select([stdout], [], [], timeout_s)[0]:
                return None
            chunk = os.read(stdout.fileno(), _CHUNK_BYTES)
            if not chunk:
                raise self._ended()
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _ended(self) -> CliFailure:
        code = self._process.wait()
        if code == 0:
            return WorldEnded("the local world was ended by somebody else")
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").splitlines()[-_LAST_LINES:]
        return CliFailure("\n".join([f"the supervisor {outcome(code)}", *(f"  | {line}" for line in lines)]))


def _open(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise RuntimeError("the supervisor was started without pipes")
    return pipe
