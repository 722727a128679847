"""What was read of one number's past: as far back as the rules look, and no further.

All of it comes from the source and could be read again: a leadership that begins with nothing is told the same.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from strata.planner.facts import Unknown
from strata.planner.signals import kept_for
from strata.resources.signal import Point

_READ_AGAIN_PERIODS = 2  # a source may still correct so many


class History:
    """`points` are oldest first; each may come `late_s` late. `failure`: why the last read brought nothing; None
    where it was answered."""

    __slots__ = ("_kept_for", "failure", "late_s", "period_s", "points", "read")

    def __init__(self, period_s: int, late_s: int) -> None:
        self.period_s = period_s
        self.late_s = late_s
        self.points: list[Point] = []
        self.failure: Unknown | None = None
        self.read = False  # whether any read ended since this leadership began
        self._kept_for = timedelta(0)

    def need(self, wanted: timedelta) -> None:
        """The rules look back so far now."""
        self._kept_for = kept_for(self.period_s, self.late_s, wanted)

    def due(self, now: datetime) -> bool:
        """Whether the source may have a point that is not known yet: asking it costs money."""
        return not self.points or now >= self.points[-1].at + timedelta(seconds=self.period_s)

    def begin_at(self, now: datetime) -> datetime:
        """From when on to read: all that is needed, or only the newest where nothing before is missing."""
        begin_at = grid(now - self._kept_for, self.period_s)
        period = timedelta(seconds=self.period_s)
        if not self.points or self.points[0].at > begin_at + period or self._has_gap():
            return begin_at
        return max(begin_at, self.points[-1].at - _READ_AGAIN_PERIODS * period)

    def take(self, points: Sequence[Point], begin_at: datetime, now: datetime) -> None:
        """An answer: all that the source knows after `begin_at`."""
        oldest_at = grid(now - self._kept_for, self.period_s)  # as a leader that reads all of it anew would have it
        self.points = [point for point in self.points if oldest_at < point.at <= begin_at]
        self.points += [point for point in points if point.at > max(begin_at, oldest_at)]
        self.failure, self.read = None, True

    def fail(self, failure: Unknown) -> None:
        """No answer. What was known stays, until it is too old."""
        self.failure, self.read = failure, True

    def _has_gap(self) -> bool:
        covered = self.points[-1].at - self.points[0].at
        return len(self.points) <= covered // timedelta(seconds=self.period_s)


def grid(at: datetime, period_s: int) -> datetime:
    """The last whole period before `at`: all leaders ask for the same moments."""
    return datetime.fromtimestamp(at.timestamp() // period_s * period_s, UTC)
