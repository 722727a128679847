"""Killed at any point of a launch, a heal, a scale-in, a delete: the laws hold, and another process ends the work."""

import logging
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import structlog
from tests.kit.awaits import awaits_of
from tests.kit.crash import Story, Swept, sweep
from tests.kit.load_stories import LOAD_STORIES
from tests.kit.rare_stories import RARE_STORIES
from tests.kit.rollout_stories import ROLLOUT_STORIES
from tests.kit.spot_stories import SPOT_STORIES
from tests.kit.stories import STORIES

import strata.reconcile
import strata.store.repository

ALL = (*STORIES, *RARE_STORIES, *ROLLOUT_STORIES, *LOAD_STORIES, *SPOT_STORIES)
# Read before anything runs: what is hit is told by its place in the code as it was loaded.
_AWAITS = awaits_of([*Path(strata.reconcile.__path__[0]).glob("*.py"), Path(strata.store.repository.__file__)])
THOROUGH = "STRATA_EXAMPLES" in os.environ
_NEVER_HIT: frozenset[tuple[str, str]] = frozenset()  # (file, expression), with the reason why no story can
Record = Callable[[str, object], None]

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@cache
def _swept(story: Story) -> Swept:
    return sweep(story, thorough=THOROUGH)


@pytest.mark.parametrize("story", ALL, ids=lambda story: story.name)
def test_a_crash_at_any_point_breaks_no_law_and_stops_nothing(story: Story, record_property: Record) -> None:
    swept = _swept(story)
    record_property("crash coverage", f"{story.name}: killed at {swept.cuts} of {swept.points} points")
    assert swept.cuts > 0
    assert not swept.failures, f"{len(swept.failures)} of {swept.cuts} crashes:\n" + "\n".join(swept.failures[:10])


def test_a_crash_came_at_every_await(record_property: Record) -> None:
    hit = set().union(*(_swept(story).awaits for story in ALL)) & _AWAITS.keys()
    missed = sorted(_AWAITS.keys() - hit)
    lines = [f"{len(hit)} of {len(_AWAITS)} await expressions of reconcile/ and the repository were hit"]
    lines += [f"never hit: {Path(place.file).name}:{place.line}: {_AWAITS[place]}" for place in missed]
    record_property("crash coverage", "\n".join(lines))
    unexplained = {(Path(place.file).name, _AWAITS[place]) for place in missed} - _NEVER_HIT
    assert not unexplained, f"no story stands at these when it is cut: {sorted(unexplained)}"
