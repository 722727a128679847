"""strata events."""

from typing import Any

import click

from strata.cli import happenings
from strata.cli.completing import complete_target
from strata.cli.kinds import EVENT
from strata.cli.options import Command, pass_session
from strata.cli.output import Form, FormType, as_list, label_of, render, shown
from strata.cli.session import Session
from strata.cli.tables import TableWriter
from strata.cli.targets import parse_one
from strata.cli.watch import Watch

Json = dict[str, Any]


@click.command(cls=Command)
@click.option("-A", "--all-namespaces", "everywhere", is_flag=True, help="Of all stacks.")
@click.option("--for", "subject", metavar="KIND/NAME", help="Of one object.", shell_complete=complete_target)
@click.option("--types", default="", metavar="TYPE,…", help="Normal, Warning.")
@click.option("-w", "--watch", is_flag=True, help="Then show what happens, until Ctrl-C.")
@click.option(
    "-o", "--output", "form", type=FormType(), default=Form(), metavar="FORM", help="yaml, json, name, jsonpath=…"
)
@click.option("--no-headers", is_flag=True, help="No heads above the columns.")
@pass_session
def events(
    session: Session, *, everywhere: bool, subject: str | None, types: str, watch: bool, form: Form, no_headers: bool
) -> None:
    """Show what happened, and why: the oldest first, those of the last day."""
    namespace, query = _scope(session, subject, everywhere=everywhere)
    watched = Watch(session.client, session.clock, session.pause, EVENT.collection(namespace), query)
    watched.start()
    wanted = {name.strip().capitalize() for name in types.split(",") if name.strip()}
    show = _Printer(session, form, everywhere=everywhere, with_head=not no_headers)
    found = [event for event in watched.items.values() if _is_wanted(event, wanted)]
    show.first(happenings.in_order(found), quiet=watch)
    for change in watched.changes() if watch else ():
        if change.type != "DELETED" and _is_wanted(change.item, wanted):
            show.next(change.item)


def _scope(session: Session, subject: str | None, *, everywhere: bool) -> tuple[str | None, dict[str, str]]:
    """The namespace to look in and the query. Events of a stack itself are in the namespace of its name."""
    if subject is None:
        return session.namespace_for(EVENT, everywhere=everywhere), {}
    resource, name = parse_one(session.catalog, tuple(subject.split()))
    query = {"fieldSelector": f"involvedObject.kind={resource.kind},involvedObject.name={name}"}
    if not resource.namespaced:
        return name, query
    return session.namespace_for(EVENT, everywhere=everywhere), query


def _is_wanted(event: Json, types: set[str]) -> bool:
    return not types or event.get("type") in types


class _Printer:
    def __init__(self, session: Session, form: Form, *, everywhere: bool, with_head: bool) -> None:
        self._session = session
        self._form = form
        self._everywhere = everywhere
        head = ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
        self._writer = TableWriter(
            [*(["NAMESPACE"] if everywhere else []), *head], colour=session.colour, with_head=with_head
        )

    def first(self, found: list[Json], *, quiet: bool) -> None:
        """What is there already; `quiet`: say nothing if that is nothing."""
        if self._form.is_table:
            self._writer.write(self._row(event) for event in found)
            if not found and not quiet:
                click.echo("No events.", err=True)
        elif self._form.name == "name" or quiet:
            for event in found:
                self.next(event)
        else:
            click.echo(render(self._form, as_list([shown(event) for event in found])), nl=False)

    def next(self, event: Json) -> None:
        if self._form.is_table:
            self._writer.write([self._row(event)])
        elif self._form.name == "name":
            click.echo(label_of(EVENT, event["metadata"]["name"]))
        else:
            click.echo(("---\n" if self._form.name == "yaml" else "") + render(self._form, shown(event)), nl=False)

    def _row(self, event: Json) -> list[str]:
        before = [event["metadata"].get("namespace", "")] if self._everywhere else []
        seen = happenings.when(event, self._session.now())
        return [
            *before,
            seen,
            event.get("type", ""),
            event.get("reason", ""),
            happenings.about(event),
            event.get("message", ""),
        ]
