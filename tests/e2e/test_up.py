"""`strata up` as a newcomer meets it: real processes, the commands of its own summary, nothing left behind.

Every world here has a home and a data directory of its own, and any free ports.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from strata.clock import SystemClock

pytestmark = pytest.mark.slow

STRATA = str(Path(sys.executable).parent / "strata")
PRODUCTION = ("-n", "todo-production")


class Newcomer:
    """A person with an empty home, and the one program."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.home.mkdir()
        self.data = folder / "data"
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("STRATA_", "KUBECONFIG"))}
        self.environment = {**kept, "HOME": str(self.home), "TMPDIR": str(self.temporary)}

    def run(self, *arguments: str, code: int = 0) -> str:
        """Type a command; what it printed."""
        done = subprocess.run(
            [STRATA, *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [STRATA, *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "-o", "json"))

    def machines(self, *where: str) -> dict[str, str]:
        """EC2 id by the name of each Instance that is online."""
        items = self.json("get", "instances", *where)["items"]
        online = [item for item in items if item["status"].get("phase") == "online"]
        return {item["metadata"]["name"]: item["status"]["ec2"]["instanceId"] for item in online}

    def processes(self) -> list[str]:
        """Command lines of all that runs with this home; each child has its environment."""
        mark = f"HOME={self.home}".encode()
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (process / "environ").read_bytes().split(b"\0"):
                    found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
        return [line for line in found if line]

    def files(self) -> list[str]:
        """What there is at home and in the temporary directory."""
        return [str(path) for folder in (self.home, self.temporary) for path in folder.rglob("*")]


def eventually(happened: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
    clock = SystemClock()
    deadline_s = clock.monotonic_s() + timeout_s
    while not happened():
        assert clock.monotonic_s() < deadline_s, f"not within {timeout_s:g} s: {what}"
        threading.Event().wait(0.2)


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[Newcomer]:
    newcomer = Newcomer(tmp_path)
    yield newcomer
    newcomer.run("down")


def up_in_the_background(newcomer: Newcomer, *more: str) -> dict[str, Any]:
    out = newcomer.run("up", "--json", "--port-base", "0", "--detach", *more)
    (line,) = out.splitlines()
    world: dict[str, Any] = json.loads(line)
    return world


def test_a_world_comes_up_heals_scales_deletes_goes_down_and_leaves_nothing(newcomer: Newcomer) -> None:
    world = up_in_the_background(newcomer)
    assert Path(world["kubeconfig"]).is_file()
    layers = newcomer.json("get", "layers", "-A")["items"]
    assert newcomer.run("get", "layers", "-A").count("True") == len(layers) > 0

    before = newcomer.machines(*PRODUCTION)
    assert sorted(before) == ["web-1", "web-2", "workers-1", "workers-2", "workers-3"]
    assert before["web-1"] in newcomer.run("sim", "terminate", "instance/web-1", *PRODUCTION)
    eventually(
        lambda: newcomer.machines(*PRODUCTION).get("web-1", before["web-1"]) != before["web-1"],
        "web-1 has another machine and is online",
    )
    after = newcomer.machines(*PRODUCTION)
    assert {name: after[name] for name in before if name != "web-1"} == {
        name: machine for name, machine in before.items() if name != "web-1"
    }

    newcomer.run("scale", "layer/workers", *PRODUCTION, "--always", "5")
    eventually(lambda: len(newcomer.machines(*PRODUCTION)) == 7, "two workers more are online")
    newcomer.run("delete", "layer", "web", "-n", "todo-staging")
    eventually(lambda: "web" not in newcomer.machines("-n", "todo-staging"), "staging's web is gone")
    assert "always" in newcomer.run("why", "layer/workers", *PRODUCTION)
    assert "RunInstances" in newcomer.run("sim", "calls", "--last", "1000")

    newcomer.run("down")
    assert newcomer.processes() == []
    assert [file for file in newcomer.files() if Path(file).is_file() or Path(file).is_symlink()] == []


def test_data_that_was_asked_to_stay_is_there_the_next_time(newcomer: Newcomer) -> None:
    data = ("--data-dir", str(newcomer.data))
    up_in_the_background(newcomer, *data)
    uid = newcomer.json("get", "stack", "todo-production")["metadata"]["uid"]
    newcomer.run("scale", "layer/web", "-n", "todo-staging", "--always", "0")
    set_to = newcomer.run("sim", "clock", "+3h").strip()
    newcomer.run("down")
    assert not (newcomer.data / "kubeconfig").exists()

    up_in_the_background(newcomer, *data)
    assert newcomer.json("get", "stack", "todo-production")["metadata"]["uid"] == uid
    assert newcomer.json("get", "layer", "web", "-n", "todo-staging")["spec"]["capacity"]["always"] == 0
    assert newcomer.run("sim", "clock").strip() >= set_to, "what was written is of no time that has not come"
    assert "queue-workers" in newcomer.run("sim", "load")


def test_a_second_world_of_the_same_user_is_refused_and_says_why(newcomer: Newcomer) -> None:
    world = up_in_the_background(newcomer, "--no-examples")
    second = newcomer.start("up", "--port-base", "0", "--no-examples")
    out, errors = second.communicate(timeout=60)
    assert (second.returncode, out) == (1, "")
    assert f"runs already at {world['api']}" in errors
    assert newcomer.run("get", "stacks") is not None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_however_it_is_ended_nothing_is_left(newcomer: Newcomer, number: signal.Signals) -> None:
    visible = newcomer.start("up", "--json", "--port-base", "0", "--no-examples")
    assert visible.stdout is not None
    world = json.loads(visible.stdout.readline())
    assert (newcomer.home / ".config" / "strata" / "kubeconfig").resolve() == Path(world["kubeconfig"])
    visible.send_signal(number)
    visible.communicate(timeout=60)
    assert visible.returncode == (-number if number == signal.SIGKILL else 0)
    eventually(lambda: not newcomer.processes(), "all processes have ended", 30)
    eventually(lambda: not [file for file in newcomer.files() if not Path(file).is_dir()], "no file is left", 5)
    assert not Path(world["dataDir"]).exists()


def test_a_part_that_dies_ends_all_of_it_and_is_named(newcomer: Newcomer) -> None:
    visible = newcomer.start("up", "--json", "--port-base", "0", "--no-examples")
    assert visible.stdout is not None
    visible.stdout.readline()
    os.kill(_pid_of_etcd(newcomer), signal.SIGKILL)
    _, errors = visible.communicate(timeout=60)
    assert visible.returncode == 1
    assert "etcd was killed by SIGKILL; the logs are kept in " in errors
    assert newcomer.processes() == []


def test_a_detached_world_whose_part_died_leaves_its_logs_and_down_says_where(newcomer: Newcomer) -> None:
    world = up_in_the_background(newcomer, "--no-examples")
    os.kill(_pid_of_etcd(newcomer), signal.SIGKILL)
    eventually(lambda: not newcomer.processes(), "all processes have ended", 30)
    assert not Path(world["dataDir"]).exists()
    told = newcomer.run("down")
    assert "the last world ended by itself: etcd was killed by SIGKILL; its logs are in " in told
    logs = Path(told.splitlines()[0].rpartition(" ")[2])
    assert {file.name for file in logs.iterdir()} == {"etcd.log", "daemon.log", "simulator.log"}
    assert "ended by itself" not in newcomer.run("down")


def _pid_of_etcd(newcomer: Newcomer) -> int:
    (etcd,) = (
        int(process.name)
        for process in Path("/proc").glob("[0-9]*")
        if str(newcomer.temporary).encode() in _command(process) and b"--listen-peer-urls" in _command(process)
    )
    return etcd


def _command(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


def test_killed_with_all_its_parts_what_it_left_is_cleared_by_down(newcomer: Newcomer) -> None:
    world = up_in_the_background(newcomer, "--no-examples")
    os.kill(world["pid"], signal.SIGKILL)
    eventually(lambda: not newcomer.processes(), "its parts died with it", 30)
    assert Path(world["dataDir"]).exists()
    newcomer.run("down")
    assert [file for file in newcomer.files() if not Path(file).is_dir()] == []
