"""moto_server as a process of its own: somebody else's opinion of EC2, for the plain path."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_READY = re.compile(r"Running on (http://127\.0\.0\.1:\d+)")
_LINES_BEFORE_READY = 50


@contextmanager
def moto_server() -> Iterator[str]:
    """The endpoint of a moto_server on a free port; it ends with the context."""
    # Unbuffered, as the line that names the port would wait in a buffer.
    command = [sys.executable, "-u", "-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        try:
            yield _endpoint(server)
        finally:
            server.kill()


def _endpoint(server: "subprocess.Popen[str]") -> str:
    assert server.stdout is not None
    said: list[str] = []
    for line in server.stdout:
        said.append(line)
        if found := _READY.search(line):
            return found[1]
        if len(said) > _LINES_BEFORE_READY:
            break
    raise AssertionError(f"moto_server did not start: {''.join(said)}")
