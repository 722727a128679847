"""Makes a failing schedule short: leaves out steps, many at first and then single ones, while it fails alike."""

from collections.abc import Callable

from tests.chaos.game import Game, replay
from tests.kit.scenario import Scenario, Step

TRIALS_MAX = 400


def shrink(failed: Game, trials: int = TRIALS_MAX) -> Game:
    """A failed game with as few steps as still fail in this way; itself, if a replay does not fail."""
    best = replay(failed.scenario)
    if not fails_alike(best, failed):
        return failed
    left = trials

    def without(start: int, end: int) -> Game | None:
        nonlocal left
        left -= 1
        steps = best.scenario.steps
        game = replay(_with_steps(best.scenario, (*steps[:start], *steps[end:])))
        return game if fails_alike(game, failed) else None

    size = max(1, len(best.scenario.steps) // 2)
    while left > 0:
        shorter = _one_round(len(best.scenario.steps), size, without)
        if shorter is not None:
            best = shorter
        elif size == 1:
            break
        else:
            size //= 2
    return best


def fails_alike(one: Game, other: Game) -> bool:
    """By the first words, which name the law; the rest is about machines that differ each time."""
    return _way(one) == _way(other) != ""


def _way(game: Game) -> str:
    return " ".join(game.failure.split()[:2])


def _with_steps(scenario: Scenario, steps: tuple[Step, ...]) -> Scenario:
    return scenario._replace(steps=steps)


def _one_round(count: int, size: int, without: Callable[[int, int], Game | None]) -> Game | None:
    """From the end: what is shown last is what went wrong, and what came after it goes first."""
    for start in range(max(0, count - size), -size, -size):
        shorter = without(max(0, start), start + size)
        if shorter is not None:
            return shorter
    return None
