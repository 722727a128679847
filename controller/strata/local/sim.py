"""The click commands `strata sim …`: the hand of fate in the simulated EC2 of the local world."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import update_wrapper
from pathlib import Path
from typing import Concatenate, ParamSpec

import click

from strata.cli.client import Client
from strata.cli.failures import CliFailure
from strata.cli.kubeconfig import Connection
from strata.cli.options import Command, session_of
from strata.cli.session import Session
from strata.cli.tables import TableWriter
from strata.local.simulator import Json, Simulator
from strata.local.state import Home, WorldRecord
from strata.local.victims import resolve

P = ParamSpec("P")

_ANSWER_S = 30.0
_SECONDS = click.FloatRange(0)
_MACHINES = ["NAME", "STACK", "ID", "STATE", "TYPE", "ZONE", "CHECKS", "REASON"]
_CALLS = ["NUMBER", "AT", "CALLER", "ACTION", "CODE", "MADE", "ENDED"]


@dataclass(frozen=True, slots=True)
class Fate:
    """What every `sim` command has at hand: the simulator, and the server that its machines' names are asked of."""

    session: Session
    url: str | None

    @property
    def simulator(self) -> Simulator:
        return Simulator(self.url or _world().simulator)

    def client(self) -> Client:
        """The local world's own server, not the one that is configured: that one's machines are not in here."""
        if self.url:
            return self.session.client
        return Client(Connection(url=_world().api, source="strata up"), timeout_s=_ANSWER_S)

    def namespace(self) -> str:
        if not self.session.chosen_namespace:
            raise CliFailure("names belong to a stack: say which with -n STACK")
        return self.session.chosen_namespace

    def befall(
        self, what: str, targets: tuple[str, ...], count: int, done: str, *, of: str | None = None, **more: object
    ) -> None:
        """Let this happen to the targets (of a layer: to those of the lifecycle `of`), and print to which it did."""
        ids = resolve(targets, count=count, lifecycle=of, namespace=self.namespace, client=self.client)
        happened = self.simulator.control(what, {"ids": ids, **more})["ids"]
        for instance_id in ids:
            click.echo(f"{instance_id} {done if instance_id in happened else 'is in no state for that'}")

    def table(self, head: list[str], rows: list[list[str]]) -> None:
        TableWriter(head, colour=self.session.colour).write(rows)


def _world() -> WorldRecord:
    home = Home(Path.home())
    record = home.read()
    if record is None or not home.is_up():
        raise CliFailure("no local world is up: start one with `strata up`, or name a simulator with --simulator URL")
    return record


def pass_fate(function: Callable[Concatenate[Fate, P], None]) -> Callable[P, None]:
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        ctx = click.get_current_context()
        url = ctx.parent.params.get("simulator") if ctx.parent else None
        function(Fate(session_of(ctx), url), *args, **kwargs)

    return update_wrapper(run, function)


_targets = click.argument("targets", nargs=-1, required=True, metavar="TARGET…")
_count = click.option("--count", type=click.IntRange(1), default=1, show_default=True, help="How many of a layer.")


@click.group("sim", short_help="Set the simulated world's load and clock; let EC2 misbehave.")
@click.option("--simulator", envvar="STRATA_SIMULATOR", metavar="URL", help="Another simulator than the local world's.")
def sim(simulator: str | None) -> None:
    """Set the load and the clock of the simulated EC2 of `strata up`, or let it misbehave as the real one does.

    A TARGET is an EC2 id (i-…), instance/NAME or layer/NAME; names need -n STACK.
    """


@sim.command("instances", cls=Command)
@click.option("--state", multiple=True, help="Only those in this state; may be said again.")
@pass_fate
def instances(fate: Fate, state: tuple[str, ...]) -> None:
    """Show all machines as they are, whatever EC2's answers say of them."""
    machines: list[Json] = fate.simulator.read("instances")["instances"]
    rows = [_machine_row(machine) for machine in machines if not state or machine["state"] in state]
    fate.table(_MACHINES, sorted(rows, key=lambda row: (row[1], row[0], row[2])))


def _machine_row(machine: Json) -> list[str]:
    tags, checks = machine["tags"], machine["checks"]
    failed = [f"{part} {check}" for part, check in checks.items() if check not in {"ok", "not-applicable"}]
    return [
        tags.get("Name", ""),
        tags.get("strata.dev/stack", ""),
        machine["instanceId"],
        machine["state"],
        machine["type"],
        machine["zone"],
        ", ".join(failed) or "ok",
        machine["reason"],
    ]


@sim.command("terminate", cls=Command)
@_targets
@_count
@pass_fate
def terminate(fate: Fate, targets: tuple[str, ...], count: int) -> None:
    """End machines, as somebody at the console might."""
    fate.befall("terminate", targets, count, "terminated")


@sim.command("stop", cls=Command)
@_targets
@_count
@pass_fate
def stop(fate: Fate, targets: tuple[str, ...], count: int) -> None:
    """Stop machines behind the controller's back."""
    fate.befall("stop", targets, count, "stopped")


@sim.command("start", cls=Command)
@_targets
@_count
@pass_fate
def start(fate: Fate, targets: tuple[str, ...], count: int) -> None:
    """Start stopped machines."""
    fate.befall("start", targets, count, "started")


@sim.command("interrupt", cls=Command)
@_targets
@_count
@click.option("--rebalance", is_flag=True, help="Only say that an interruption is likelier than usual.")
@pass_fate
def interrupt(fate: Fate, targets: tuple[str, ...], count: int, *, rebalance: bool) -> None:
    """Let EC2 take spot machines back: the notice comes now, their end two minutes later."""
    done = "is recommended to be replaced" if rebalance else "has two minutes left"
    fate.befall("interrupt", targets, count, done, of="spot", rebalance=rebalance)


@sim.command("impair", cls=Command)
@_targets
@_count
@click.option("--part", type=click.Choice(["instance", "system", "ebs"]), default="instance", show_default=True)
@click.option("--lasting", is_flag=True, help="No reboot, stop and start helps; only `sim heal` does.")
@pass_fate
def impair(fate: Fate, targets: tuple[str, ...], count: int, part: str, *, lasting: bool) -> None:
    """Let machines fail a status check."""
    fate.befall("impair", targets, count, "impaired", part=part, lasting=lasting)


@sim.command("heal", cls=Command)
@_targets
@_count
@pass_fate
def heal(fate: Fate, targets: tuple[str, ...], count: int) -> None:
    """Let machines pass their status checks again."""
    fate.befall("heal", targets, count, "healed")


@sim.command("capacity", cls=Command)
@click.argument("type_", metavar="TYPE")
@click.argument("left", metavar="COUNT|any")
@click.option("--zone", help="Only in this zone; otherwise in each.")
@click.option("--market", type=click.Choice(["on-demand", "spot"]), default="on-demand", show_default=True)
@pass_fate
def capacity(fate: Fate, type_: str, left: str, zone: str | None, market: str) -> None:
    """Let EC2 have only COUNT machines more of a type: beyond that, InsufficientInstanceCapacity."""
    if left != "any" and not left.isdecimal():
        raise click.BadParameter("a number, or `any`", param_hint="COUNT")
    count = None if left == "any" else int(left)
    fate.simulator.control("capacity", {"type": type_, "zone": zone, "count": count, "market": market})
    click.echo(f"{left} more {type_} in {zone or 'each zone'}")


@sim.command("throttle", cls=Command)
@click.argument("scale", type=click.FloatRange(0, min_open=True), required=False)
@click.option("--off", is_flag=True, help="No throttling at all.")
@click.option("--drain", metavar="ACTION", help="Empty this action's bucket, as others in the account might.")
@pass_fate
def throttle(fate: Fate, scale: float | None, drain: str | None, *, off: bool) -> None:
    """Let EC2's token buckets be SCALE times as large and quick as AWS publishes (0.1: a tenth)."""
    if (scale is not None) + off + (drain is not None) != 1:
        raise click.UsageError("say one of SCALE, --off and --drain ACTION")
    fate.simulator.control("throttle", {"scale": scale, "off": off, "drain": drain})
    click.echo(f"{drain} is drained" if drain else "no throttling" if off else f"buckets at {scale:g} of AWS's")


@sim.command("lag", cls=Command)
@click.argument("seconds", type=_SECONDS)
@click.option("--uneven", is_flag=True, help="Each answer and machine has a lag of its own, up to this.")
@pass_fate
def lag(fate: Fate, seconds: float, *, uneven: bool) -> None:
    """Let every Describe tell what was true SECONDS ago."""
    fate.simulator.control("lag", {"seconds": seconds, "uneven": uneven})
    click.echo(f"answers lag by {'up to ' if uneven else ''}{seconds:g} s")


@sim.command("delays", cls=Command)
@click.option("--pending", "pending_s", type=_SECONDS, help="From the launch to running.")
@click.option("--status-ok", "status_ok_s", type=_SECONDS, help="From running to passed status checks.")
@click.option("--stopping", "stopping_s", type=_SECONDS, help="From the stop to stopped.")
@click.option("--shutting-down", "shutting_down_s", type=_SECONDS, help="From the end to terminated.")
@click.option("--terminated-visible", "terminated_visible_s", type=_SECONDS, help="How long ended machines are shown.")
@pass_fate
def delays(fate: Fate, /, **asked: float | None) -> None:
    """Show how many seconds each state lasts, or set some, for what begins from now on."""
    wanted = {name: seconds for name, seconds in asked.items() if seconds is not None}
    if wanted:
        fate.simulator.control("delays", wanted)
    present: dict[str, float] = fate.simulator.read("world")["delays"]
    rows = [[name.removesuffix("_s").replace("_", "-"), f"{seconds:g}"] for name, seconds in present.items()]
    fate.table(["STATE", "SECONDS"], rows)


@sim.command("calls", cls=Command)
@click.option("--since", type=click.IntRange(0), default=0, help="Only those after this number.")
@click.option("--action", multiple=True, help="Only this action; may be said again.")
@click.option("--last", type=click.IntRange(1), default=30, show_default=True, help="At most so many, the last ones.")
@pass_fate
def calls(fate: Fate, since: int, action: tuple[str, ...], last: int) -> None:
    """Show the calls that EC2 got, and what came of them."""
    simulator = fate.simulator
    kept: list[Json] = []
    while page := simulator.read("calls", {"since": str(since)})["calls"]:
        since = page[-1]["number"]
        kept = [*kept, *(call for call in page if not action or call["action"] in action)][-last:]
    fate.table(_CALLS, [_call_row(call) for call in kept])


def _call_row(call: Json) -> list[str]:
    return [
        str(call["number"]),
        call["at"],
        call["caller"],
        call["action"],
        call["code"] or ("ok" if call["answered"] else "no answer"),
        ", ".join(call["made"]),
        ", ".join(call["ended"]),
    ]
