"""`make soak`: plays seeds for as long as it is told to, and prints what they covered.

python -m tests.chaos [--seconds 3600] [--seed 0] [--workers 2]
"""

import argparse
import gc
import multiprocessing
import sys
import time
from itertools import count, takewhile

from tests.chaos.covered import Covered, reconcile_awaits, told
from tests.chaos.game import Game, play_seed
from tests.chaos.shrink import shrink
from tests.kit.acting import hush

_TOLD_EVERY_S = 60.0
_SHOWN = 5  # failures; each takes a while to be made short


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.chaos")
    options.add_argument("--seconds", type=float, default=3600.0)
    options.add_argument("--seed", type=int, default=0, help="the first one")
    options.add_argument("--workers", type=int, default=multiprocessing.cpu_count())
    chosen = options.parse_args()
    covered = _soak(chosen.seconds, chosen.seed, chosen.workers)
    for game in covered.failed[:_SHOWN]:
        _say(told(shrink(game)))
    _say("\n".join(covered.lines()))
    return 1 if covered.failed else 0


def _soak(seconds: float, seed: int, workers: int) -> Covered:
    covered, began_s, told_s = Covered(), _now_s(), _now_s()
    reconcile_awaits()
    # Handed out in batches while there is time: a pool would take all that `count` has at once.
    batch = 10 * workers
    firsts = takewhile(lambda _: _now_s() - began_s < seconds, count(seed, batch))
    with multiprocessing.Pool(workers, initializer=hush, maxtasksperchild=200) as pool:
        for first in firsts:
            for game, cpu_s in pool.imap_unordered(_timed, range(first, first + batch)):
                covered.add(game, cpu_s)
                if game.failure:
                    _say(f"seed {game.scenario.seed} failed: {game.failure.splitlines()[0]}")
            if _now_s() - told_s > _TOLD_EVERY_S:
                told_s = _now_s()
                _say(f"{covered.seeds} seeds, {len(covered.failed)} failed")
    return covered


def _timed(seed: int) -> tuple[Game, float]:
    gc.freeze()
    began_s = time.process_time()
    game = play_seed(seed)
    return game, time.process_time() - began_s


def _now_s() -> float:
    return time.monotonic()  # noqa: TID251 - a person waits


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - its output


if __name__ == "__main__":
    sys.exit(main())
