"""strata plan."""

import click

from strata.cli.options import Command, pass_session
from strata.cli.output import Form, FormType
from strata.cli.planning import plan as ask
from strata.cli.session import Session
from strata.cli.wishes import read_wishes


@click.command(cls=Command)
@click.option("-f", "--filename", "files", multiple=True, required=True, metavar="FILE|DIR|-", help="What to plan.")
@click.option("-R", "--recursive", is_flag=True, help="Also the directories within a directory.")
@click.option(
    "--hours", type=click.IntRange(1, 744), default=24, show_default=True, help="How far to look into the future."
)
@click.option(
    "-o", "--output", "form", type=FormType(), default=Form(), metavar="FORM", help="yaml, json, jsonpath=TEMPLATE."
)
@pass_session
def plan(session: Session, files: tuple[str, ...], *, recursive: bool, hours: int, form: Form) -> None:
    """Tell what would happen if the files were applied: which machines are made, renewed, stopped and ended, when, and
    why; now and over the next day.

    The server steps a model of the present machines through its own rules. Nothing is written, and EC2 is not asked.
    """
    wishes = read_wishes(session, files, recursive=recursive)
    ask(session, wishes, hours=hours, form=form)
    if wishes.failed:
        click.get_current_context().exit(1)
