"""The command line starts quickly, because it imports what it runs and nothing else."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from strata.cli.entry import COMMANDS, cli
from strata.cli.lazy import LazyGroup

_COSTLY = ("boto3", "botocore", "grpc", "rich", "msgspec", "jsonpath", "tabulate", "starlette", "asyncio")


def _imported_by(*args: str) -> set[str]:
    """The top-level modules that a run of the command line has imported at its end."""
    code = "import sys; from strata.cli.entry import run; run(sys.argv[1:]); print('\\n' + ' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code, *args], env={"HOME": "/nowhere"}, capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "args", [("version",), ("get", "layers", "-n", "x", "--server", "http://127.0.0.1:1"), ("get", "--help")]
)
def test_an_ordinary_command_imports_nothing_costly(args: tuple[str, ...]) -> None:
    assert not _imported_by(*args) & {*_COSTLY, "yaml"}


def test_help_imports_no_command_and_no_http() -> None:
    imported = _imported_by("--help")
    assert not imported & {*_COSTLY, "yaml", "urllib3", "strata.main"}
    assert not [name for name in imported if name.startswith(("strata.cli.commands", "strata.local"))]


def test_help_names_every_command_with_its_line() -> None:
    page = CliRunner().invoke(cli, ["--help"]).stdout
    assert all(name in page and line in page for name, (_, line) in COMMANDS.items())


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_of_the_table_is_there_and_has_a_help_page(name: str) -> None:
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0
    assert f"Usage: strata {name}" in result.stdout.replace("cli ", "strata ")


@pytest.mark.parametrize("where", ["strata.no_such_module:x", "strata.cli.ages:no_such_command", "strata.cli.ages:age"])
def test_a_command_that_is_not_installed_is_told_plainly(where: str) -> None:
    group = LazyGroup(name="strata", table={"up": (where, "Start.")})
    result = CliRunner().invoke(group, ["up"])
    assert result.exit_code == 1
    assert "`strata up`" in result.stderr
    assert "Traceback" not in result.output


def test_an_unknown_command_is_wrong_usage() -> None:
    assert CliRunner().invoke(cli, ["nope"]).exit_code == 2


def test_the_console_script_is_the_entry() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "strata", "version", "--client"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("Client: v")


_STRATA = str(Path(sys.executable).parent / "strata")


def test_the_version_is_an_option_too() -> None:
    done = subprocess.run([_STRATA, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("strata v")


@pytest.mark.parametrize("args", [("version", "--client"), ("--help",)])
def test_output_to_a_full_disk_is_one_plain_error(args: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([_STRATA, *args], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "error: cannot write: No space left on device\n")


def test_every_command_takes_the_global_options_after_its_name() -> None:
    for name in ("get", "apply", "wait", "events", "scale"):
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        assert {"--namespace", "--server", "--context"} <= {option for param in command.params for option in param.opts}
