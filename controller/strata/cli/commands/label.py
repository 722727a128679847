"""strata label, strata annotate."""

import click

from strata.cli.completing import complete_target
from strata.cli.failures import CliFailure
from strata.cli.options import Command, pass_session
from strata.cli.session import Session
from strata.cli.targets import parse

_ARGUMENTS = click.argument(
    "words", nargs=-1, required=True, metavar="KIND NAME… KEY=VALUE… KEY-…", shell_complete=complete_target
)
_OVERWRITE = click.option("--overwrite", is_flag=True, help="Also where the key has another value already.")


@click.command(cls=Command)
@_ARGUMENTS
@_OVERWRITE
@pass_session
def label(session: Session, words: tuple[str, ...], *, overwrite: bool) -> None:
    """Set labels (KEY=VALUE), or remove them (KEY-)."""
    _set(session, "labels", words, overwrite=overwrite)


@click.command(cls=Command)
@_ARGUMENTS
@_OVERWRITE
@pass_session
def annotate(session: Session, words: tuple[str, ...], *, overwrite: bool) -> None:
    """Set annotations (KEY=VALUE), or remove them (KEY-)."""
    _set(session, "annotations", words, overwrite=overwrite)


def _set(session: Session, field: str, words: tuple[str, ...], *, overwrite: bool) -> None:
    changes = dict(_change(word) for word in words if _is_change(word))
    if not changes:
        raise click.UsageError("say KEY=VALUE to set, or KEY- to remove")
    targets = parse(session.catalog, tuple(word for word in words if not _is_change(word)))
    if not all(target.names for target in targets):
        raise click.UsageError("name the objects to change")
    for target in targets:
        namespace = session.namespace_for(target.resource)
        for name in target.names:
            path = target.resource.path(name, namespace)
            present = session.client.get(path)["metadata"].get(field) or {}
            taken = [key for key, value in changes.items() if value is not None and present.get(key, value) != value]
            if taken and not overwrite:
                raise CliFailure(
                    f"{target.resource.singular}/{name} has another {', '.join(taken)} already; use --overwrite"
                )
            session.client.patch(path, {"metadata": {field: changes}})
            click.echo(f"{target.resource.singular}/{name} {'labeled' if field == 'labels' else 'annotated'}")


def _is_change(word: str) -> bool:
    return "=" in word or word.endswith("-")


def _change(word: str) -> tuple[str, str | None]:
    key, equals, value = word.partition("=")
    return (key, value) if equals else (word[:-1], None)
