"""What a test or a person may turn in a region: delays, lag, capacity, limits, and how the next boots go."""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import msgspec

Market = Literal["on-demand", "spot"]
Fate = Literal["terminated", "impaired", "stuck"]


class Delays(msgspec.Struct, forbid_unknown_fields=True):
    """How long each state lasts. A change counts for transitions that begin afterwards."""

    pending_s: float = 1.0
    status_ok_s: float = 2.0  # from running to passed status checks
    stopping_s: float = 1.0
    shutting_down_s: float = 1.0
    terminated_visible_s: float = 3600.0


class Lag(msgspec.Struct, forbid_unknown_fields=True):
    """Describe tells what was true `seconds` ago. With `uneven` each call and instance has a lag of its own,
    between none and all of it, so that what one call shows the next may hide again."""

    seconds: float = 0.0
    uneven: bool = False


class Limits(msgspec.Struct, forbid_unknown_fields=True):
    """The account's limits of pending and running machines; None: no limit."""

    instances: int | None = None
    vcpus: int | None = None


class Pool(NamedTuple):
    type: str
    zone: str
    market: Market


@dataclass(slots=True)
class Capacity:
    """How many machines more each pool gives; a pool that is not named gives any number. What a stopped or ended
    machine frees goes to other customers."""

    left: dict[Pool, int] = field(default_factory=dict)

    def set(self, pool: Pool, count: int | None) -> None:
        if count is None:
            self.left.pop(pool, None)
        else:
            self.left[pool] = count

    def room(self, pool: Pool, wanted: int) -> int:
        return min(wanted, self.left.get(pool, wanted))

    def use(self, pool: Pool, count: int) -> None:
        if pool in self.left:
            self.left[pool] -= count


@dataclass(slots=True)
class Boots:
    """How the next launches go wrong, oldest order first. `terminated`: EC2 gives up (pending -> terminated);
    `impaired`: status checks never pass; `stuck`: pending for ever."""

    fates: list[Fate] = field(default_factory=list)

    def next(self) -> Fate | None:
        return self.fates.pop(0) if self.fates else None


class Events(msgspec.Struct, forbid_unknown_fields=True):
    """How EventBridge delivers to the queue: so late, and so many times (0: not at all)."""

    delay_s: float = 0.3
    copies: int = 1


@dataclass(slots=True)
class Knobs:
    delays: Delays = field(default_factory=Delays)
    lag: Lag = field(default_factory=Lag)
    limits: Limits = field(default_factory=Limits)
    capacity: Capacity = field(default_factory=Capacity)
    boots: Boots = field(default_factory=Boots)
    events: Events = field(default_factory=Events)
