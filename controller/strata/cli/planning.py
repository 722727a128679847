"""What would happen if documents were applied: asked of the server, and shown. Used by plan and apply."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import click

from strata.cli import ages
from strata.cli.applying import try_out
from strata.cli.client import Client
from strata.cli.output import Form, render
from strata.cli.session import Session
from strata.cli.tables import TableWriter
from strata.cli.wishes import Judged, Placed
from strata.resources import explain_schedule

Json = dict[str, Any]

_PATH = "/strata/v1/plan"
_HEAD = ("WHEN", "WHAT", "COUNT", "INSTANCES", "WHY")
_NAMES_SHOWN = 4
_PLANNED = ("Stack", "Layer", "Instance")


def plan(session: Session, wishes: Judged, *, hours: int, form: Form) -> None:
    """Ask the server, and print its answer. Documents that are refused are told and left out."""
    documents: list[Json] = []

    def admit(placed: Placed) -> None:
        if placed.wish.resource.kind in _PLANNED:
            documents.append(_admitted(session.client, placed, wishes.coming))

    wishes.each(admit)
    if not documents:
        return
    answer = session.client.create(_PATH, {"documents": documents, "hours": hours})
    if form.is_table:
        _show(session, answer)
    else:
        click.echo(render(form, answer), nl=False)


def _admitted(client: Client, placed: Placed, coming: set[str]) -> Json:
    """The object as apply would make it."""
    after = try_out(client, placed.wish, coming).after
    return {key: value for key, value in after.items() if key != "status"}


def _show(session: Session, answer: Json) -> None:
    now = ages.parse_time(answer["from"]) or session.clock.now()
    for layer in answer["layers"]:
        click.echo("\n".join(_summary(layer)))
        _steps(session, layer["steps"], now)
        if layer["cutAt"]:
            click.echo(f"  …and more after {layer['cutAt']}: ask for fewer hours")
        click.echo()
    if answer["instances"]:
        click.echo("instances made by hand")
        _steps(session, answer["instances"], now)
        click.echo()
    if not answer["layers"] and not answer["instances"]:
        click.echo("No machine is concerned.")
    click.echo(f"Nothing was changed. Until {answer['until']} it is assumed that")
    click.echo("".join(f"  - {one}\n" for one in answer["assumes"]), nl=False)


def _summary(layer: Json) -> Iterator[str]:
    was = "new" if layer["new"] else f"now {layer['before']}"
    yield f"layer/{layer['name']} in {layer['stack']} wants {layer['sum']} ({was})"
    ready = layer["ready"]
    if ready and ready["status"] != "True" and ready["reason"] != "Converging":
        yield f"  held back: {ready['message'] or ready['reason']}"
    change = layer["nextChange"]
    if change:
        yield f"  then {explain_schedule.next_change(change['desired'], change['at'], change['rule'])}"
    if not layer["steps"]:
        yield "  nothing is done"


def _steps(session: Session, steps: list[Json], now: datetime) -> None:
    rows = [
        [_when(step["at"], now), step["verb"], str(len(step["instances"])), _names(step["instances"]), step["why"]]
        for step in steps
    ]
    TableWriter(_HEAD, colour=session.colour, margin="  ").write(rows)


def _when(at: str, now: datetime) -> str:
    """`now`, or `in 6h 01:00Z`; with the date where it is another day's."""
    moment = ages.parse_time(at)
    if moment is None or moment <= now:
        return "now"
    clock = moment.strftime("%H:%M:%SZ" if moment.second else "%H:%MZ")
    day = "" if moment.date() == now.date() else f"{moment:%a} "
    return f"in {ages.human((moment - now).total_seconds())}, {day}{clock}"


def _names(names: list[str]) -> str:
    more = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
