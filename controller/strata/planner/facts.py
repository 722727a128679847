"""What is known of a thing outside: it is there, it is proved absent, or nobody knows. Never a default."""

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Literal, TypeVar

from strata.resources.machine import CheckState, Machine
from strata.resources.signal import AlarmState, Point

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Known(Generic[T]):
    value: T


@dataclass(frozen=True, slots=True)
class Absent:
    """Proved not to exist: missing in `sweeps` complete sweeps since `since`, and in a read by its id."""

    since: datetime
    sweeps: int


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nothing may be decided from this. `reason` is a CamelCase word, `message` for people."""

    reason: str
    message: str = ""


NoticeKind = Literal["interruption", "rebalance"]


@dataclass(frozen=True, slots=True)
class Notice:
    """EC2 takes this spot machine back within two minutes, or recommends to replace it for it may. `since` is when this
    daemon learnt of it."""

    kind: NoticeKind
    since: datetime


@dataclass(frozen=True, slots=True)
class Observed:
    """A machine and its status checks. `checks` None: not read since this daemon leads.

    `starting_since` and `impaired_since` are when this daemon first saw the machine pending, or impaired, counted on
    the monotonic clock: neither a stepped clock nor an outage of ours can make a machine look late.
    """

    machine: Machine
    starting_since: datetime
    checks: CheckState | None = None
    impaired_since: datetime | None = None
    notice: Notice | None = None


MachineFact = Known[Observed] | Absent | Unknown


@dataclass(frozen=True, slots=True)
class Series:
    """A signal's numbers: one a period (but for those that are missing), oldest first. `members`: the newest is an
    average over so many of the layer's members, so that fewer would have more each; 0: it is no such average.
    `late_s`: how long after its time a number may come."""

    period_s: int
    points: tuple[Point, ...]
    members: int = 0
    late_s: int = 60


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm that is read for a signal, and when it was last read."""

    state: AlarmState
    read_at: datetime


SignalFact = Known[Series] | Known[Alarm] | Unknown


@dataclass(frozen=True, slots=True)
class Note:
    """Something worth an event and a log line."""

    reason: str
    message: str
    warning: bool = False
