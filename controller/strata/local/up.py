"""`strata up` from its start to its end: the supervisor, the examples, the layers coming online, the summary."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import msgspec
from rich.console import Console

from strata.cli.client import Client
from strata.cli.failures import CliFailure, TimedOut
from strata.cli.kubeconfig import Connection
from strata.clock import Clock
from strata.local.examples import examples_folder, start_load
from strata.local.layers import has_stacks, read_layers
from strata.local.messages import Ready, Starting, Warned
from strata.local.options import WorldOptions
from strata.local.progress import Progress, progress_on
from strata.local.simulator import Simulator
from strata.local.state import WorldRecord
from strata.local.summary import summary
from strata.local.supervisor import Supervisor, WorldEnded, supervised

_LOOK_EVERY_S = 0.25
_ASK_TIMEOUT_S = 10.0
_MACHINES_LOST = (
    "the simulated machines ended with their simulator; each is launched anew once its absence is proven, "
    "which takes some fifteen minutes"
)
_INTERRUPTED = 130  # as a shell says of Ctrl-C


@dataclass(frozen=True, slots=True, kw_only=True)
class UpOptions:
    world: WorldOptions
    detach: bool
    json: bool
    examples: bool


def run_up(options: UpOptions, clock: Clock) -> int:
    """Bring a world up, and stay until it ends, or leave it to live on. The exit code."""
    console = Console(stderr=True)
    up = False
    with _terminations_as_interrupts(), supervised(options.world) as supervisor:
        try:
            world, examples = _bring_up(supervisor, options, console, clock)
            up = True  # before it is said: whoever hears it may end us at once
            _tell(world, examples, options)
            if options.detach:
                supervisor.detach()
                return 0
            while True:
                supervisor.next_message(None)
        except KeyboardInterrupt:
            console.print("\nstopping …", highlight=False)
        except WorldEnded as ended:
            if not up:
                raise
            console.print(str(ended), highlight=False)
        finally:
            _ignore_signals()
    console.print("all stopped", highlight=False)
    return 0 if up else _INTERRUPTED


def _bring_up(
    supervisor: Supervisor, options: UpOptions, console: Console, clock: Clock
) -> tuple[WorldRecord, Path | None]:
    deadline_s = clock.monotonic_s() + options.world.timeout_s
    with progress_on(console) as progress:
        ready = _wait_for_parts(supervisor, progress)
        client = Client(Connection(url=ready.world.api, source="strata up"), timeout_s=_ASK_TIMEOUT_S)
        examples = _apply_examples(ready, client, progress) if options.examples else None
        try:
            _wait_for_layers(supervisor, progress, client, clock, deadline_s)
        except TimedOut as late:
            # A person may want to look why; a script must not take it for success. Old data may hold what never can be.
            if examples is not None and (options.detach or options.json):
                raise
            progress.warn(str(late))
        if options.examples:  # also in a world that goes on: the load is the simulator's, which is a new one
            start_load(Simulator(ready.world.simulator))
    return ready.world, examples


def _wait_for_parts(supervisor: Supervisor, progress: Progress) -> Ready:
    while True:
        match supervisor.next_message(None):
            case Starting(what=what):
                progress.say(f"starting {what}")
            case Warned(text=text):
                progress.warn(text)
            case Ready() as ready:
                return ready


def _apply_examples(ready: Ready, client: Client, progress: Progress) -> Path | None:
    """Apply them as a person would; not over what a person made of them since, in a world that goes on."""
    if ready.continued and has_stacks(client):
        progress.say(f"going on with what is in {ready.world.data_dir}; the examples are not applied again")
        progress.warn(_MACHINES_LOST)
        return None
    folder = examples_folder()
    command = (sys.executable, "-P", "-m", "strata", "--server", ready.world.api, "apply", "-f", str(folder))
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)  # noqa: S603 - ourselves
    for line in (done.stdout + done.stderr).splitlines():
        progress.say(line)
    if done.returncode:
        raise CliFailure(f"the examples in {folder} could not be applied")
    return folder


def _wait_for_layers(
    supervisor: Supervisor, progress: Progress, client: Client, clock: Clock, deadline_s: float
) -> None:
    while True:
        layers = read_layers(client)
        progress.show(layers)
        waiting = [f"{layer.path} ({layer.reason or 'not looked at yet'})" for layer in layers if not layer.ready]
        if not waiting:
            return
        if clock.monotonic_s() >= deadline_s:
            raise TimedOut(f"not ready in time: {', '.join(waiting)}")
        supervisor.pause(_LOOK_EVERY_S)


def _tell(world: WorldRecord, examples: Path | None, options: UpOptions) -> None:
    if options.json:
        click.echo(msgspec.json.encode(world).decode())
    else:
        click.echo(summary(world, examples=examples, detached=options.detach, environment=os.environ))


@contextmanager
def _terminations_as_interrupts() -> Iterator[None]:
    """A closed terminal and a polite kill end us as Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    yield


def _ignore_signals() -> None:
    """From here on we only clear away, and a second Ctrl-C would but leave that undone."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
