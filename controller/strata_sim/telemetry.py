"""What a region's machines would tell: the CPU of each, by its layer's load, and the states of alarms.

Stepped by the region as wall time passes, also where a person set it forward: then every machine was as it was at
the jump, so that the hours that were skipped have their points too. A machine has points for what it ran through.
"""

import zlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from strata.resources import tags
from strata.resources.signal import AlarmValue
from strata_sim.index import Index
from strata_sim.load import KEPT_S, MINUTE_S, TICK_S, LayerKey, LayerLoad, Load
from strata_sim.machines import Instance

BASIC_S = 300  # what EC2 publishes without detailed monitoring
_IDLE_PERCENT = 2.0  # of a machine whose layer has no load
_NOISE = 0.03  # a machine is so much (a share) over or under its layer's load
_RUNS_KEPT = 50


class Alarm(NamedTuple):
    value: AlarmValue
    since: datetime
    composite: bool = False


class Run(NamedTuple):
    """A machine ran from then, until then; None: it still does."""

    from_s: float
    until_s: float | None = None


class Telemetry:
    """One region's. Times are Unix seconds of the world's wall clock."""

    def __init__(self) -> None:
        self.loads: dict[LayerKey, LayerLoad] = {}
        self.alarms: dict[str, Alarm] = {}
        self._runs: dict[str, list[Run]] = {}
        self._stepped_s = 0

    def set_load(self, key: LayerKey, load: Load | None, now_s: float) -> None:
        """From now on; what waits in the layer's queue, and what was measured, stays. None: no load any more."""
        if load is None:
            self.loads.pop(key, None)
            return
        if not self.loads:
            self._stepped_s = _tick_before(now_s)
        if key in self.loads:
            self.loads[key].load, self.loads[key].since_s = load, now_s
        else:
            self.loads[key] = LayerLoad(load, now_s)

    def advance(self, index: Index, by_seq: Mapping[int, Instance], now_s: float) -> None:
        """Step all loads until now, with the machines as they are."""
        if not self.loads or now_s < self._stepped_s + TICK_S:
            return
        counts = {key: _counts(index, by_seq, key) for key in self.loads}
        first_s = max(self._stepped_s + TICK_S, _tick_before(now_s - KEPT_S))
        for at_s in range(first_s, _tick_before(now_s) + 1, TICK_S):
            for key, load in self.loads.items():
                load.step(at_s, *counts[key])
        self._stepped_s = _tick_before(now_s)

    def note_run(self, instance_id: str, at_s: float, *, running: bool) -> None:
        """A machine began to run, or ceased to."""
        runs = self._runs.setdefault(instance_id, [])
        if running:
            runs.append(Run(at_s))
            del runs[:-_RUNS_KEPT]
        elif runs:
            runs[-1] = Run(runs[-1].from_s, at_s)

    def forget(self, instance_id: str) -> None:
        self._runs.pop(instance_id, None)

    def cpu(self, instance: Instance, from_s: float, until_s: float, now_s: float) -> Iterator[tuple[int, float]]:
        """What EC2 published of a machine's CPU for periods that begin in [from, until), oldest first: (beginning,
        percent)."""
        step_s = MINUTE_S if instance.birth.monitoring else BASIC_S
        first_s = int(-(-max(from_s, now_s - KEPT_S) // step_s)) * step_s
        for began_s in range(first_s, int(min(until_s, now_s - step_s)) + 1, step_s):
            if began_s < until_s and self._ran(instance.id, began_s, began_s + step_s):
                minutes = range(began_s, began_s + step_s, MINUTE_S)
                yield began_s, sum(self._minute(instance, minute) for minute in minutes) / len(minutes)

    def _ran(self, instance_id: str, from_s: float, until_s: float) -> bool:
        runs = self._runs.get(instance_id, ())
        return any(run.from_s <= from_s and (run.until_s is None or run.until_s >= until_s) for run in runs)

    def _minute(self, instance: Instance, began_s: int) -> float:
        load = self.loads.get(layer_of(instance))
        percent = load.minutes.get(began_s, _IDLE_PERCENT) if load else _IDLE_PERCENT
        # Not `random`: the same machine and minute have the same noise for whoever asks, however often.
        noise = zlib.crc32(f"{instance.id} {began_s}".encode()) / 2**31 - 1
        return min(100.0, percent * (1 + _NOISE * noise))


def layer_of(instance: Instance) -> LayerKey:
    present = instance.view.tags
    return LayerKey(present.get(tags.STACK, ""), present.get(tags.LAYER, ""))


def _counts(index: Index, by_seq: Mapping[int, Instance], key: LayerKey) -> tuple[int, int]:
    """How many machines of a layer run, and how many of these passed their checks."""
    members = [by_seq[seq] for seq in index.members(f"tag:{tags.LAYER}", key.layer)]
    running = [one.view for one in members if one.view.state == "running" and layer_of(one) == key]
    return len(running), sum(1 for view in running if set(view.checks) <= {"ok", "not-applicable"})


def _tick_before(at_s: float) -> int:
    return int(at_s // TICK_S) * TICK_S
