"""Reads what CloudWatch knows of the load of one region's layers: CPU of their members, and alarms.

Once a minute, in as few calls as that takes: CloudWatch is paid by the metric asked for. Keeps what was read; decides
nothing and changes nothing.
"""

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final, TypeVar

from strata.clock import Clock
from strata.cloud.port import MAX_ALARM_NAMES, MAX_METRIC_QUERIES, CloudWatch, MetricQuery
from strata.errors import CloudError
from strata.planner.facts import Alarm, Known, SignalFact, Unknown
from strata.planner.load import history_of, signals_of
from strata.planner.signals import NO_MEMBERS, WARM_UP, MemberPoints, averaged, fresh
from strata.reconcile.history import History, grid
from strata.reconcile.objects import Objects, Stored
from strata.resources import reasons
from strata.resources.instance import Instance, Phase
from strata.resources.layer import Layer
from strata.resources.load import CPU_PERCENT
from strata.resources.stack import Stack

T = TypeVar("T")

FIRST_WITHIN_S: Final = 5.0  # daemons that start together do not ask together
_DETAILED_S, _BASIC_S = 60, 300
_LATE_S: Final = {_DETAILED_S: 180, _BASIC_S: 300}  # by the period: EC2's numbers take minutes to appear
_NOT_READ: Final = Unknown(reasons.NOT_READ_YET, "not read since this daemon leads")


class CloudSignals:
    """One a region and leadership. `judge` is told of the layers whose numbers were read anew."""

    def __init__(
        self,
        cloudwatch: CloudWatch,
        objects: Objects,
        *,
        stacks: Callable[[], Iterable[Stored[Stack]]],
        judge: Callable[[Iterable[Stored[Layer]]], None],
        every_s: float,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._cloudwatch = cloudwatch
        self._objects = objects
        self._stacks = stacks
        self._judge = judge
        self._every_s = every_s
        self._clock = clock
        self._rng = rng
        self._metrics: dict[MetricQuery, History] = {}
        self._alarms: dict[str, SignalFact] = {}
        self._alarm_failures: dict[str, Unknown] = {}

    # -- what passes ask -------------------------------------------------------------------------------------

    def cpu(self, layer: Layer, stack: Stack) -> SignalFact:
        """The average over the members that are online for long enough."""
        now = self._clock.now()
        found: list[tuple[datetime, History | None]] = [
            (since + WARM_UP, self._metrics.get(query)) for query, since in _queries(self._objects, layer, stack)
        ]
        found = [(counts_from, history) for counts_from, history in found if counts_from <= now]
        if not found:
            return NO_MEMBERS
        if any(history is None or not history.read for _, history in found):
            return _NOT_READ  # also if only one is missing: the average over the others may be far off
        members = [(counts_from, history) for counts_from, history in found if history is not None]
        period_s = _period_s(layer, stack)
        told = [MemberPoints(since, history.points) for since, history in members]
        average = averaged(told, period_s, _LATE_S[period_s])
        fact = fresh(average, now)
        failures = (history.failure for _, history in members if history.failure is not None)
        return next(failures, fact) if isinstance(fact, Unknown) else fact

    def alarm(self, name: str) -> SignalFact:
        fact = fresh(self._alarms.get(name, _NOT_READ), self._clock.now())
        return self._alarm_failures.get(name, fact) if isinstance(fact, Unknown) else fact

    # -- the loop --------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Read for ever. What cannot be read is said by the facts, and asked for again."""
        due_s = self._clock.monotonic_s() + self._rng.uniform(0.0, min(FIRST_WITHIN_S, self._every_s))
        while True:
            await asyncio.sleep(due_s - self._clock.monotonic_s())
            await self.gather()
            due_s = max(due_s + self._every_s, self._clock.monotonic_s())

    async def gather(self) -> None:
        """Read once all that the layers need, in calls that run side by side, and have the layers judged."""
        layers = [(layer, stack) for stack in self._stacks() for layer in self._loaded(stack.object)]
        now = self._clock.now()
        due = sorted(self._needed_metrics(layers, now), key=lambda one: one[2])
        async with asyncio.TaskGroup() as calls:
            for some in _chunks(due, MAX_METRIC_QUERIES):
                calls.create_task(self._read_metrics(some, now))
            for names in _chunks(sorted(self._needed_alarms(layers)), MAX_ALARM_NAMES):
                calls.create_task(self._read_alarms(names))
        self._judge([layer for layer, _ in layers])

    def _loaded(self, stack: Stack) -> Iterator[Stored[Layer]]:
        for layer in self._objects.layers(stack.metadata.name):
            if layer.object.spec.capacity.load is not None and not layer.object.metadata.deleting:
                yield layer

    def _needed_metrics(
        self, layers: list[tuple[Stored[Layer], Stored[Stack]]], now: datetime
    ) -> list[tuple[MetricQuery, History, datetime]]:
        """What is to be read now, and from when on. What nobody needs any more is forgotten."""
        needed: dict[MetricQuery, History] = {}
        for layer, stack in layers:
            load = layer.object.spec.capacity.load
            if load is None or CPU_PERCENT not in signals_of(load):
                continue
            for query, _ in _queries(self._objects, layer.object, stack.object):
                history = needed[query] = self._metrics.get(query) or _new_history(query)
                history.need(history_of(load))
        self._metrics = needed
        return [(query, history, history.begin_at(now)) for query, history in needed.items() if history.due(now)]

    def _needed_alarms(self, layers: list[tuple[Stored[Layer], Stored[Stack]]]) -> set[str]:
        loads = (layer.object.spec.capacity.load for layer, _ in layers)
        signals = (signal for load in loads if load is not None for signal in load.signals)
        names = {signal.cloudwatch_alarm for signal in signals if signal.cloudwatch_alarm is not None}
        self._alarms = {name: fact for name, fact in self._alarms.items() if name in names}
        self._alarm_failures = {name: fact for name, fact in self._alarm_failures.items() if name in names}
        return names

    async def _read_metrics(self, due: Sequence[tuple[MetricQuery, History, datetime]], now: datetime) -> None:
        begin_at = min(begin_at for _, _, begin_at in due)
        queries = [query for query, _, _ in due]
        try:
            answer = await self._cloudwatch.get_metric_data(queries, start_at=begin_at, end_at=grid(now, _DETAILED_S))
        except CloudError as error:
            failure = Unknown(error.kind.value, error.message)
            for _, history, _ in due:
                history.fail(failure)
            return
        for query, history, _ in due:
            points = answer.get(query)
            if points is None:
                history.fail(Unknown(reasons.NO_POINTS, "CloudWatch could not read it"))
            else:
                history.take(points, begin_at, now)

    async def _read_alarms(self, names: Sequence[str]) -> None:
        try:
            states = await self._cloudwatch.describe_alarms(names)
        except CloudError as error:
            failure = Unknown(error.kind.value, error.message)
            for name in names:
                self._alarm_failures[name] = failure
                self._alarms.setdefault(name, failure)
            return
        now = self._clock.now()
        for name in names:
            state = states.get(name)
            self._alarm_failures.pop(name, None)
            absent = Unknown(reasons.ALARM_NOT_FOUND, f"there is no alarm {name}")
            self._alarms[name] = absent if state is None else Known(Alarm(state, now))


def _new_history(query: MetricQuery) -> History:
    return History(query.period_s, _LATE_S[query.period_s])


def _queries(objects: Objects, layer: Layer, stack: Stack) -> Iterator[tuple[MetricQuery, datetime]]:
    """The CPU of each member that is online, and since when it is. Who is on its way out is given no more work, and
    whom people made by hand no rule counts."""
    period_s = _period_s(layer, stack)
    for stored in objects.members(layer.metadata.namespace, layer.metadata.name):
        if (member := _online(stored.object)) is not None:
            instance_id, since = member
            yield MetricQuery("AWS/EC2", "CPUUtilization", (("InstanceId", instance_id),), period_s), since


def _online(instance: Instance) -> tuple[str, datetime] | None:
    status = instance.status
    if status.phase != Phase.ONLINE or status.ec2 is None or status.online_since is None:
        return None
    counts = instance.spec.availability == "layer" and status.leave is None and not instance.metadata.deleting
    return (status.ec2.instance_id, status.online_since) if counts else None


def _period_s(layer: Layer, stack: Stack) -> int:
    said = layer.spec.instance.detailed_monitoring
    return _DETAILED_S if (stack.spec.instance.detailed_monitoring if said is None else said) else _BASIC_S


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    yield from (items[start : start + size] for start in range(0, len(items), size))
