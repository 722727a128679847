"""moto_server as a process of its own, unmodified: somebody else's opinion of EC2, for the plain path."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.kit.cluster import Process, until

_READY = re.compile(r"Running on (http://127\.0\.0\.1:\d+)")


class Moto:
    """A moto_server on a free port. `name` is what a Stack calls it."""

    name = "moto"

    def __init__(self, directory: Path) -> None:
        self.url = ""
        # Unbuffered, as the line that names the port would wait in a buffer.
        command = [sys.executable, "-u", "-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", "0"]
        self._process = Process(command, directory / "moto.log")

    def start(self) -> None:
        self._process.start()
        until(self._has_said_where, within_s=30, what="moto_server says where it listens")

    def end(self) -> None:
        self._process.end()

    def _has_said_where(self) -> bool:
        found = _READY.search(self._process.log.read_text(errors="replace"))
        if found is not None:
            self.url = found[1]
        return found is not None


@contextmanager
def moto_server(directory: Path) -> Iterator[str]:
    """The endpoint of a moto_server, which logs to the directory; it ends with the context."""
    server = Moto(directory)
    try:
        server.start()
        yield server.url
    finally:
        server.end()
