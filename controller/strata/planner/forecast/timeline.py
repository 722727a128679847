"""What a forecast tells: what is done when and why, how many machines there are, and for how long each runs."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from strata.resources.layer import LayerStatus

Verb = Literal["make", "start", "take back", "drain", "stop", "end", "replace"]


@dataclass(frozen=True, slots=True)
class Step:
    """Something that is done to some slots of a layer at one moment. `reason` is a CamelCase word, `why` a sentence."""

    at: datetime
    verb: Verb
    instances: tuple[str, ...]
    reason: str
    why: str


class Moment(NamedTuple):
    """The numbers from `at` on: `running` machines are paid for, `online` ones work, `warm` ones are stopped."""

    at: datetime
    desired: int
    running: int
    online: int
    leaving: int
    warm: int


class Decision(NamedTuple):
    """What the load decided: how many instances more or fewer, and the sentence that justifies it."""

    at: datetime
    change: int
    message: str


@dataclass(slots=True)
class MachineRun:
    """One time that a machine ran, and was paid for. `ended_at` None: it still does."""

    name: str
    type: str
    lifecycle: str
    began_at: datetime
    ended_at: datetime | None = None

    def lasted(self, start: datetime, end: datetime) -> timedelta:
        """How long of the time from `start` to `end` it ran."""
        return max(timedelta(), min(self.ended_at or end, end) - max(self.began_at, start))


@dataclass(slots=True)
class Timeline:
    """A layer's future from `start` to `end`, in order of time. `first` is its status once all was done that is to be
    done at once. `passes` counts the real planner's plans."""

    start: datetime
    end: datetime
    first: LayerStatus
    steps: list[Step] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    runs: list[MachineRun] = field(default_factory=list)
    passes: int = 0

    def running_for(self, lifecycle: str = "", type_: str = "") -> timedelta:
        """Machine time in all, or of machines of this market and type."""
        chosen = (run for run in self.runs if lifecycle in ("", run.lifecycle) and type_ in ("", run.type))
        return sum((run.lasted(self.start, self.end) for run in chosen), timedelta())
