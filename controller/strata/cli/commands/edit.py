"""strata edit."""

import tempfile
from pathlib import Path
from typing import Any

import click

from strata.cli.completing import complete_target
from strata.cli.documents import Unreadable, read
from strata.cli.failures import ApiFailure, CliFailure
from strata.cli.options import Command, pass_session
from strata.cli.output import label_of, shown
from strata.cli.session import Session
from strata.cli.targets import parse_one
from strata.cli.threeway import three_way
from strata.cli.yamltext import dump

Json = dict[str, Any]

_HEAD = "# Change what is below, save it and leave the editor. Leave without a change to do nothing.\n#\n"


@click.command(cls=Command)
@click.argument("target", nargs=-1, required=True, metavar="KIND/NAME", shell_complete=complete_target)
@pass_session
def edit(session: Session, target: tuple[str, ...]) -> None:
    """Change an object in your editor (VISUAL, EDITOR). Refused if somebody else changed it meanwhile."""
    resource, name = parse_one(session.catalog, target)
    path = resource.path(name, session.namespace_for(resource))
    label = label_of(resource, name)
    live = {key: value for key, value in shown(session.client.get(path)).items() if key != "status"}
    text = click.edit(_HEAD + dump(live), extension=".yaml")
    wanted = _read(label, text) if text is not None else live
    patch = three_way(live, wanted, live)
    if not patch:
        click.echo(f"{label} unchanged")
        return
    try:
        # The revision that was edited: another one since then is a conflict, not an overwrite.
        revision = live["metadata"]["resourceVersion"]
        patch["metadata"] = {**patch.get("metadata", {}), "resourceVersion": revision}
        session.client.patch(path, patch)
    except ApiFailure as failure:
        wrong = "".join(f"\n  {cause.field}: {cause.message}" for cause in failure.causes)
        raise CliFailure(f"{failure}{wrong}\nYour text is kept in {_kept(text or '')}") from failure
    click.echo(f"{label} edited")


def _read(label: str, text: str) -> Json:
    documents = list(read(label, text))
    if len(documents) != 1 or isinstance(documents[0], Unreadable):
        why = documents[0] if documents else "it is empty"
        raise CliFailure(f"what was saved cannot be used: {why}\nYour text is kept in {_kept(text)}")
    return documents[0].body


def _kept(text: str) -> Path:
    with tempfile.NamedTemporaryFile(
        "w", prefix="strata-edit-", suffix=".yaml", delete=False, encoding="utf-8"
    ) as file:
        file.write(text)
    return Path(file.name)
