"""The click commands `strata up`, `strata down` and `strata sim`."""

from pathlib import Path

import click

from strata.cli.options import Command
from strata.clock import SystemClock
from strata.local.down import run_down
from strata.local.options import WorldOptions
from strata.local.ports import DEFAULT_BASE
from strata.local.sim import sim
from strata.local.sim_load import alarm, clock, load
from strata.local.state import Home
from strata.local.up import UpOptions, run_up

__all__ = ["down", "sim", "up"]

for _command in (alarm, clock, load):
    sim.add_command(_command)


@click.command("up", cls=Command, short_help="Start a whole Strata here, with a simulated EC2.")
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the cluster here, and go on with it the next time. Otherwise all data is temporary.",
)
@click.option(
    "--port-base",
    type=click.IntRange(0, 65_000),
    default=DEFAULT_BASE,
    show_default=True,
    help="Listen on this port and the three after it; 0: on any free ones.",
)
@click.option("--detach", is_flag=True, help="Return once it is ready; `strata down` ends it.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON with every address, once it is ready.")
@click.option("--examples/--no-examples", default=True, show_default=True, help="Apply the example stacks.")
@click.option(
    "--timeout",
    type=click.FloatRange(1),
    default=120.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait until it is ready.",
)
def up(data_dir: Path | None, port_base: int, timeout: float, *, detach: bool, as_json: bool, examples: bool) -> int:
    """Start etcd, a simulated EC2 and the daemon on this machine, apply the example stacks, and show their
    layers coming online. Ctrl-C stops all of it and leaves nothing behind.

    One world per user at a time; while it runs, ~/.config/strata/kubeconfig points at it, unless you have a file of
    your own there. With --data-dir etcd's data stays, but the simulated machines do not: the next `strata up` finds
    them gone and launches them anew, within about ten minutes. If a part of it dies, the rest ends too, the logs are
    kept, and the next `strata up` or `strata down` says what died and where they are.
    """
    world = WorldOptions(
        home=str(Path.home()),
        data_dir=str(data_dir.absolute()) if data_dir else None,
        port_base=port_base,
        timeout_s=timeout,
    )
    return run_up(UpOptions(world=world, detach=detach, json=as_json, examples=examples), SystemClock())


@click.command("down", cls=Command, short_help="End a `strata up`.")
def down() -> None:
    """End the local world that `strata up` started, and clear away what a killed one left."""
    click.echo(run_down(Home(Path.home())))
