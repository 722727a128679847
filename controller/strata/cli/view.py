"""What `get` was asked to show, and the reading of it from the server."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click

from strata.cli.client import JSON, TABLE
from strata.cli.failures import ApiFailure
from strata.cli.output import Form
from strata.cli.session import Session
from strata.cli.targets import Target

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The options of `get` that say what is shown, and how."""

    form: Form
    everywhere: bool = False
    selector: str = ""
    field_selector: str = ""
    sort_by: str = ""
    no_headers: bool = False
    show_labels: bool = False
    watch_only: bool = False
    with_events: bool = False

    @property
    def accept(self) -> str:
        return TABLE if self.form.is_table else JSON

    def query(self, name: str = "") -> dict[str, str]:
        """The query of a list: with a name, of that object alone."""
        fields = [field for field in (self.field_selector, f"metadata.name={name}" if name else "") if field]
        query = {"fieldSelector": ",".join(fields), "labelSelector": self.selector}
        if self.sort_by and self.form.is_table:
            query["includeObject"] = "Object"  # a row's cells do not have what is sorted by
        return {key: value for key, value in query.items() if value}


@dataclass(slots=True)
class Answers:
    """What the server gave for one target: whole objects or Tables; `missing` of the names were told as errors."""

    documents: list[Json]
    missing: int = 0


def read(session: Session, target: Target, view: View) -> Answers:
    """Ask for a target. A name that cannot be shown is told on standard error and spoils no other."""
    namespace = session.namespace_for(target.resource, everywhere=view.everywhere)
    if not target.names:
        path = target.resource.collection(namespace)
        return Answers([session.client.list(path, query=view.query(target.only), accept=view.accept)])
    if view.everywhere and target.resource.namespaced:
        raise click.UsageError("a name means nothing without its stack: use -n STACK, not -A")
    if view.selector or view.field_selector:
        raise click.UsageError("names and selectors exclude each other")
    answers = Answers([])
    query = {key: value for key, value in view.query().items() if key == "includeObject"}
    for name in target.names:
        try:
            answers.documents.append(
                session.client.get(target.resource.path(name, namespace), query=query, accept=view.accept)
            )
        except ApiFailure as failure:
            click.echo(str(failure), err=True)
            answers.missing += 1
    return answers


def objects(documents: list[Json]) -> Iterator[Json]:
    """The single objects of lists and objects. Items of a list have no kind of their own: they get the list's."""
    for document in documents:
        if not isinstance(document.get("items"), list):
            yield document
            continue
        inherited = {
            "apiVersion": document.get("apiVersion"),
            "kind": str(document.get("kind", "")).removesuffix("List"),
        }
        yield from ({**inherited, **item} for item in document["items"])


def rows(tables: list[Json]) -> list[Json]:
    return [row for table in tables for row in table.get("rows") or []]


def tabular(document: Json) -> Json:
    """The server's Table; for a server that gave objects instead, a Table of names and ages."""
    if document.get("kind") == "Table":
        return document
    columns = [{"name": "Name", "type": "string"}, {"name": "Age", "type": "date"}]
    made = [
        {"cells": [item["metadata"]["name"], item["metadata"].get("creationTimestamp")], "object": item}
        for item in objects([document])
    ]
    return {**document, "kind": "Table", "columnDefinitions": columns, "rows": made}
