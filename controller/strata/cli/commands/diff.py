"""strata diff."""

import difflib
from typing import Any

import click

from strata.cli.applying import LAST_APPLIED, comparable, try_out
from strata.cli.failures import CliFailure
from strata.cli.options import Command, pass_session
from strata.cli.output import without_empty
from strata.cli.session import Session
from strata.cli.wishes import Judged, Placed, read_wishes
from strata.cli.yamltext import dump

Json = dict[str, Any]

_COLOURS = {"+": "green", "-": "red", "@": "cyan"}
_DIFFERENT, _FAILED = 1, 2


@click.command(cls=Command)
@click.option(
    "-f", "--filename", "files", multiple=True, required=True, metavar="FILE|DIR|-", help="What would be applied."
)
@click.option("-R", "--recursive", is_flag=True, help="Also the directories within a directory.")
@pass_session
def diff(session: Session, files: tuple[str, ...], *, recursive: bool) -> None:
    """Show what `strata apply` would change, as the server would do it.

    Exit code: 0 nothing, 1 something, 2 an error.
    """
    try:
        code = _compared(session, read_wishes(session, files, recursive=recursive))
    except CliFailure as failure:
        click.echo(f"error: {failure}", err=True)
        code = _FAILED
    click.get_current_context().exit(code)


def _compared(session: Session, wishes: Judged) -> int:
    different = False

    def compare(placed: Placed) -> None:
        nonlocal different
        lines = _difference(session, placed, wishes.coming)
        different = different or bool(lines)
        for line in lines:
            colour = _COLOURS.get(line[:1]) if session.colour else None
            click.echo(click.style(line, fg=colour) if colour else line)

    wishes.each(compare)
    return _FAILED if wishes.failed else _DIFFERENT if different else 0


def _difference(session: Session, placed: Placed, coming: set[str]) -> list[str]:
    outcome = try_out(session.client, placed.wish, coming)
    before = dump(without_empty(_readable(outcome.before))) if outcome.before else ""
    after = dump(without_empty(_readable(outcome.after)))
    names = (f"live/{placed.label}", f"applied/{placed.label}")
    return list(difflib.unified_diff(before.splitlines(), after.splitlines(), *names, lineterm=""))


def _readable(document: Json) -> Json:
    """What is compared, without our own memory of what was applied, and in one order."""
    plain = comparable(document)
    metadata = plain["metadata"]
    annotations = {
        key: value for key, value in (metadata.pop("annotations", None) or {}).items() if key != LAST_APPLIED
    }
    for made in ("uid", "creationTimestamp", "finalizers"):
        metadata.pop(made, None)
    return {**plain, "metadata": {**metadata, **({"annotations": annotations} if annotations else {})}}
