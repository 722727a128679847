"""strata api-resources."""

import click

from strata.cli.kinds import BUILT_IN, ResourceType
from strata.cli.options import Command, pass_session
from strata.cli.session import Session
from strata.cli.tables import TableWriter


@click.command("api-resources", cls=Command)
@click.option("-o", "--output", "form", type=click.Choice(["wide", "name"]), default="wide", help="wide or name.")
@click.option("--no-headers", is_flag=True, help="No heads above the columns.")
@pass_session
def api_resources(session: Session, *, form: str, no_headers: bool) -> None:
    """List the kinds that the server has."""
    served = session.catalog.served
    ours = {(resource.group, resource.kind) for resource in served}
    everything = [
        *served,
        *(resource for resource in BUILT_IN if (resource.group, resource.kind) not in ours and not resource.categories),
    ]
    if form == "name":
        for resource in everything:
            click.echo(f"{resource.plural}.{resource.group}".rstrip("."))
        return
    head = ("NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND")
    TableWriter(head, colour=session.colour, with_head=not no_headers).write(map(_row, everything))


def _row(resource: ResourceType) -> list[str]:
    short = ",".join(resource.short_names)
    return [resource.plural, short, resource.api_version, str(resource.namespaced).lower(), resource.kind]
