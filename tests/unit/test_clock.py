"""The clock that people set: one for all processes that share its file, and only forward."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from strata.clock import ShiftedClock, SystemClock

_ADVANCE = """
import sys
from datetime import timedelta
from pathlib import Path
from strata.clock import ShiftedClock
ShiftedClock(Path(sys.argv[1])).advance(timedelta(hours=3))
"""


def ahead(clock: ShiftedClock) -> float:
    return (clock.now() - SystemClock().now()).total_seconds()


def test_a_new_one_is_as_the_systems(tmp_path: Path) -> None:
    assert abs(ahead(ShiftedClock(tmp_path / "clock"))) < 1


def test_another_process_sees_it_set_at_once_and_monotonic_time_does_not(tmp_path: Path) -> None:
    clock = ShiftedClock(tmp_path / "clock")
    before_s = clock.monotonic_s()
    subprocess.run([sys.executable, "-c", _ADVANCE, str(tmp_path / "clock")], check=True, timeout=60)
    assert abs(ahead(clock) - 3 * 3600) < 1
    assert clock.monotonic_s() - before_s < 60


def test_it_stays_set_for_those_who_come_later_and_steps_add_up(tmp_path: Path) -> None:
    ShiftedClock(tmp_path / "clock").advance(timedelta(days=400))
    later = ShiftedClock(tmp_path / "clock")
    later.advance(timedelta(seconds=5))
    assert abs(ahead(ShiftedClock(tmp_path / "clock")) - 400 * 86_400 - 5) < 1


def test_it_is_never_set_back(tmp_path: Path) -> None:
    clock = ShiftedClock(tmp_path / "clock")
    with pytest.raises(ValueError, match="only set forward"):
        clock.advance(timedelta(seconds=-1))
    assert abs(ahead(clock)) < 1
