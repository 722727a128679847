"""strata scale."""

import click

from strata.cli.completing import complete_named
from strata.cli.kinds import LAYER
from strata.cli.options import Command, pass_session
from strata.cli.session import Session
from strata.cli.targets import parse_named


@click.command(cls=Command)
@click.argument("layers", nargs=-1, required=True, metavar="layer/NAME…", shell_complete=complete_named("layer"))
@click.option("--always", "--replicas", "always", type=click.IntRange(0), help="How many machines run always.")
@click.option("--min", "minimum", type=click.IntRange(0), help="Never fewer, whatever else says so.")
@click.option("--max", "maximum", type=click.IntRange(0), help="Never more.")
@pass_session
def scale(
    session: Session, layers: tuple[str, ...], *, always: int | None, minimum: int | None, maximum: int | None
) -> None:
    """Set how many machines a layer has: desired = always, but at least min and at most max."""
    wanted = {"always": always, "min": minimum, "max": maximum}
    capacity = {field: count for field, count in wanted.items() if count is not None}
    if not capacity:
        raise click.UsageError("say --always, --min or --max")
    # `scale layer web` as well as `scale layer/web`
    names = layers[1:] if len(layers) > 1 and LAYER.named(layers[0].lower()) else layers
    namespace = session.namespace_for(LAYER)
    for name in [parse_named(session.catalog, text, LAYER) for text in names]:
        session.client.patch(LAYER.path(name, namespace), {"spec": {"capacity": capacity}})
        click.echo(f"layer/{name} scaled")
