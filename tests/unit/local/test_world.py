"""The supervisor's heart: parts that start, fail and stop. The parts here are small web servers."""

import asyncio
import json
import os
import random
import sys
from pathlib import Path

import pytest

from strata.local.ports import choose_ports
from strata.local.processes import Program
from strata.local.programs import Folders
from strata.local.state import Home, WorldRecord
from strata.local.world import PartFailedError, World

SERVER = """
import http.server, os, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int(sys.argv[2]))
        self.end_headers()
        self.wfile.write(b"[-] etcd is away")
    def log_message(self, *_): pass
print(os.getpid(), flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.state.mkdir(parents=True)
    return home


@pytest.fixture
def record(home: Home, tmp_path: Path) -> WorldRecord:
    folders = Folders(tmp_path / "world")
    folders.make()
    return WorldRecord(
        pid=os.getpid(),
        api="http://api",
        metrics="http://api/metrics",
        simulator="http://simulator",
        etcd="http://etcd",
        kubeconfig=str(folders.kubeconfig),
        data_dir=str(folders.root),
        logs=str(folders.logs),
        temporary=True,
        link=str(home.kubeconfig),
    )


def server(name: str, record: WorldRecord, *, status: int = 200) -> Program:
    port = choose_ports(0, random.Random(name)).api
    command = (sys.executable, "-c", SERVER, str(port), str(status))
    return Program(name=name, command=command, log=Path(record.logs, name), ready_url=f"http://127.0.0.1:{port}/")


def crashing(name: str, record: WorldRecord) -> Program:
    command = (sys.executable, "-c", "print('no such flag'); raise SystemExit(2)")
    return Program(name=name, command=command, log=Path(record.logs, name), ready_url="http://127.0.0.1:9/")


def told(capfd: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capfd.readouterr().out.splitlines()]


def is_alive(program: Program) -> bool:
    pid = int(program.log.read_text().split()[0])
    return Path(f"/proc/{pid}").exists()


async def test_a_world_tells_its_parts_and_that_it_is_ready_and_ends_them_when_told(
    home: Home, record: WorldRecord, capfd: pytest.CaptureFixture[str]
) -> None:
    parts = (server("one", record), server("two", record))
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(World(home, record).live(parts, timeout_s=20, stop=stop))
        for _ in range(2000):
            if home.kubeconfig.exists():
                break
            await asyncio.sleep(0.01)
        assert all(is_alive(part) for part in parts)
        assert "server: http://api" in home.kubeconfig.read_text()
        assert home.read() == record
        stop.set()
    assert not any(is_alive(part) for part in parts)
    messages = told(capfd)
    assert [message["type"] for message in messages] == ["starting", "starting", "ready"]


async def test_a_part_that_dies_ends_the_others_and_its_last_words_are_kept(home: Home, record: WorldRecord) -> None:
    first = server("first", record)
    with pytest.RaisesGroup(
        pytest.RaisesExc(
            PartFailedError,
            match="^second exited with 2$",
            check=lambda failed: isinstance(failed, PartFailedError) and failed.log == ("no such flag",),
        )
    ):
        await World(home, record).live((first, crashing("second", record)), timeout_s=20, stop=asyncio.Event())
    assert not is_alive(first)
    assert not home.kubeconfig.exists()


async def test_a_part_that_never_becomes_ready_is_told_with_its_own_reason(home: Home, record: WorldRecord) -> None:
    slow = server("slow", record, status=503)
    with pytest.RaisesGroup(pytest.RaisesExc(PartFailedError, match="is not ready in time; .*503 .* etcd is away")):
        await World(home, record).live((slow,), timeout_s=1.5, stop=asyncio.Event())
    assert not is_alive(slow)


async def test_the_word_to_stop_is_heard_while_a_part_still_starts(home: Home, record: WorldRecord) -> None:
    slow = server("slow", record, status=503)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(World(home, record).live((slow,), timeout_s=60, stop=stop))
        for _ in range(2000):
            if slow.log.exists() and slow.log.read_text():
                break
            await asyncio.sleep(0.01)
        stop.set()
    assert not is_alive(slow)
