"""`strata server`: puts the daemon together from its parts, and runs it until it is told to stop."""

import asyncio
import os
import random
import signal
import socket
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import structlog
import uvloop

from strata import __version__
from strata.clock import Clock, ShiftedClock, SystemClock
from strata.cloud.factory import CloudFactory
from strata.engine.loop_watch import LoopWatch
from strata.errors import NotLeader, StoreUnavailable, StrataError
from strata.logs import LEVELS, LogFormat, configure
from strata.metrics import DaemonMetrics
from strata.readiness import checks, waiting_checks
from strata.reconcile.controller import Controller
from strata.reconcile.identity import FileWitness
from strata.reconcile.regions import place_of
from strata.reconcile.signals import SignalSources
from strata.server.app import create_app
from strata.server.listen import bind, serve
from strata.server.waiting import create_waiting_app
from strata.settings import ControllerSettings
from strata.signal_options import prometheus_options, prometheus_settings
from strata.signals.prometheus import PrometheusServers
from strata.signals.settings import PrometheusSettings
from strata.store.etcd.settings import EtcdSettings
from strata.store.port import Store

log = structlog.get_logger(__name__)

_RETRY_ETCD_S = 2.0
_ACT_MARGIN_S = 4.0  # of a lease of 15 s: connecting and sending fit in it


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """What the command line says, checked."""

    etcd: EtcdSettings
    host: str
    port: int
    data_dir: Path
    clock_file: Path | None
    prometheus: Mapping[str, PrometheusSettings]
    ec2_rate: float
    controller: ControllerSettings


def _split_address(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[str, int]:
    host, _, port = value.rpartition(":")
    if not host or not port.isdecimal():
        raise click.BadParameter(f"{value!r} is not HOST:PORT, such as 127.0.0.1:7443")
    return host.strip("[]"), int(port)


def _split_endpoints(_context: click.Context, _parameter: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    endpoints = {}
    for value in values:
        name, _, url = value.partition("=")
        if not name or not url.startswith(("http://", "https://")):
            raise click.BadParameter(f"{value!r} is not NAME=URL, such as sim=http://127.0.0.1:5000")
        endpoints[name] = url
    return endpoints


def _split_queues(
    _context: click.Context, _parameter: click.Parameter, values: Sequence[str]
) -> dict[tuple[str, str | None], str]:
    queues = {}
    for value in values:
        place, _, url = value.partition("=")
        if not place or not url.startswith(("http://", "https://")):
            example = "us-east-1=https://sqs.us-east-1.amazonaws.com/123456789012/strata-events"
            raise click.BadParameter(f"{value!r} is not REGION=URL, such as {example}")
        queues[place_of(place)] = url
    return queues


def _read_password(_context: click.Context, _parameter: click.Parameter, value: Path | None) -> str:
    return "" if value is None else value.read_text().strip()


_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option("--etcd", "etcd_urls", multiple=True, required=True, metavar="URL[,URL]", help="etcd's endpoints.")
@click.option("--etcd-ca", type=_FILE, help="The authority of etcd's certificates.")
@click.option("--etcd-cert", type=_FILE, help="Our client certificate for etcd.")
@click.option("--etcd-key", type=_FILE, help="Its key.")
@click.option("--etcd-user", help="A user of etcd.")
@click.option("--etcd-password-file", "etcd_password", type=_FILE, callback=_read_password, help="Its password.")
@click.option("--allow-unsafe-etcd", is_flag=True, help="Take an etcd that may lose data. For trying out only.")
@click.option(
    "--listen",
    "address",
    default="127.0.0.1:7443",
    show_default=True,
    callback=_split_address,
    metavar="HOST:PORT",
    help="Where the API is served; loopback only, while there are no identities. Port 0 takes a free one.",
)
@click.option(
    "--endpoint",
    "endpoints",
    multiple=True,
    callback=_split_endpoints,
    metavar="NAME=URL",
    help="Another EC2 endpoint, for stacks whose spec.endpoint is NAME.",
)
@click.option(
    "--events-queue",
    "events_queues",
    multiple=True,
    callback=_split_queues,
    metavar="REGION[@NAME]=URL",
    help="The SQS queue that EventBridge's events of a region (at the endpoint NAME) come through.",
)
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("/var/lib/strata"),
    show_default=True,
    help="Where this daemon remembers, outside of etcd, how far etcd was.",
)
@click.option("--log-format", type=click.Choice(["auto", "json", "console"]), default="auto", show_default=True)
@click.option("--log-level", type=click.Choice(LEVELS), default="info", show_default=True)
@click.option("--poll-interval", type=click.FloatRange(min=0.2), default=5.0, show_default=True, help="Seconds.")
@click.option(
    "--sweep-interval",
    type=click.FloatRange(min=5),
    default=600.0,
    show_default=True,
    help="Seconds between full reads of all machines.",
)
@click.option(
    "--signals-interval",
    type=click.FloatRange(min=1),
    default=60.0,
    show_default=True,
    help="Seconds between reads of the layers' load.",
)
@prometheus_options
@click.option(
    "--many-absent-after",
    type=click.FloatRange(min=60),
    default=3600.0,
    show_default=True,
    help="Seconds until many machines that vanished at once, with no end reported, may be taken as gone.",
)
@click.option("--lease-ttl", type=click.FloatRange(min=3), default=15.0, show_default=True, help="Seconds.")
@click.option(
    "--ec2-rate",
    type=click.FloatRange(min=0.01),
    default=1.0,
    show_default=True,
    help="How many times EC2's published request limits this account has; less to leave some to others.",
)
@click.option(
    "--clock-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Let people set the wall time, as `strata sim clock` does by this file. For trying out only.",
)
@click.option("--exit-with-parent", is_flag=True, help="End when standard input is closed.")
def server(
    *,
    etcd_urls: tuple[str, ...],
    etcd_ca: Path | None,
    etcd_cert: Path | None,
    etcd_key: Path | None,
    etcd_user: str | None,
    etcd_password: str,
    allow_unsafe_etcd: bool,
    address: tuple[str, int],
    endpoints: dict[str, str],
    events_queues: dict[tuple[str, str | None], str],
    data_dir: Path,
    log_format: LogFormat,
    log_level: str,
    poll_interval: float,
    sweep_interval: float,
    many_absent_after: float,
    lease_ttl: float,
    ec2_rate: float,
    signals_interval: float,
    clock_file: Path | None,
    exit_with_parent: bool,
    **prometheus: dict[str, str],
) -> None:
    """Run the daemon: serve the API, and make EC2 match while this daemon leads.

    AWS credentials come from boto3's ordinary chain: environment, files, or the machine's instance profile.
    """
    configure(log_format, log_level)
    try:
        etcd = EtcdSettings(
            endpoints=tuple(url for urls in etcd_urls for url in urls.split(",")),
            ca_path=etcd_ca,
            cert_path=etcd_cert,
            key_path=etcd_key,
            user=etcd_user,
            password=etcd_password,
            allow_unsafe_version=allow_unsafe_etcd,
        )
        settings = ServerSettings(
            etcd=etcd,
            host=address[0],
            port=address[1],
            data_dir=data_dir,
            clock_file=clock_file,
            prometheus=prometheus_settings(**prometheus),
            ec2_rate=ec2_rate,
            controller=ControllerSettings(
                endpoints=endpoints,
                events_queues=events_queues,
                poll_interval_s=poll_interval,
                sweep_interval_s=sweep_interval,
                many_absent_age_s=many_absent_after,
                signals_interval_s=signals_interval,
                lease_ttl_s=lease_ttl,
                act_margin_s=min(_ACT_MARGIN_S, lease_ttl / 3),
            ),
        )
        bind(settings.host, settings.port).close()  # an address that cannot be served is said before all else
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_until_signalled(settings, exit_with_parent=exit_with_parent))
    except (StrataError, ValueError) as error:
        raise click.ClickException(str(error)) from error


async def _until_signalled(settings: ServerSettings, *, exit_with_parent: bool) -> None:
    """Run until SIGTERM, SIGINT or, if wished, the end of standard input; then give the lease back and end."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if exit_with_parent:
        loop.add_reader(sys.stdin.fileno(), _on_closed_stdin, stop)
    daemon = asyncio.ensure_future(run_daemon(settings))  # noqa: TID251 - the root of all tasks: no scope is above it
    stopped = asyncio.ensure_future(stop.wait())  # noqa: TID251 - likewise
    await asyncio.wait({daemon, stopped}, return_when=asyncio.FIRST_COMPLETED)
    for task in (daemon, stopped):
        task.cancel()
    results = await asyncio.gather(daemon, stopped, return_exceptions=True)
    if isinstance(results[0], Exception):
        raise results[0]


def _on_closed_stdin(stop: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        stop.set()


async def run_daemon(settings: ServerSettings) -> None:
    """Run until cancelled. Waits for etcd as long as it takes; raises what no waiting can mend."""
    from strata.store.etcd.store import open_etcd  # noqa: PLC0415 - gRPC is imported where it is needed

    clock = ShiftedClock(settings.clock_file) if settings.clock_file else SystemClock()
    rng = random.SystemRandom()
    while True:
        try:
            async with open_etcd(settings.etcd, clock, rng) as store:
                await _serve(settings, store, clock, rng)
        except StoreUnavailable as error:
            log.warning("etcd cannot be reached", endpoints=settings.etcd.endpoints, error=str(error))
            await _wait_for_etcd(settings, clock, rng, str(error))


async def _wait_for_etcd(settings: ServerSettings, clock: Clock, rng: random.Random, reason: str) -> None:
    """Return once etcd answers. Meanwhile who watches us sees that we live, wait, and for what."""
    app = create_waiting_app(lambda: waiting_checks(f"etcd cannot be reached: {reason}"))
    try:
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(serve(app, settings.host, settings.port), name="waiting room")
            while True:
                await asyncio.sleep(_RETRY_ETCD_S)
                if await _etcd_answers(settings.etcd, clock, rng):
                    break
            waiting.cancel()
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None


async def _etcd_answers(settings: EtcdSettings, clock: Clock, rng: random.Random) -> bool:
    from strata.store.etcd.store import open_etcd  # noqa: PLC0415 - gRPC is imported where it is needed

    try:
        async with open_etcd(settings, clock, rng):
            return True
    except StoreUnavailable:
        return False


async def _serve(settings: ServerSettings, store: Store, clock: Clock, rng: random.Random) -> None:
    def fence() -> None:
        """Checked right before a mutating call is sent: it may have waited for its tokens."""
        leadership = controller.election.leadership
        if leadership is None:
            raise NotLeader("this daemon does not lead")
        leadership.require(settings.controller.act_margin_s)

    metrics = DaemonMetrics(__version__)
    prometheus = PrometheusServers(settings.prometheus, clock)
    clouds = CloudFactory(
        settings.controller.endpoints,
        clock,
        metrics,
        fence=fence,
        rate=settings.ec2_rate,
        queues=settings.controller.events_queues,
    )
    controller = Controller(
        identity=f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}",
        address=f"http://{settings.host}:{settings.port}",
        store=store,
        clouds=clouds,
        queues=clouds.queue,
        sources=SignalSources(cloudwatch=clouds.cloudwatch, prometheus=prometheus),
        clock=clock,
        rng=rng,
        settings=settings.controller,
        metrics=metrics,
        witness=FileWitness(settings.data_dir / "witness.json"),
    )
    app = create_app(
        store=store,
        clock=clock,
        registry=metrics.registry,
        health=lambda: checks(controller),
        version=__version__,
    )
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(controller.run(), name="controller")
            group.create_task(LoopWatch(metrics).run(), name="loop watch")
            group.create_task(serve(app, settings.host, settings.port, ready=_say_ready), name="server")
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    finally:
        prometheus.close()
        await clouds.close()


def _say_ready(url: str) -> None:
    log.info("serving", url=url, version=__version__)
