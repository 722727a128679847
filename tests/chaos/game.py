"""One seed: steps are drawn while its world runs, until enough of them have done something. All can be replayed."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random

from tests.chaos.draws import Drawer
from tests.chaos.mischief import Mischief, MischievousCloud
from tests.chaos.player import ChaosPlayer
from tests.kit.acting import a_world
from tests.kit.awaits import Await
from tests.kit.scenario import Scenario, Step
from tests.kit.virtual_time import run_virtual

from strata.settings import ControllerSettings

FAULTS, TRANSITIONS = 20, 30  # at least, and each of them did something
_STEPS_MAX = 1000
_WIDE_AFTER = 150  # steps: what a seed keeps to may do nothing in its world
SETTINGS = ControllerSettings(resync_s=120.0, poll_interval_s=5.0)


@dataclass
class Game:
    """How a seed went. `failure` is what its world said, "" if no law was broken and all came to rest."""

    scenario: Scenario
    failure: str = ""
    faults: Counter[str] = field(default_factory=Counter)
    transitions: Counter[str] = field(default_factory=Counter)
    awaits: set[Await] = field(default_factory=set)
    judged: Counter[str] = field(default_factory=Counter)
    virtual_s: float = 0.0


def play_seed(seed: int) -> Game:
    """Draw and play; breaches are told in the result."""
    drawer = Drawer(seed)
    game = Game(Scenario(seed, drawer.daemons, drawer.healing, ()))
    return _judged(game, drawer)


def replay(scenario: Scenario) -> Game:
    return _judged(Game(scenario), None)


def _judged(game: Game, drawer: Drawer | None) -> Game:
    try:
        run_virtual(_play(game, drawer))
    except AssertionError as error:
        game.failure = str(error)
    except Exception as error:  # noqa: BLE001 - a daemon or the kit that breaks is a failure of this seed
        game.failure = f"{type(error).__name__}: {error}"
    return game


async def _play(game: Game, drawer: Drawer | None) -> None:
    async with _world(game) as player:
        await player.begin()
        if drawer is None:
            for step in game.scenario.steps:
                await player.play(step)
        else:
            await _draw(game, drawer, player)
        await player.end_faults()
        await player.rest()
        await player.delete_all()


async def _draw(game: Game, drawer: Drawer, player: ChaosPlayer) -> None:
    steps: list[Step] = []
    counters = {"fault": game.faults, "transition": game.transitions}
    acted = True
    while (missing := _missing(game)) and len(steps) < _STEPS_MAX:
        if len(steps) == _WIDE_AFTER:
            drawer.widen()
        faults, transitions = missing
        drawn = drawer.draw(fault_share=faults / (faults + transitions)) if acted else drawer.draw_after_nothing()
        steps.append(drawn.step)
        game.scenario = game.scenario._replace(steps=tuple(steps))  # before it is played: it may be the last
        acted = await player.play(drawn.step) or not acted
        if acted and drawn.family in counters:
            counters[drawn.family][drawn.kind] += 1
    assert not _missing(game), f"{len(steps)} steps were not enough"


def _missing(game: Game) -> tuple[int, int] | None:
    faults, transitions = FAULTS - game.faults.total(), TRANSITIONS - game.transitions.total()
    return None if max(faults, transitions) <= 0 else (max(0, faults), max(0, transitions))


@asynccontextmanager
async def _world(game: Game) -> AsyncIterator[ChaosPlayer]:
    seed = game.scenario.seed
    mischief = Mischief(Random(f"mischief {seed}"), outside=frozenset(asyncio.all_tasks()))
    async with a_world(seed=seed, settings=SETTINGS, watcher=mischief.watch) as act:
        fleet, running = act.fleet, act.processes.running
        fleet.wrap_cloud = lambda name, _cloud: MischievousCloud(fleet.world, running[name], mischief)
        try:
            yield ChaosPlayer(act, game.scenario, mischief)
        finally:
            game.awaits |= mischief.awaits
            game.virtual_s = asyncio.get_running_loop().time()
            game.judged.update(calls=act.laws.mutations, writes=act.laws.writes)
