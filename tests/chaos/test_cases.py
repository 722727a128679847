"""Schedules that once broke a law, as short as they could be made, are played again and again."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
import yaml
from tests.chaos.game import replay
from tests.kit.acting import hush
from tests.kit.scenario import Scenario

_FOUND: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "cases" / "found.yaml").read_text())


@pytest.fixture(autouse=True, scope="module")
def _quiet() -> Iterator[None]:
    hush()
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize("case", _FOUND, ids=lambda case: case["was"][:60])
def test_what_was_found_once_stays_mended(case: dict[str, Any]) -> None:
    game = replay(Scenario.from_text(json.dumps(case["scenario"])))
    assert not game.failure
