"""strata apply."""

from functools import partial

import click

from strata.cli.applying import Outcome, apply_one, try_out
from strata.cli.options import Command, pass_session
from strata.cli.output import Form, FormType, render, shown
from strata.cli.planning import plan
from strata.cli.session import Session
from strata.cli.wishes import Placed, read_wishes

_HOURS = 24  # that a plan looks ahead
_SAID = {"": "", "client": " (dry run)", "server": " (server dry run)"}


@click.command(cls=Command, bare={"--dry-run": "server"})
@click.option("-f", "--filename", "files", multiple=True, required=True, metavar="FILE|DIR|-", help="What to apply.")
@click.option("-R", "--recursive", is_flag=True, help="Also the directories within a directory.")
@click.option(
    "--dry-run",
    type=click.Choice(["none", "client", "server", "plan"]),
    default="none",
    metavar="[=client|server|plan]",
    help="Change nothing. server (what --dry-run alone means) judges all of it; client sends nothing to be judged; "
    "plan tells what would become of the machines, as `strata plan` does.",
)
@click.option(
    "-o",
    "--output",
    "form",
    type=FormType(),
    default=Form(),
    metavar="FORM",
    help="Print what came of it: name, yaml, json.",
)
@pass_session
def apply(session: Session, files: tuple[str, ...], *, recursive: bool, dry_run: str, form: Form) -> None:
    """Create or change objects so that they are as the files say.

    A field that a file no longer names is removed; fields that only others set are left alone. Every document stands
    for itself: a wrong one is told with all its wrong fields and changes nothing, the others are applied, and the exit
    code is 1.
    """
    mode = "" if dry_run == "none" else dry_run
    wishes = read_wishes(session, files, recursive=recursive)
    if mode == "plan":
        plan(session, wishes, hours=_HOURS, form=form)
    else:
        wishes.each(partial(_apply, session, mode, form, wishes.coming))
    if wishes.failed:
        click.get_current_context().exit(1)


def _apply(session: Session, mode: str, form: Form, coming: set[str], placed: Placed) -> None:
    if mode == "server":
        outcome = try_out(session.client, placed.wish, coming)
    else:
        outcome = apply_one(session.client, placed.wish, dry_run=mode)
    if outcome.untracked and not mode:
        click.echo(f"warning: {placed.label} was not made by `strata apply`; its other fields are left alone", err=True)
    _print(placed, outcome, mode, form)


def _print(placed: Placed, outcome: Outcome, mode: str, form: Form) -> None:
    if form.name == "name":
        click.echo(placed.label)
    elif form.is_table:
        click.echo(f"{placed.label} {outcome.verb}{placed.where}{_SAID[mode]}")
    else:
        click.echo(render(form, shown(outcome.after)), nl=False)
