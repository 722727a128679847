"""What machines cost, from a file: a head, then `type,hourly` or `type,hourly,spot` in each line."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from strata.cli.failures import CliFailure
from strata.planner.forecast.timeline import Timeline
from strata.simulate.csv_file import number, rows

_SPOT_COLUMN = 2
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of an hour, in any one currency, by (type, market)."""

    hourly: Mapping[tuple[str, str], float]

    def cost(self, timeline: Timeline) -> float:
        """What the timeline's machines cost. Raises CliFailure for a type without a price."""
        return sum(
            self._of(run.type, run.lifecycle) * (run.lasted(timeline.start, timeline.end) / _HOUR)
            for run in timeline.runs
        )

    def _of(self, type_: str, market: str) -> float:
        price = self.hourly.get((type_, market), self.hourly.get((type_, "on-demand")))
        if price is None:
            raise CliFailure(f"the price file has no price of {type_}: add a line such as {type_},0.0208")
        return price


def read_prices(path: Path) -> Prices:
    """Raises CliFailure."""
    hourly: dict[tuple[str, str], float] = {}
    for line, row in rows(path, _SPOT_COLUMN):
        hourly[row[0], "on-demand"] = number(path, line, row[1])
        if len(row) > _SPOT_COLUMN and row[_SPOT_COLUMN]:
            hourly[row[0], "spot"] = number(path, line, row[_SPOT_COLUMN])
    return Prices(hourly)
