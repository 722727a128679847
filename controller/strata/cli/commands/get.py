"""strata get."""

from dataclasses import replace
from typing import Any

import click

from strata.cli.completing import complete_target
from strata.cli.following import follow
from strata.cli.kinds import STACK
from strata.cli.options import Command, pass_session
from strata.cli.output import Form, FormType, as_list, label_of, render, shown
from strata.cli.session import Session
from strata.cli.tables import ServerTable, TableWriter, row_holder
from strata.cli.targets import Target, is_category, parse
from strata.cli.view import View, objects, read, rows, tabular

Json = dict[str, Any]


@click.command(cls=Command)
@click.argument(
    "target", nargs=-1, required=True, metavar="KIND[,KIND] [NAME…] | KIND/NAME… | all", shell_complete=complete_target
)
@click.option("-A", "--all-namespaces", "everywhere", is_flag=True, help="In all stacks.")
@click.option(
    "-o",
    "--output",
    "form",
    type=FormType(),
    default=Form(),
    metavar="FORM",
    help="wide, yaml, json, name, jsonpath=TEMPLATE.",
)
@click.option(
    "-l", "--selector", default="", metavar="LABELS", help="Only those with these labels: a=b,c!=d,e in (f,g)."
)
@click.option("--field-selector", default="", metavar="FIELDS", help="Only those with these fields: metadata.name=web.")
@click.option("-w", "--watch", is_flag=True, help="Then show every change, until Ctrl-C.")
@click.option("--watch-only", is_flag=True, help="Show changes alone.")
@click.option(
    "--output-watch-events", "with_events", is_flag=True, help="Say what each change is: ADDED, MODIFIED, DELETED."
)
@click.option("--sort-by", default="", metavar="JSONPATH", help="Sort by a field, such as .metadata.name.")
@click.option("--no-headers", is_flag=True, help="No heads above the columns.")
@click.option("--show-labels", is_flag=True, help="A column with the labels.")
@pass_session
def get(session: Session, /, target: tuple[str, ...], **flags: Any) -> None:  # noqa: ANN401 - the options above, into one View
    r"""Show objects: a table of them, or with -o what they are.

    \b
    strata get layers -n todo
    strata get layer/web -o yaml
    strata get instances -A -w
    strata get instances -o jsonpath='{range .items[*]}{.metadata.name}{"\n"}{end}'
    """
    watching = flags.pop("watch") or flags["watch_only"]
    targets = parse(session.catalog, target)
    view = View(**flags)
    if is_category(target) and session.namespace and not view.everywhere:  # all of a stack, and that stack
        targets = [replace(one, only=session.namespace) if one.resource == STACK else one for one in targets]
    if watching:
        follow(session, targets, view)
    elif not (_tables if view.form.is_table else _objects)(session, targets, view):
        click.get_current_context().exit(1)


def _tables(session: Session, targets: list[Target], view: View) -> bool:
    """Print one table a target; whether every name was found."""
    missing = printed = 0
    for target in targets:
        answers = read(session, target, view)
        missing += answers.missing
        tables = [tabular(document) for document in answers.documents]
        if rows(tables):
            if printed:
                click.echo()
            _print_table(session, target, view, tables, prefixed=len(targets) > 1)
            printed += 1
    if not printed and not missing:
        click.echo(_nothing(session, targets, view), err=True)
    return not missing


def _print_table(session: Session, target: Target, view: View, tables: list[Json], *, prefixed: bool) -> None:
    table = ServerTable(
        tables[0],
        wide=view.form.name == "wide",
        namespaces=view.everywhere and target.resource.namespaced,
        labels=view.show_labels,
        prefix=f"{target.resource.singular}/" if prefixed else "",
        now=session.now,
    )
    found = rows(tables)
    if view.sort_by:
        found = _sorted(view.sort_by, found, [row_holder(row) for row in found])
    writer = TableWriter(table.head, colour=session.colour, with_head=not view.no_headers)
    writer.write(table.row(row) for row in found)


def _objects(session: Session, targets: list[Target], view: View) -> bool:
    """Print objects as they are; whether every name was found."""
    found: list[tuple[Target, Json]] = []
    missing = 0
    for target in targets:
        answers = read(session, target, view)
        missing += answers.missing
        found += [(target, document) for document in objects(answers.documents)]
    if view.form.name == "name":
        for target, document in found:
            click.echo(label_of(target.resource, document["metadata"]["name"]))
        return not missing
    documents = [shown(document) for _, document in found]
    if view.sort_by:
        documents = _sorted(view.sort_by, documents, documents)
    single = len(targets) == 1 and len(targets[0].names) == 1
    if not single or documents:
        click.echo(render(view.form, documents[0] if single else as_list(documents)), nl=False)
    return not missing


def _sorted(path: str, items: list[Json], holders: list[Json]) -> list[Json]:
    from strata.cli.ordering import sorted_by  # noqa: PLC0415 - paths are costly to load, and rarely asked for

    return sorted_by(path, items, holders)


def _nothing(session: Session, targets: list[Target], view: View) -> str:
    inside = any(target.resource.namespaced for target in targets) and not view.everywhere
    return f"No resources found in stack {session.namespace}." if inside else "No resources found."
