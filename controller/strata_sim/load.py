"""The load of a layer: how much work people let come, and what its machines make of it.

A load is told in percent of one machine: 450 keeps four and a half machines busy. What the machines cannot do waits
in a queue: a machine does one job a second, so 150 more than there are machines for is a queue that grows by 1.5 a
second. Pure.
"""

import math
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

BUSY = 100.0  # percent of a machine
TICK_S = 10  # how finely load and queue are stepped and kept
MINUTE_S = 60
KEPT_S = 6 * 3600  # how far back anybody can look


class LayerKey(NamedTuple):
    """A layer by its tags."""

    stack: str
    layer: str


class Load(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A level, or a sine wave around it that begins at its mean and rises."""

    mean: float
    amplitude: float = 0.0
    period_s: float = 3600.0

    def total(self, age_s: float) -> float:
        """Percent of a machine, `age_s` after it was set; never negative."""
        return max(0.0, self.mean + self.amplitude * math.sin(2 * math.pi * age_s / self.period_s))


class Tick(NamedTuple):
    """What was so at a time (Unix seconds)."""

    at_s: int
    total: float
    running: int
    queue: float

    @property
    def cpu_percent(self) -> float:
        """Of each running machine."""
        return min(BUSY, self.total / self.running) if self.running else 0.0


@dataclass(slots=True)
class LayerLoad:
    """One layer's load, its queue, and what they were of late."""

    load: Load
    since_s: float
    queue: float = 0.0
    ticks: deque[Tick] = field(default_factory=lambda: deque(maxlen=KEPT_S // TICK_S))
    minutes: dict[int, float] = field(default_factory=dict)  # CPU percent by the minute's beginning

    def step(self, at_s: int, running: int, online: int) -> None:
        """Let one tick pass that ends now, with so many machines."""
        total = self.load.total(at_s - self.since_s)
        self.queue = max(0.0, self.queue + (total / BUSY - online) * TICK_S)
        self.ticks.append(Tick(at_s, total, running, self.queue))
        if at_s % MINUTE_S == 0:
            self._keep_minute(at_s)

    def _keep_minute(self, ended_s: int) -> None:
        began_s = ended_s - MINUTE_S
        last = [self.ticks[-n] for n in range(1, min(len(self.ticks), MINUTE_S // TICK_S) + 1)]
        shares = [tick.cpu_percent for tick in last if tick.at_s > began_s]
        self.minutes[began_s] = sum(shares) / len(shares)
        while len(self.minutes) > KEPT_S // MINUTE_S:
            del self.minutes[next(iter(self.minutes))]

    def tick_at(self, at_s: float) -> Tick | None:
        """The newest tick that is not after this; None before the first."""
        newest = self.ticks[-1].at_s if self.ticks else 0
        back = max(0, math.ceil((newest - at_s) / TICK_S)) + 1
        return self.ticks[-back] if back <= len(self.ticks) else None
