"""strata version."""

import json
from contextlib import suppress
from typing import Any

import click

from strata import __version__
from strata.cli.failures import CliFailure, Unreachable
from strata.cli.options import Command, pass_session
from strata.cli.session import Session

Json = dict[str, Any]

_QUICK = "3s"


@click.command(cls=Command)
@click.option("--client", "client_only", is_flag=True, help="Ask no server.")
@click.option("-o", "--output", "form", type=click.Choice(["text", "json"]), default="text", help="text or json.")
@pass_session
def version(session: Session, *, client_only: bool, form: str) -> None:
    """Print the versions of this program and, if one can be reached, of the server."""
    found: dict[str, Any] = {"clientVersion": {"gitVersion": f"v{__version__}"}}
    why = ""
    if not client_only:
        session.options.setdefault("request_timeout", _QUICK)
        try:
            found["serverVersion"] = _of_server(session)
        except CliFailure as failure:
            why = str(failure).partition("\n")[0]
        else:
            with suppress(CliFailure):  # no daemon has led yet: there is no cluster
                found["cluster"] = session.client.get("/strata/v1/cluster")
    if form == "json":
        click.echo(json.dumps(found, indent=2))
    else:
        click.echo(f"Client: v{__version__}")
        if "serverVersion" in found:
            click.echo(f"Server: {found['serverVersion'].get('gitVersion', 'unknown')} at {session.connection.url}")
    if "cluster" in found:
        click.echo(f"Cluster: {found['cluster']['id']}")
        if found["cluster"]["heldBecause"]:
            click.echo(f"Orphans are held: {found['cluster']['heldBecause']}")
    if why:
        click.echo(f"Server: {why}", err=True)


def _of_server(session: Session) -> Json:
    answer = session.client.get("/version")
    if "gitVersion" not in answer:
        raise Unreachable(
            session.connection.url, session.connection.source, "what answers there is not a Strata server"
        )
    return answer
