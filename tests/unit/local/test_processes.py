"""Children that end with their parent, and when they are told to."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from strata.local.processes import Child, Program, outcome

STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(grandchild.pid, flush=True)
time.sleep(60)
"""
PARENT = """
import asyncio, sys
from pathlib import Path
from strata.local.processes import Child, Program

async def main():
    program = Program(name="sleeper", command=("/bin/sleep", "60"), log=Path(sys.argv[1]), ready_url="")
    child = await Child.start(program)
    print(child.pid, flush=True)
    await child.wait()

asyncio.run(main())
"""


def python(code: str, log: Path, *, grace_s: float = 5.0) -> Program:
    return Program(name="child", command=(sys.executable, "-c", code), log=log, ready_url="", grace_s=grace_s)


def has_ended(pid: int) -> bool:
    """A zombie has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except (FileNotFoundError, ProcessLookupError):
        return True


async def eventually(happened: Callable[[], bool]) -> bool:
    for _ in range(500):
        if happened():
            return True
        await asyncio.sleep(0.01)
    return False


async def gone(pid: int) -> bool:
    return await eventually(lambda: has_ended(pid))


async def test_what_a_child_says_is_in_its_log(tmp_path: Path) -> None:
    child = await Child.start(python("print('one'); print('two'); raise SystemExit(3)", tmp_path / "log"))
    assert await child.wait() == 3
    assert child.last_lines() == ["one", "two"]
    assert child.last_lines(1) == ["two"]


async def test_the_last_words_of_an_earlier_child_are_not_taken_for_those_of_this_one(tmp_path: Path) -> None:
    await (await Child.start(python("print('earlier')", tmp_path / "log"))).wait()
    child = await Child.start(python("print('now')", tmp_path / "log"))
    await child.wait()
    assert child.last_lines() == ["now"]
    assert (tmp_path / "log").read_text().splitlines() == ["earlier", "now"]


async def test_a_stubborn_child_is_ended_with_all_it_started(tmp_path: Path) -> None:
    child = await Child.start(python(STUBBORN, tmp_path / "log", grace_s=0.2))
    assert await eventually(lambda: bool(child.last_lines()))
    grandchild = int(child.last_lines()[0])
    await child.stop()
    assert await gone(child.pid)
    assert await gone(grandchild)


async def test_stopping_twice_and_after_the_end_is_harmless(tmp_path: Path) -> None:
    child = await Child.start(python("pass", tmp_path / "log"))
    await child.wait()
    await child.stop()
    await child.stop()


async def test_a_child_gets_only_the_environment_that_it_was_given(tmp_path: Path) -> None:
    log = tmp_path / "log"
    program = Program(name="env", command=("/usr/bin/env",), log=log, ready_url="", environment={"ONE": "1"})
    await (await Child.start(program)).wait()
    assert "ONE=1" in log.read_text()
    assert "PATH=" not in log.read_text()


async def test_a_child_dies_with_a_parent_that_was_killed_outright(tmp_path: Path) -> None:
    command = (sys.executable, "-c", PARENT, str(tmp_path / "log"))
    parent = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    assert not has_ended(child)
    parent.kill()
    await parent.wait()
    assert await gone(child)


def test_an_exit_is_told_in_words() -> None:
    assert outcome(1) == "exited with 1"
    assert outcome(-9) == "was killed by SIGKILL"
