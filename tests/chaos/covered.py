"""What a run of many seeds covered, and how it is told."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.chaos.game import Game
from tests.kit.awaits import Await, awaits_of

import strata.reconcile
import strata.store.repository


@dataclass
class Covered:
    """Sums over games; `failed` keeps those that broke a law."""

    seeds: int = 0
    virtual_s: float = 0.0
    cpu_s: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    transitions: Counter[str] = field(default_factory=Counter)
    judged: Counter[str] = field(default_factory=Counter)
    awaits: set[Await] = field(default_factory=set)
    failed: list[Game] = field(default_factory=list)

    def add(self, game: Game, cpu_s: float) -> None:
        self.seeds += 1
        self.cpu_s += cpu_s
        self.virtual_s += game.virtual_s
        self.faults += game.faults
        self.transitions += game.transitions
        self.judged += game.judged
        self.awaits |= game.awaits & reconcile_awaits().keys()
        if game.failure:
            self.failed.append(game)

    def lines(self) -> Iterator[str]:
        yield f"{self.seeds} seeds, {self.virtual_s / 3600:.0f} hours of their time, {self.cpu_s:.0f} s of CPU"
        yield _row("faults", self.faults)
        yield _row("transitions", self.transitions)
        yield _row("judged by the laws", self.judged)
        yield f"died at {len(self.awaits)} of {len(reconcile_awaits())} await expressions of reconcile/ and the store"
        yield f"{len(self.failed)} seeds broke a law"


def _row(what: str, counter: Counter[str]) -> str:
    kinds = ", ".join(f"{kind} {count}" for kind, count in counter.most_common())
    return f"{what}: {counter.total()} ({kinds})"


@cache
def reconcile_awaits() -> dict[Await, str]:
    """As the code was when this was first asked; ask before anybody edits."""
    return awaits_of([*Path(strata.reconcile.__path__[0]).glob("*.py"), Path(strata.store.repository.__file__)])


def told(game: Game) -> str:
    """A failure, its schedule, and the line that makes a case of it."""
    steps = "\n".join(f"  {wait_s:7.2f} s, then {verb} {arguments}" for wait_s, verb, arguments in game.scenario.steps)
    law = game.failure.splitlines()[0][:100].replace('"', "'")
    return (
        f"seed {game.scenario.seed}: {game.failure}\n{len(game.scenario.steps)} steps:\n{steps}\n"
        f"to play it in CI from now on, paste this line into tests/chaos/cases/found.yaml:\n"
        f'- {{was: "{law}", scenario: {game.scenario.to_text()}}}\n'
    )
