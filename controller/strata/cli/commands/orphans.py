"""strata orphans list, adopt, delete."""

from typing import Any

import click

from strata.cli import ages
from strata.cli.failures import ApiFailure, CliFailure
from strata.cli.options import Command, pass_session
from strata.cli.output import Form, FormType, as_list, render
from strata.cli.session import Session
from strata.cli.tables import TableWriter, text

Json = dict[str, Any]

_PATH = "/strata/v1/orphans"
_IDS = click.argument("ids", nargs=-1, required=True, metavar="INSTANCE-ID…")


@click.group()
def orphans() -> None:
    """Decide about machines that bear our cluster's tag, but that nobody accounts for.

    The reaper ends a few of them by itself; more than that, or after a restore, it holds them for your decision.
    """


@orphans.command("list", cls=Command)
@click.option(
    "-o",
    "--output",
    "form",
    type=FormType(),
    default=Form(),
    metavar="FORM",
    help="wide, yaml, json, name, jsonpath=TEMPLATE.",
)
@click.option("--no-headers", is_flag=True, help="No heads above the columns.")
@pass_session
def list_(session: Session, *, form: Form, no_headers: bool) -> None:
    """List the machines that are held."""
    items: list[Json] = session.client.get(_PATH)["items"]
    if not form.is_table:
        names = "".join(f"{item['instanceId']}\n" for item in items)
        click.echo(names if form.name == "name" else render(form, as_list(items)), nl=False)
    elif not items:
        click.echo("No orphans.", err=True)
    else:
        wide = form.name == "wide"
        head = ["ID", "STACK", "LAYER", "NAME", "TYPE", "ZONE", "AGE", "HELD", "DECISION", "WHY"]
        writer = TableWriter(
            [*head, *(["LAUNCH", "REGION", "MESSAGE"] if wide else [])], colour=session.colour, with_head=not no_headers
        )
        writer.write(_row(session, item, wide=wide) for item in items)


@orphans.command(cls=Command)
@_IDS
@click.option(
    "--into", "layer", required=True, metavar="LAYER", help="The layer of its stack that it becomes a member of."
)
@pass_session
def adopt(session: Session, ids: tuple[str, ...], *, layer: str) -> None:
    """Make machines members of a layer.

    The layer must have room. If it is full, pause its stack, raise its capacity, adopt, and resume.
    """
    name = layer.rpartition("/")[2]
    _decide(session, ids, {"decision": "adopt", "adoptInto": name}, f"will be adopted into layer/{name}")


@orphans.command(cls=Command)
@_IDS
@pass_session
def delete(session: Session, ids: tuple[str, ...]) -> None:
    """Terminate machines."""
    _decide(session, ids, {"decision": "delete"}, "will be terminated")


def _decide(session: Session, ids: tuple[str, ...], decision: Json, said: str) -> None:
    failed = False
    for id_ in ids:
        try:
            session.client.create(f"{_PATH}/{id_}", decision)
        except ApiFailure as failure:
            failed = True
            click.echo(f"{id_}: {failure}", err=True)
        else:
            click.echo(f"{id_} {said}")
    if failed:
        raise CliFailure("not every machine could be decided about; `strata orphans list` shows them")


def _row(session: Session, item: Json, *, wide: bool) -> list[str]:
    now = session.now()
    plain = [text(item.get(field)) for field in ("instanceId", "stack", "layer", "name", "type", "zone")]
    spans = [ages.age(item.get("launchedAt"), now), ages.age(item.get("foundAt"), now)]
    decision = " into ".join(part for part in (item.get("decision"), item.get("adoptInto")) if part)
    more = [text(item.get(field)) for field in ("launchId", "region", "message")] if wide else []
    return [*plain, *spans, text(decision), text(item.get("message") or item.get("heldBecause")), *more]
