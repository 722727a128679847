"""`get -w`: what is there, then every change, as rows or as whole objects."""

from typing import Any

import click

from strata.cli.failures import CliFailure
from strata.cli.kinds import ResourceType
from strata.cli.output import label_of, render, shown
from strata.cli.session import Session
from strata.cli.tables import ServerTable, TableWriter
from strata.cli.targets import Target
from strata.cli.view import View, tabular
from strata.cli.watch import Change, Watch

Json = dict[str, Any]


def follow(session: Session, targets: list[Target], view: View) -> None:
    """Print until Ctrl-C. Raises CliFailure for a name that is not there."""
    if len(targets) != 1 or len(targets[0].names) > 1:
        raise click.UsageError("-w watches one kind, or one object of it")
    target = targets[0]
    name = target.names[0] if target.names else ""
    namespace = session.namespace_for(target.resource, everywhere=view.everywhere)
    path = target.resource.collection(namespace)
    watch = Watch(session.client, session.clock, session.pause, path, view.query(name), view.accept)
    answer = watch.start()
    if name and not watch.items:
        raise CliFailure(f'{target.resource.plural} "{name}" not found')
    show: _Rows | _Objects = _Rows(session, view, answer) if view.form.is_table else _Objects(target.resource, view)
    if not view.watch_only:
        show.change(*(Change("ADDED", item) for item in watch.items.values()))
    for change in watch.changes():
        show.change(change)


class _Rows:
    def __init__(self, session: Session, view: View, answer: Json) -> None:
        self._events = view.with_events
        self._table = ServerTable(
            tabular(answer),
            wide=view.form.name == "wide",
            namespaces=view.everywhere,
            labels=view.show_labels,
            now=session.now,
        )
        head = [*(["EVENT".ljust(len("MODIFIED"))] if self._events else []), *self._table.head]
        self._writer = TableWriter(head, colour=session.colour, with_head=not view.no_headers)

    def change(self, *changes: Change) -> None:
        rows = [
            [*([change.type] if self._events else []), *self._table.row(_as_row(change.item))] for change in changes
        ]
        self._writer.write(rows)


def _as_row(item: Json) -> Json:
    row: Json = item if "cells" in item else tabular(item)["rows"][0]
    return row


class _Objects:
    def __init__(self, resource: ResourceType, view: View) -> None:
        self._resource = resource
        self._form = view.form
        self._events = view.with_events

    def change(self, *changes: Change) -> None:
        for change in changes:
            click.echo(self._text(change), nl=False)

    def _text(self, change: Change) -> str:
        item = {"apiVersion": self._resource.api_version, "kind": self._resource.kind, **change.item}
        if self._form.name == "name":
            return label_of(self._resource, item["metadata"]["name"]) + "\n"
        document = {"type": change.type, "object": shown(item)} if self._events else shown(item)
        separator = "---\n" if self._form.name == "yaml" else ""
        return separator + render(self._form, document)
