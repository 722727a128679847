"""The supervisor of a local world: starts etcd, the simulator and the daemon, and ends all of it.

    python -m strata.local.world OPTIONS-AS-JSON

Owns the children, the world's files and the user's lock. Speaks messages.py on standard output. It ends, and leaves
nothing behind, when standard input closes (unless it was told to detach), at SIGTERM, or when a child dies; then it
keeps the logs, and a note for the next `up` or `down`. Killed outright, its children die with it, and what is left on
disk is cleared by whoever looks next (Home.clear_leftovers).
"""

import asyncio
import contextlib
import fcntl
import os
import random
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import urllib3

from strata.cli.failures import CliFailure
from strata.local import programs
from strata.local.etcd_binary import EtcdBinary, find_etcd
from strata.local.kubeconfig import write_kubeconfig
from strata.local.messages import DETACH, Failed, Message, Ready, Starting, Warned, encode
from strata.local.options import WorldOptions
from strata.local.ports import Ports, choose_ports
from strata.local.processes import Child, Program, outcome
from strata.local.programs import Folders
from strata.local.state import Home, WorldRecord

_ASK_AGAIN_S = 0.1
_ASK_TIMEOUT_S = 2.0
_UNUSABLE = 400  # the first HTTP status that means: not ready
_UNSOUND = (
    "etcd {version} ({path}) acknowledges writes before they are on disk: good for trying Strata out, never for "
    "production. Debian's etcd-server, or etcd 3.5.6 or newer on PATH, is used instead once it is there."
)


class PartFailedError(Exception):
    """A part of the world ended by itself, or never became ready. `log` is the end of its log, read before it goes."""

    def __init__(self, child: Child, why: str) -> None:
        super().__init__(f"{child.program.name} {why}")
        self.log = tuple(child.last_lines())


class StoppedError(Exception):
    """The word to stop came."""


class World:
    """One world, from its first child to its last."""

    def __init__(self, home: Home, record: WorldRecord) -> None:
        self._home = home
        self._record = record
        self._children: list[Child] = []

    async def live(self, parts: tuple[Program, ...], *, timeout_s: float, stop: asyncio.Event) -> None:
        """Start the parts one after the other, say that they are ready, and run until `stop`.

        Raises PartFailedError, in a group."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        folders = Folders(Path(self._record.data_dir))
        continued = (folders.etcd / "member").exists()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_raise_when(stop))
                for part in parts:
                    tell(Starting(part.name))
                    child = await Child.start(part)
                    self._children.append(child)
                    tasks.create_task(_raise_when_ended(child))
                    await _answers(child, deadline)
                self._announce(folders, continued=continued)
        except* StoppedError:
            pass
        finally:
            for child in reversed(self._children):
                await child.stop()

    def _announce(self, folders: Folders, *, continued: bool) -> None:
        write_kubeconfig(folders.kubeconfig, api=self._record.api, simulator=self._record.simulator)
        link = self._home.point_kubeconfig_at(folders.kubeconfig)
        self._record = msgspec.structs.replace(self._record, link=link)
        self._home.write(self._record)
        tell(Ready(self._record, continued))


async def _raise_when(stop: asyncio.Event) -> None:
    await stop.wait()
    raise StoppedError


async def _raise_when_ended(child: Child) -> None:
    raise PartFailedError(child, outcome(await child.wait()))


async def _answers(child: Child, deadline: float) -> None:
    """Wait until this part can be used. Raises PartFailedError at the deadline."""
    url, why = child.program.ready_url, "it was not asked yet"
    try:
        async with asyncio.timeout_at(deadline):
            while why := await asyncio.to_thread(_why_not_ready, url):  # noqa: ASYNC110 - another process tells no Event
                await asyncio.sleep(_ASK_AGAIN_S)
    except TimeoutError:
        raise PartFailedError(child, f"is not ready in time; {url}: {why}") from None


def _why_not_ready(url: str) -> str:
    try:
        answer = urllib3.request("GET", url, timeout=_ASK_TIMEOUT_S, retries=False)
    except urllib3.exceptions.HTTPError as error:
        return str(error)
    return f"{answer.status} {answer.data.decode(errors='replace').strip()}" if answer.status >= _UNUSABLE else ""


def tell(message: Message) -> None:
    """Say it to whoever started us; where nobody listens any more, nobody needs it."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.buffer.write(encode(message))
        sys.stdout.buffer.flush()


async def _stop_when_parent_goes(stop: asyncio.Event) -> None:
    """Standard input closes when the process that started us ends, however it ends."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async for line in reader:
        if line == DETACH:
            return
    stop.set()


@contextlib.contextmanager
def _data_dir_lock(folder: Path) -> Iterator[None]:
    """Be the only world on this data, also among those of other users."""
    with (folder / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CliFailure(f"another `strata up` uses {folder}") from None
        yield


def _make_root(options: WorldOptions) -> Path:
    if options.data_dir is None:
        return Path(tempfile.mkdtemp(prefix="strata-up-"))
    root = Path(options.data_dir)
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    return root


def _record(options: WorldOptions, home: Home, ports: Ports, folders: Folders) -> WorldRecord:
    api = programs.url(ports.api)
    return WorldRecord(
        pid=os.getpid(),
        api=api,
        metrics=f"{api}/metrics",
        simulator=programs.url(ports.simulator),
        etcd=programs.url(ports.etcd),
        kubeconfig=str(folders.kubeconfig),
        data_dir=str(folders.root),
        logs=str(folders.logs),
        temporary=options.data_dir is None,
        link=str(home.kubeconfig),
    )


def _parts(binary: EtcdBinary, ports: Ports, folders: Folders) -> tuple[Program, ...]:
    return (
        programs.etcd(binary, ports, folders),
        programs.simulator(ports, folders),
        programs.daemon(ports, folders),
    )


async def _run(options: WorldOptions, home: Home) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    binary = find_etcd(os.environ.get("PATH", os.defpath))
    if not binary.sound:
        tell(Warned(_UNSOUND.format(version=binary.version_text, path=binary.path)))
    ports = choose_ports(options.port_base, random.Random())  # noqa: S311 - ports are no secret
    folders = Folders(_make_root(options))
    record = _record(options, home, ports, folders)
    with _data_dir_lock(folders.root):
        home.write(record)  # before anything starts: whoever finds us killed knows what to clear away
        try:
            folders.make()
            async with asyncio.TaskGroup() as tasks:
                listening = tasks.create_task(_stop_when_parent_goes(stop))
                parts = _parts(binary, ports, folders)
                await World(home, record).live(parts, timeout_s=options.timeout_s, stop=stop)
                listening.cancel()
        except* PartFailedError as failed:
            _keep_logs(home, record, _first(failed))
            raise
        finally:
            home.clear_away(record)


def _keep_logs(home: Home, record: WorldRecord, failed: BaseException) -> None:
    """A world that nobody looks at tells what died only by what it leaves."""
    try:
        failed.add_note(f"the logs are kept in {home.keep_logs(record, str(failed)).logs}")
    except OSError as error:  # a full disk must not hide what died
        failed.add_note(f"the logs cannot be kept: {error}")


def _first(group: BaseException) -> BaseException:
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group


def main() -> int:
    """Run one world. Exit code 1 if it did not come up, or a part of it died."""
    options = msgspec.json.decode(sys.argv[1], type=WorldOptions)
    try:
        _run_alone(options, Home(Path(options.home)))
    except (CliFailure, OSError, ExceptionGroup) as error:
        reason = _first(error)
        if not isinstance(reason, PartFailedError | CliFailure | OSError):
            raise
        text = "; ".join([str(reason), *getattr(reason, "__notes__", ())])
        tell(Failed(text, reason.log if isinstance(reason, PartFailedError) else ()))
        return 1
    return 0


def _run_alone(options: WorldOptions, home: Home) -> None:
    with home.hold() as alone:
        if not alone:
            raise CliFailure(_already_up(home))
        home.clear_leftovers()
        if death := home.take_death():
            tell(Warned(str(death)))
        asyncio.run(_run(options, home))


def _already_up(home: Home) -> str:
    record = home.read()
    where = f" at {record.api}, with its data in {record.data_dir}" if record else ""
    return f"a `strata up` of yours runs already{where}; `strata down` ends it"


if __name__ == "__main__":
    sys.exit(main())
