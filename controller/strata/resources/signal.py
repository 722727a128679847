"""What sources of signals say, as the collector, the planner and the simulator see it."""

from datetime import datetime
from typing import Literal, NamedTuple

AlarmValue = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]


class Point(NamedTuple):
    """One number. `at` (aware, UTC) is the end of the period that it covers, whatever its source calls it."""

    at: datetime
    value: float


class AlarmState(NamedTuple):
    """A CloudWatch alarm's state, and since when it is in it."""

    value: AlarmValue
    since: datetime
