"""The click commands `strata sim load`, `alarm` and `clock`: what the rules of a layer follow."""

from datetime import datetime

import click

from strata.cli.failures import CliFailure
from strata.cli.options import Command
from strata.local.sim import Fate, pass_fate
from strata.local.simulator import Json
from strata.resources.duration import parse_duration
from strata.resources.tags import LAYER, STACK

_LOADS = ["STACK", "LAYER", "LOAD", "NOW", "MACHINES", "CPU", "QUEUE"]
_STATES = {"alarm": "ALARM", "ok": "OK", "insufficient": "INSUFFICIENT_DATA"}
_LAYER = "layer/"


@click.command("load", cls=Command)
@click.argument("layer", required=False, metavar="[LAYER]")
@click.option("--total", type=click.FloatRange(0), metavar="PERCENT", help="A level, in percent of one machine.")
@click.option("--wave", metavar="MEAN,AMPLITUDE,PERIOD", help="A wave around MEAN, such as 300,200,20m.")
@click.option("--off", is_flag=True, help="No load any more: the machines idle.")
@pass_fate
def load(fate: Fate, layer: str | None, total: float | None, wave: str | None, *, off: bool) -> None:
    """Show the loads, or let work come to a layer's machines: 450 keeps four and a half of them busy.

    Each has CPU by its share, at most 100 %. What they cannot do waits in the layer's queue: a machine does one job a
    second, and 150 more than there are machines for lets it grow by 1.5 a second.
    """
    options = (total is not None) + (wave is not None) + off
    name = layer.removeprefix(_LAYER) if layer else None
    if options > 1 or (options and not name):
        raise click.UsageError("name a layer, and say one of --total, --wave and --off")
    if not options or name is None:
        rows: list[Json] = fate.simulator.read("loads")["loads"]
        fate.table(_LOADS, [_row(row) for row in rows if name in (None, row["layer"])])
        return
    asked = None if off else {"mean": total} if total is not None else _wave(wave or "")
    stack = fate.namespace()
    fate.simulator.control("load", {"stack": stack, "layer": name, "load": asked})
    click.echo(f"{_LAYER}{name} has {'no load' if off else f'a load of {_text(asked)}'}")
    if asked:
        _warn_of_nobody(fate, stack, name)


def _warn_of_nobody(fate: Fate, stack: str, name: str) -> None:
    """A load may come before its machines; or its layer's name is not what people think."""
    machines: list[Json] = fate.simulator.read("instances")["instances"]
    owners = ((machine["tags"].get(STACK), machine["tags"].get(LAYER)) for machine in machines)
    if (stack, name) not in owners:
        click.echo(f"warning: {_LAYER}{name} in {stack} has no machine yet", err=True)


def _wave(text: str) -> Json:
    try:
        mean, amplitude, period = text.split(",")
        return {"mean": float(mean), "amplitude": float(amplitude), "period_s": parse_duration(period).total_seconds()}
    except ValueError:
        message = f"{text!r} is not MEAN,AMPLITUDE,PERIOD, such as 300,200,20m"
        raise click.BadParameter(message, param_hint="--wave") from None


def _text(asked: Json | None) -> str:
    if not asked:
        return "nothing"
    if not asked.get("amplitude"):
        return f"{asked['mean']:g} %"
    return f"{asked['mean']:g} ± {asked['amplitude']:g} % in waves of {asked['period_s'] / 60:g} min"


def _row(row: Json) -> list[str]:
    cpu, running = row["cpuPercent"], row["running"]
    return [
        row["stack"],
        row["layer"],
        _text(row["load"]),
        f"{row['total']:.0f} %",
        "" if running is None else str(running),
        "" if cpu is None else f"{cpu:.0f} %",
        f"{row['queue']:.0f}",
    ]


@click.command("alarm", cls=Command)
@click.argument("name")
@click.argument("state", type=click.Choice(list(_STATES)))
@pass_fate
def alarm(fate: Fate, name: str, state: str) -> None:
    """Put a CloudWatch alarm into a state; one of a new name is made."""
    fate.simulator.control("alarm", {"name": name, "state": _STATES[state]})
    click.echo(f"alarm {name} is {_STATES[state]}")


@click.command("clock", cls=Command)
@click.argument("to", required=False, metavar="[+DURATION|TIME]")
@pass_fate
def clock(fate: Fate, to: str | None) -> None:
    """Show the world's wall time, or set it forward: +3h, or 2026-03-29T00:55+01:00.

    Daemon and simulator go together, so schedules, loads and alarms are as they will be then; machines, leases and
    time-outs do not notice. There is no way back but a new world.
    """
    told = fate.simulator.read("clock") if to is None else fate.simulator.control("clock", _clock_body(to))
    click.echo(f"{datetime.fromisoformat(told['now']):%Y-%m-%dT%H:%M:%SZ}")


def _clock_body(text: str) -> Json:
    try:
        if text.startswith("+"):
            return {"by_s": parse_duration(text[1:]).total_seconds()}
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is neither +DURATION, such as +3h, nor a time", param_hint="TO") from None
    if moment.tzinfo is None:
        raise CliFailure(f"say where it is {text}: {text}Z, or with an offset such as {text}+01:00")
    return {"to": moment.isoformat()}
