"""Many small worlds, each through at least 20 faults and 30 scale, heal, rollout and delete transitions.

STRATA_CHAOS_SEEDS says how many; CI's time is bounded, `make soak` goes on for as long as it is told to.
"""

import os
from collections.abc import Callable, Iterator

import pytest
import structlog
from tests.chaos.covered import Covered, told
from tests.chaos.game import FAULTS, TRANSITIONS, play_seed
from tests.chaos.shrink import shrink
from tests.kit.acting import hush

SEEDS = int(os.environ.get("STRATA_CHAOS_SEEDS", "900"))
_EACH = 20  # seeds a test

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(autouse=True, scope="module")
def _quiet() -> Iterator[None]:
    hush()
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize("first", range(0, SEEDS, _EACH))
def test_no_seed_breaks_a_law(first: int, record_property: Callable[[str, object], None]) -> None:
    covered = Covered()
    for seed in range(first, min(first + _EACH, SEEDS)):
        covered.add(play_seed(seed), 0.0)
    record_property("chaos", "\n".join(covered.lines()))
    failures = [told(shrink(game)) for game in covered.failed[:1]]
    assert not failures, "\n".join([*failures, *(f"seed {game.scenario.seed}" for game in covered.failed)])
    assert covered.faults.total() >= FAULTS * covered.seeds
    assert covered.transitions.total() >= TRANSITIONS * covered.seeds
