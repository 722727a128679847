"""The console script `strata`: the table of commands, and how a run ends.

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 Ctrl-C, 141 the reader of our output went away.
"""

import errno
import os
import sys
from contextlib import suppress

import click

from strata import __version__
from strata.cli.failures import CliFailure
from strata.cli.lazy import LazyGroup
from strata.cli.options import global_options
from strata.cli.session import Session

# Name -> (where the command is, its line in --help). Dotted names, so that nothing is imported before it is run, and
# so that the CLI itself depends on none of the programs it can start.
COMMANDS = {
    "apply": ("strata.cli.commands.apply:apply", "Create or change objects so that they are as files say."),
    "get": ("strata.cli.commands.get:get", "Show objects, as a table or as they are."),
    "describe": ("strata.cli.commands.describe:describe", "Tell all about an object: state, conditions, events."),
    "why": ("strata.cli.commands.why:why", "Tell why a layer, an instance or a stack is as it is."),
    "delete": ("strata.cli.commands.delete:delete", "Delete objects, and wait until they are gone."),
    "diff": ("strata.cli.commands.diff:diff", "Show what apply would change."),
    "plan": ("strata.cli.commands.plan:plan", "Tell what apply would do to machines, and when."),
    "wait": ("strata.cli.commands.wait:wait", "Wait for a condition, a value, or the end of objects."),
    "scale": ("strata.cli.commands.scale:scale", "Set how many machines a layer has."),
    "rollout": ("strata.cli.commands.rollout:rollout", "Renew a layer's machines; watch, hold or undo that."),
    "edit": ("strata.cli.commands.edit:edit", "Change an object in an editor."),
    "label": ("strata.cli.commands.label:label", "Set or remove labels."),
    "annotate": ("strata.cli.commands.label:annotate", "Set or remove annotations."),
    "events": ("strata.cli.commands.events:events", "Show what happened, and why."),
    "pause": ("strata.cli.commands.pause:pause", "Let nothing of a stack be changed in EC2."),
    "resume": ("strata.cli.commands.pause:resume", "End a stack's pause."),
    "explain": ("strata.cli.commands.explain:explain", "Explain the fields of a kind."),
    "orphans": ("strata.cli.commands.orphans:orphans", "Decide about machines that nobody accounts for."),
    "api-resources": ("strata.cli.commands.api_resources:api_resources", "List the kinds that the server has."),
    "completion": ("strata.cli.commands.completion:completion", "Print a shell's completion script."),
    "version": ("strata.cli.commands.version:version", "Print the versions of this program and of the server."),
    "up": ("strata.local.commands:up", "Start a whole Strata here: etcd, a simulated EC2, the daemon."),
    "down": ("strata.local.commands:down", "Stop what `strata up --detach` started."),
    "simulate": ("strata.simulate.commands:simulate", "Replay clock and load through rules from files."),
    "sim": ("strata.local.commands:sim", "Set the simulated world's load and clock; let EC2 misbehave."),
    "server": ("strata.main:server", "Run the daemon."),
}

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_COMPLETE = "_STRATA_COMPLETE"  # set by the scripts of `strata completion`

EPILOG = """\b
Exit codes:
  0    done
  1    failed: not found, refused, timed out, no server (diff: there are differences)
  2    wrong usage (diff: failed)
  130  stopped by Ctrl-C
  141  the program that read our output went away

\b
Which server: --server, else STRATA_SERVER, else the kubeconfig named by
--kubeconfig, STRATA_KUBECONFIG or KUBECONFIG, else ~/.config/strata/kubeconfig.
"""


def _print_version(ctx: click.Context, _: click.Parameter, value: object) -> None:
    if value:
        click.echo(f"strata v{__version__}")
        ctx.exit()


_VERSION = click.Option(
    ["--version"],
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version of this program.",
)

cli = LazyGroup(
    name="strata",
    table=COMMANDS,
    params=[*global_options(hidden=False), _VERSION],
    help="Keep fleets of EC2 machines the way their owners wrote them.",
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)


def main() -> None:
    """Run the command line, or propose words for a shell that completes one; always ends the process."""
    if instruction := os.environ.get(_COMPLETE):
        from click.shell_completion import shell_complete  # noqa: PLC0415 - only a shell's completion pays for it

        sys.exit(shell_complete(cli, {}, "strata", _COMPLETE, instruction))
    sys.exit(run(sys.argv[1:]))


def run(args: list[str]) -> int:
    """Run one command; its exit code. Not click's own main, which calls a closed pipe a success."""
    try:
        with cli.make_context(cli.name, args, obj=Session()) as ctx:
            cli.invoke(ctx)
        sys.stdout.flush()
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except CliFailure as failure:
        tell(failure)
        return 1
    except (click.Abort, KeyboardInterrupt):
        return 130
    except OSError as error:
        return _unwritten(error)
    return 0


def _unwritten(error: OSError) -> int:
    """The exit code where our output had nowhere to go. Raises what is about anything else."""
    if not isinstance(error, BrokenPipeError) and error.errno not in _DISK_FULL:
        raise error
    if not isinstance(error, BrokenPipeError):
        with suppress(OSError):  # standard error may be on the same disk
            click.echo(f"error: cannot write: {error.strerror}", err=True)
    _leave_the_pipe()
    return 141 if isinstance(error, BrokenPipeError) else 1


def tell(failure: CliFailure) -> None:
    """Say on standard error what failed; the server's own words already begin with "Error"."""
    text = str(failure)
    click.echo(text if text.startswith("Error") else f"error: {text}", err=True)


def _leave_the_pipe() -> None:
    # Python flushes both once more at its end; into the closed pipe or the full disk it would be a second complaint.
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(null, stream.fileno())
