"""The command line against the real API: in this process with click's runner, or as a process of its own."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.integration.cli.served import Served, serving

from strata.cli.entry import cli
from strata.cli.failures import CliFailure
from strata.cli.session import Session

STRATA = Path(sys.executable).parent / "strata"


@pytest.fixture
def served() -> Iterator[Served]:
    with serving() as running:
        yield running


@dataclass
class Shell:
    """Types commands. A CliFailure is what `main` would print: here it is kept in `failure`."""

    url: str
    failure: str = ""
    environment: dict[str, str] = field(default_factory=dict)

    def __call__(self, *args: str, stdin: str = "") -> Result:
        session = Session(environment={"STRATA_SERVER": self.url, "HOME": "/nowhere", **self.environment})
        result = CliRunner().invoke(cli, list(args), obj=session, input=stdin)
        if result.exception and not isinstance(result.exception, SystemExit | CliFailure):
            raise result.exception
        self.failure = str(result.exception) if isinstance(result.exception, CliFailure) else ""
        return result

    def ok(self, *args: str, stdin: str = "") -> str:
        """What a command that must succeed printed on standard output."""
        result = self(*args, stdin=stdin)
        assert result.exit_code == 0, (result.output, self.failure)
        return result.stdout


@pytest.fixture
def strata(served: Served) -> Shell:
    return Shell(served.url)


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(served: Served) -> Iterator[Start]:
    """Start the real console script; whatever still runs at the end is ended."""
    running: list[subprocess.Popen[str]] = []

    def run(*args: str) -> "subprocess.Popen[str]":
        environment = {"STRATA_SERVER": served.url, "HOME": "/nowhere", "PATH": os.environ["PATH"]}
        process = subprocess.Popen(
            [STRATA, *args],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield run
    for process in running:
        process.kill()
        process.communicate()


def lines_of(process: "subprocess.Popen[str]", count: int, patience_s: float = 20) -> list[str]:
    """The next lines of a running process; fewer if it ends, or is silent for so long."""
    assert process.stdout is not None
    timer = threading.Timer(patience_s, process.kill)
    timer.start()
    try:
        return [line.rstrip("\n") for line in (process.stdout.readline() for _ in range(count)) if line]
    finally:
        timer.cancel()
