"""Kills a process at each point of a story between two effects, and sees to it that the world comes right again.

A story is told once to count the points that the process passes at its ports (before and after each effect, once at
each read); then once more for each of them, and the process dies exactly there, as by kill -9. Another one starts, the
laws are watched all the time, and the story's end must come all the same.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

from tests.kit.awaits import Await, suspended
from tests.kit.fleet import SETTINGS
from tests.kit.laws import Laws, WatchedServer
from tests.kit.process import Process, Processes
from tests.kit.virtual_time import run_virtual

from strata.settings import ControllerSettings

LIMIT_S = 3 * 3600.0  # of virtual time, for the world to come right after a crash
QUIET_S = 40.0
_READS_OF_A_KIND = 1  # more alike reads would cut the same state
_OF_A_RARE_KIND = 2
_CUT_VARIABLE = "STRATA_CUT"


class Act:
    """What a story may use: the processes, the fleet, the store's server, the laws."""

    def __init__(self, processes: Processes, server: WatchedServer) -> None:
        self.processes = processes
        self.server = server
        self.fleet = processes.fleet
        self.laws = Laws(processes.fleet.world, server)
        self.decided: set[str] = set()  # orphans that a person has decided on


Step = Callable[[Act], Awaitable[None]]
Ending = Callable[[Act], Awaitable[bool]]


@dataclass(frozen=True, eq=False)
class Story:
    """`prepare` makes a steady world with process `a`; `act` is what then happens, while points are counted; `ended`
    says when all is as it must be. A rare one is cut at fewer of its points, unless the sweep is thorough; one with
    `kinds` only at points that begin so. `with_queue`: events of EC2 come through a queue."""

    name: str
    prepare: Step
    act: Step
    ended: Ending
    limit_s: float = LIMIT_S
    rare: bool = False
    kinds: tuple[str, ...] = ()
    settings: ControllerSettings = SETTINGS
    with_queue: bool = False


@dataclass
class Cut:
    """Counts points while armed; kills at number `at`."""

    at: int | None = None
    armed: bool = False
    points: list[str] = field(default_factory=list)
    awaits: set[Await] = field(default_factory=set)
    outside: frozenset["asyncio.Task[object]"] = frozenset()

    def watch(self, _process: Process, point: str) -> bool:
        if not self.armed:
            return False
        self.points.append(point)
        if self.at != len(self.points) - 1:
            return False
        self.armed = False
        self.awaits = suspended(asyncio.all_tasks() - self.outside)
        return True


def tell(story: Story, at: int | None = None) -> Cut:
    """Tell it once, with the process killed at this point; raise AssertionError if it does not end well."""
    return run_virtual(_tell(story, Cut(at)))


async def _tell(story: Story, cut: Cut) -> Cut:
    cut.outside = frozenset(asyncio.all_tasks())
    server = WatchedServer()
    processes = Processes(cut.watch, server=server, settings=story.settings, with_queue=story.with_queue)
    act = Act(processes, server)
    try:
        await story.prepare(act)
        act.laws.verify()
        cut.armed = True
        await story.act(act)
        await _until_ended(story, act)
        cut.armed = False
        await settled(act)
    finally:
        cut.armed = False
        await processes.close()
    return cut


async def _until_ended(story: Story, act: Act) -> None:
    loop = asyncio.get_running_loop()
    limit_s = loop.time() + story.limit_s
    while not await story.ended(act):
        act.laws.verify()
        restart_dead(act.processes)
        assert loop.time() < limit_s, f"not ended {story.limit_s:.0f} s later"
        await asyncio.sleep(0.25)
    restart_dead(act.processes)


def restart_dead(processes: Processes) -> None:
    """What the machine's init does."""
    for name, process in list(processes.running.items()):
        if process.dead:
            processes.kill(name)
            processes.start(name)


async def settled(act: Act, *, within_s: float = 1800.0) -> None:
    """Law 1: soon nothing is changed any more, in EC2 or in the store; nothing that lives is nobody's."""
    loop = asyncio.get_running_loop()
    limit_s = loop.time() + within_s
    seen, since_s = (-1, -1), loop.time()
    while loop.time() - since_s < QUIET_S:
        restart_dead(act.processes)
        await asyncio.sleep(2.0)
        act.laws.verify()
        now = (act.laws.mutations, act.laws.writes)
        if now != seen or act.laws.leaks():
            seen, since_s = now, loop.time()
        assert loop.time() < limit_s, f"no rest {within_s:.0f} s later; leaks: {act.laws.leaks()}"


@dataclass
class Swept:
    """What a sweep over all points of a story came to."""

    points: int
    cuts: int
    awaits: set[Await]
    failures: list[str]


def sweep(story: Story, *, thorough: bool) -> Swept:
    """Tell the story uncut, then once for each point. Failures say how to see one again."""
    points = tell(story).points
    chosen = list(range(len(points))) if thorough else list(_worth_cutting(story, points))
    only = os.environ.get(_CUT_VARIABLE)
    swept = Swept(len(points), 0, set(), [])
    for at in chosen if only is None else [int(only)]:
        swept.cuts += 1
        try:
            swept.awaits |= tell(story, at).awaits
        except AssertionError as error:
            swept.failures.append(
                f"killed at {at} of {len(points)} ({points[at]}): {error}\n"
                f'  again: {_CUT_VARIABLE}={at} make test ARGS="tests/property/test_crash.py -k {story.name}"'
            )
    return swept


def _worth_cutting(story: Story, points: list[str]) -> Iterator[int]:
    """Every effect, on both sides; of alike reads between two effects only some: nothing outside changed since. Of a
    rare story some of each kind."""
    seen: Counter[str] = Counter()
    for at, point in enumerate(points):
        if not point.startswith(story.kinds or ""):
            continue
        is_effect = point.startswith(("before", "after"))
        if is_effect and not story.rare:
            seen.clear()
        seen[point] += 1
        if seen[point] <= (_OF_A_RARE_KIND if is_effect or story.kinds else _READS_OF_A_KIND):
            yield at
