"""A whole Strata of real processes on loopback: etcd, an EC2 over HTTP, daemons, the CLI as people type it.

An `Installation` takes any EC2 and any etcd; a `Cluster` is the usual one, on the simulator and one etcd.
"""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol, Self

from tests.kit.etcd import DEBIAN, Etcd, find_binary, free_ports

_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


def environment() -> dict[str, str]:
    """Ours, with credentials that only the simulator takes."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "STRATA_"))} | _ENVIRONMENT


@dataclass(slots=True)
class Process:
    """One of our programs; its output goes to a log file."""

    command: list[str]
    log: Path
    running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.running = subprocess.Popen(
                self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment()
            )

    def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        if self.running is not None and self.running.poll() is None:
            self.running.send_signal(number)
            self.running.wait(timeout=30)


class Ec2(Protocol):
    """What answers as EC2. `name` is the endpoint that a Stack names."""

    @property
    def name(self) -> str: ...

    @property
    def url(self) -> str: ...

    def start(self) -> None:
        """Start; return when it answers."""
        ...

    def end(self) -> None: ...


class EtcdServers(Protocol):
    """An etcd of one member or more. `url` is what the daemon is given; with `kill` all of it is gone at once."""

    @property
    def url(self) -> str: ...

    def start(self) -> None: ...

    def kill(self) -> None: ...


class Simulator:
    """The simulated EC2 as a process; `ask` is its admin API."""

    name = "sim"

    def __init__(self, directory: Path) -> None:
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        self.clock_file = directory / "clock"  # how far ahead wall time is
        clock = ("--clock-file", str(self.clock_file))
        command = [sys.executable, "-m", "strata_sim", "--listen", f"127.0.0.1:{port}", *clock]
        self.process = Process(command, directory / "simulator.log")

    def start(self) -> None:
        self.process.start()
        until(lambda: answers(f"{self.url}/_sim/health"), within_s=30, what="the simulator answers")

    def end(self) -> None:
        self.process.end()

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """One call; with a body it is a POST."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/_sim/{path}", data=data)  # noqa: S310 - loopback
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
            return json.load(answer)


@dataclass(slots=True)
class Installation:
    """Daemons on an etcd and an EC2. Use as a context; ends all its processes. `directory` is the test's own."""

    directory: Path
    ec2: Ec2
    etcd: EtcdServers
    daemon_flags: tuple[str, ...] = ()
    daemons: dict[str, Process] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self.etcd.start()
        self.ec2.start()
        return self

    def __exit__(self, *_: object) -> None:
        for daemon in self.daemons.values():
            daemon.end()
        self.ec2.end()
        self.etcd.kill()

    def start_daemon(self, name: str) -> None:
        """Start a daemon and wait until it is ready."""
        self.launch_daemon(name)
        until(lambda: answers(f"{self.urls[name]}/readyz"), within_s=60, what=f"daemon {name} is ready")

    def launch_daemon(self, name: str) -> None:
        """Start a daemon. A name that ran before keeps its data directory."""
        (port,) = free_ports(1)
        url = f"http://127.0.0.1:{port}"
        command = [
            *(sys.executable, "-m", "strata", "server", "--etcd", self.etcd.url),
            *("--listen", f"127.0.0.1:{port}", "--endpoint", f"{self.ec2.name}={self.ec2.url}", "--log-format", "json"),
            *("--data-dir", str(self.directory / name), *self.daemon_flags),
        ]
        daemon = self.daemons[name] = Process(command, self.directory / f"{name}.log")
        self.urls[name] = url
        daemon.start()

    def kill_daemon(self, name: str) -> None:
        self.daemons.pop(name).end()
        del self.urls[name]

    def leader(self) -> str:
        """The name of the daemon that leads; "" if none says so."""
        for name, url in self.urls.items():
            try:
                if "strata_leader 1.0" in get_text(f"{url}/metrics"):
                    return name
            except OSError:
                continue
        return ""

    def strata(
        self, *arguments: str, stdin: str | None = None, timeout_s: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run the CLI against any daemon that is there."""
        server = next(iter(self.urls.values()))
        return subprocess.run(
            [sys.executable, "-m", "strata", "--server", server, *arguments],
            input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False,
        )  # fmt: skip

    def objects(self, plural: str, namespace: str = "") -> list[dict[str, Any]]:
        """What any daemon's API lists: cheaper than the CLI, for who asks again and again."""
        server = next(iter(self.urls.values()))
        within = f"/namespaces/{namespace}" if namespace else ""
        found: list[dict[str, Any]] = json.loads(get_text(f"{server}/apis/strata.dev/v1alpha1{within}/{plural}"))[
            "items"
        ]
        return found

    def get(self, kind: str, *arguments: str) -> list[dict[str, Any]]:
        done = self.strata("get", kind, "-o", "json", *arguments)
        assert done.returncode == 0, done.stderr
        found: list[dict[str, Any]] = json.loads(done.stdout)["items"]
        return found


class Cluster(Installation):
    """The usual installation: one etcd (Debian's) and the simulator, which knows the truth about every machine."""

    ec2: Simulator
    etcd: Etcd

    def __init__(self, directory: Path, daemon_flags: tuple[str, ...] = ()) -> None:
        etcd, simulator = Etcd(find_binary(DEBIAN), directory), Simulator(directory)
        sources = ("--clock-file", str(simulator.clock_file), "--prometheus", f"sim={simulator.url}")
        super().__init__(directory, simulator, etcd, (*sources, *daemon_flags))

    @property
    def sim_url(self) -> str:
        return self.ec2.url

    def sim(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """One call of the simulator's admin API; with a body it is a POST."""
        return self.ec2.ask(path, body)

    def now(self) -> datetime:
        """The wall time of the simulator and the daemons."""
        return datetime.fromisoformat(self.sim("clock")["now"])

    def set_clock(self, to: datetime) -> None:
        """Set the wall time of all of them forward."""
        self.sim("clock", {"to": to.isoformat()})

    def pass_time(self, by: timedelta) -> None:
        """Set the wall time of all of them forward by so much."""
        self.sim("clock", {"by_s": by.total_seconds()})

    def lives(self) -> list[dict[str, Any]]:
        """Every machine that ever was, by the simulator's own truth."""
        found: list[dict[str, Any]] = self.sim("lives")["lives"]
        return found

    def live(self) -> list[dict[str, Any]]:
        return [life for life in self.lives() if life["endedAt_s"] is None]


def answers(url: str) -> bool:
    try:
        get_text(url)
    except OSError:
        return False
    return True


def get_text(url: str) -> str:
    """Raises OSError, also where the answer broke off: who gave it may have been killed."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - loopback
            body: bytes = answer.read()
    except http.client.HTTPException as error:
        raise ConnectionError(str(error)) from error
    return body.decode()


def until(holds: Callable[[], Any], *, within_s: float, what: str, every_s: float = 0.2) -> float:
    """Wait until `holds()`; how long it took. Raises AssertionError saying `what` did not come true."""
    began_s = time.monotonic()  # noqa: TID251 - real processes run on real time
    while not holds():
        if time.monotonic() - began_s > within_s:  # noqa: TID251 - likewise
            raise AssertionError(f"not so within {within_s:g} s: {what}")
        time.sleep(every_s)  # noqa: TID251 - likewise
    return time.monotonic() - began_s  # noqa: TID251 - likewise


def twins(lives: list[dict[str, Any]]) -> list[str]:
    """Slots (by their tags) that had two live machines at the same time."""
    slots = defaultdict(list)
    for life in lives:
        name = life["tags"].get("strata.dev/instance")
        if name:
            slots[life["tags"]["strata.dev/stack"], name].append(life)
    found = []
    for slot, machines in slots.items():
        machines.sort(key=lambda life: float(life["madeAt_s"]))
        for earlier, later in pairwise(machines):
            if earlier["endedAt_s"] is None or earlier["endedAt_s"] > later["madeAt_s"]:
                found.append(f"{slot}: {earlier['instanceId']} and {later['instanceId']}")
    return found
