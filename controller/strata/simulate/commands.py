"""The click command `strata simulate`."""

import io
import shutil
from collections.abc import Sequence
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from pathlib import Path
from typing import Any

import click

from strata.cli.failures import CliFailure
from strata.cli.options import Command, pass_session
from strata.cli.output import Form, FormType, render
from strata.cli.session import Session
from strata.cli.tables import TableWriter
from strata.planner.forecast.machines import Assumptions
from strata.planner.load import signals_of
from strata.resources.duration import parse_duration
from strata.simulate import report
from strata.simulate.drawing import draw
from strata.simulate.policies import Policy, name_of, read_policy
from strata.simulate.prices import read_prices
from strata.simulate.replay import Replay, replay
from strata.simulate.signals import Recorded, SignalOption, parse_signal, record, span_of, traces_of, unused
from strata.simulate.terminal_plot import plot

_WIDEST = 160
_HELP = """Replay clock and load through the real planner, and tell what it would have done: machines, machine-hours,
decisions, breaches, cost; for one policy, or several side by side.

\b
A CSV file has a head, then time,value in each line. The time, ISO 8601 or seconds since 1970, is the end of what
the value covers. cpuPercent is the average of the layer's machines; as total:FILE.csv it is the sum over all of
them, shared by those that are online at the moment, so that what is replayed answers to scaling:

\b
  strata simulate -f web.yaml --signal cpuPercent=total:cpu.csv
  strata simulate -f now.yaml --compare bolder.yaml --from 2026-11-02 --to 2026-11-30 \\
      --signal 'queue=prometheus:sum(queue_length)@http://prometheus:9090' --prices prices.csv --plot week.html

Launches succeed and nothing breaks; in the beginning there are no machines. Nothing is asked of a server or EC2.
"""


class _Time(click.ParamType):  # type: ignore[type-arg] # generic in newer clicks only
    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:  # noqa: ANN401 - click's own
        try:
            time = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a time such as 2026-11-02 or 2026-11-02T08:00:00Z", param, ctx)
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


class _Duration(click.ParamType):  # type: ignore[type-arg] # generic in newer clicks only
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:  # noqa: ANN401 - click's own
        try:
            return value if isinstance(value, timedelta) else parse_duration(str(value))
        except (ValueError, OverflowError) as error:
            self.fail(str(error), param, ctx)


class _Signal(click.ParamType):  # type: ignore[type-arg] # generic in newer clicks only
    name = "signal"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> SignalOption:  # noqa: ANN401 - click's own
        try:
            return value if isinstance(value, SignalOption) else parse_signal(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command(cls=Command, help=_HELP)
@click.option("-f", "--filename", "files", multiple=True, required=True, metavar="FILE|DIR|-", help="The policy.")
@click.option(
    "--compare",
    "others",
    multiple=True,
    metavar="FILE|DIR",
    help="Another policy, to see side by side. May be said several times.",
)
@click.option("--layer", "only", multiple=True, metavar="NAME", help="Only this layer of each policy.")
@click.option("--from", "start", type=_Time(), metavar="TIME", help="Begin here. [default: the first number]")
@click.option("--to", "end", type=_Time(), metavar="TIME", help="End here. [default: the last number]")
@click.option(
    "--signal",
    "signals",
    type=_Signal(),
    multiple=True,
    metavar="[LAYER/]NAME=SOURCE",
    help="What a signal was: FILE.csv or prometheus:QUERY[@URL]; with total: before it, the whole fleet's total.",
)
@click.option(
    "--prometheus",
    "url",
    default="http://127.0.0.1:9090",
    show_default=True,
    metavar="URL",
    help="The Prometheus of queries without @URL.",
)
@click.option("--lag", type=_Duration(), default="5s", metavar="TIME", help="How late numbers are known. [default: 5s]")
@click.option("--boot", type=_Duration(), default="2m", metavar="TIME", help="From launch until online. [default: 2m]")
@click.option(
    "--warm-boot", type=_Duration(), default="1m", metavar="TIME", help="The same for a warm machine. [default: 1m]"
)
@click.option(
    "--prices", "price_file", type=click.Path(path_type=Path), metavar="FILE.csv", help="type,hourly[,spot] a line."
)
@click.option("--actions", is_flag=True, help="List everything that is done, and why.")
@click.option(
    "--plot",
    "picture",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Draw an .svg, .png or .html as well (needs matplotlib).",
)
@click.option("--no-plot", is_flag=True, help="No plot in the terminal.")
@click.option(
    "-o", "--output", "form", type=FormType(), default=Form(), metavar="FORM", help="yaml, json, jsonpath=TEMPLATE."
)
@pass_session
def simulate(
    session: Session,
    *,
    files: tuple[str, ...],
    others: tuple[str, ...],
    only: tuple[str, ...],
    start: datetime | None,
    end: datetime | None,
    signals: tuple[SignalOption, ...],
    url: str,
    lag: timedelta,
    boot: timedelta,
    warm_boot: timedelta,
    price_file: Path | None,
    actions: bool,
    picture: Path | None,
    no_plot: bool,
    form: Form,
) -> None:
    policies = [read_policy(name_of(files), files, only=only)]
    policies += [read_policy(name_of((other,)), (other,), only=only) for other in others]
    recorded = record(signals, start=start, end=end, url=url)
    _warn_of_unused(policies, recorded)
    begin, until = _span(start, end, recorded)
    assumptions = Assumptions(boot=boot, warm_boot=warm_boot)
    prices = read_prices(price_file) if price_file else None
    replays = [
        replay(
            policy.name,
            stack,
            layer,
            traces_of(layer, recorded),
            start=begin,
            end=until,
            assumptions=assumptions,
            lag=lag,
            prices=prices,
        )
        for policy in policies
        for stack, layer in policy.layers
    ]
    _warn_of_missing(replays)
    if picture is not None:
        draw(replays, picture, title=f"{begin:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC", table=_table(replays))
        click.echo(f"{picture} drawn", err=True)
    if form.is_table:
        _print(session, replays, actions=actions, plots=not no_plot)
    else:
        click.echo(render(form, report.as_json(replays)), nl=False)


def _span(start: datetime | None, end: datetime | None, recorded: Sequence[Recorded]) -> tuple[datetime, datetime]:
    found = span_of(recorded)
    if found is None and (start is None or end is None):
        raise CliFailure("say --from and --to, or give a --signal whose numbers say it")
    begin, until = (start or found[0], end or found[1]) if found else (start, end)
    if begin is None or until is None or begin >= until:
        raise CliFailure(f"--from must be before --to, but {begin} is not before {until}")
    return begin, until


def _warn_of_unused(policies: Sequence[Policy], recorded: Sequence[Recorded]) -> None:
    used = {
        layer.metadata.name: set(signals_of(load))
        for policy in policies
        for _, layer in policy.layers
        if (load := layer.spec.capacity.load) is not None
    }
    for name in unused(recorded, used):
        known = ", ".join(sorted(set().union(*used.values()))) or "none"
        click.echo(f"warning: no layer has a rule for the signal {name}; signals of its rules: {known}", err=True)


def _warn_of_missing(replays: Sequence[Replay]) -> None:
    for one in replays:
        for name in one.missing:
            click.echo(
                f"warning: {one.policy}: layer {one.layer.metadata.name} has a rule for {name}, and no --signal says "
                "what it was: it is Unknown throughout",
                err=True,
            )


def _print(session: Session, replays: Sequence[Replay], *, actions: bool, plots: bool) -> None:
    width = min(_WIDEST, shutil.get_terminal_size((80, 24)).columns)
    for one in replays if plots else ():
        click.echo(f"{one.policy}: layer/{one.layer.metadata.name}")
        click.echo("\n".join(plot(one, width)))
        click.echo()
    if actions:
        rows = [row for one in replays for row in report.action_rows(one)]
        TableWriter(report.ACTION_HEAD, colour=session.colour).write(sorted(rows, key=itemgetter(0)))
        click.echo()
    TableWriter(report.head(replays), colour=session.colour).write(report.rows(replays))
    click.echo(f"\n{report.LEGEND}")


def _table(replays: Sequence[Replay]) -> str:
    text = io.StringIO()
    with redirect_stdout(text):
        TableWriter(report.head(replays), colour=False).write(report.rows(replays))
    return text.getvalue()
