"""Reads, once a minute, the queries that the layers of all stacks have for Prometheus; each only once, whoever asks.

Sources are read side by side, so that a slow one delays no other; each by a few calls at a time. Keeps what was read;
decides nothing.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from functools import partial
from typing import Final

from strata.clock import Clock
from strata.errors import SignalError
from strata.planner.facts import Known, Series, SignalFact, Unknown
from strata.planner.load import history_of
from strata.planner.signals import fresh
from strata.reconcile.cloud_signals import FIRST_WITHIN_S
from strata.reconcile.history import History, grid
from strata.reconcile.objects import Objects, Stored
from strata.resources import reasons
from strata.resources.layer import Layer
from strata.resources.load import PrometheusQuery
from strata.signals.port import Prometheus, PrometheusSource

_LATE_S: Final = 60  # a query is answered with what is so now
_AT_ONCE: Final = 4  # calls to one source: a thousand layers' queries come after each other, not as a flood
_NOT_READ: Final = Unknown(reasons.NOT_READ_YET, "not read since this daemon leads")


class PrometheusSignals:
    """One a leadership. `judge` is told of the layers whose numbers were read anew."""

    def __init__(
        self,
        sources: PrometheusSource,
        objects: Objects,
        *,
        judge: Callable[[Iterable[Stored[Layer]]], None],
        every_s: float,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._sources = sources
        self._objects = objects
        self._judge = judge
        self._every_s = every_s
        self._step_s = max(1, round(every_s))
        self._clock = clock
        self._rng = rng
        self._histories: dict[PrometheusQuery, History] = {}

    def fact(self, query: PrometheusQuery) -> SignalFact:
        history = self._histories.get(query)
        if history is None or not history.read:
            return _NOT_READ
        fact = fresh(Known(Series(self._step_s, tuple(history.points), late_s=_LATE_S)), self._clock.now())
        return history.failure or fact if isinstance(fact, Unknown) else fact

    async def run(self) -> None:
        """Read for ever. A source that has not answered yet when the next minute begins is not asked again."""
        busy: set[str] = set()
        async with asyncio.TaskGroup() as cycles:
            await asyncio.sleep(self._rng.uniform(0.0, min(FIRST_WITHIN_S, self._every_s)))
            while True:
                for source, queries in self._needed().items():
                    if source not in busy:
                        busy.add(source)
                        cycles.create_task(self._read_all(source, queries)).add_done_callback(
                            partial(_done, busy, source)
                        )
                await asyncio.sleep(self._every_s)

    def _needed(self) -> dict[str, list[PrometheusQuery]]:
        """The queries by source. What nobody needs any more is forgotten."""
        spans: dict[PrometheusQuery, timedelta] = {}
        for layer in self._objects.layers():
            for query, span in _queries(layer.object):
                spans[query] = max(span, spans.get(query, span))
        self._histories = {query: self._histories.get(query) or History(self._step_s, _LATE_S) for query in spans}
        by_source: dict[str, list[PrometheusQuery]] = {}
        for query, span in spans.items():
            self._histories[query].need(span)
            by_source.setdefault(query.source, []).append(query)
        return by_source

    async def _read_all(self, source: str, queries: list[PrometheusQuery]) -> None:
        todo = deque((query, self._histories[query]) for query in queries)
        async with asyncio.TaskGroup() as readers:
            for _ in range(min(_AT_ONCE, len(queries))):
                readers.create_task(self._read_some(todo))
        self._judge(
            layer
            for layer in self._objects.layers()
            if any(query.source == source for query, _ in _queries(layer.object))
        )

    async def _read_some(self, todo: deque[tuple[PrometheusQuery, History]]) -> None:
        while todo:
            await self._read(*todo.popleft())

    async def _read(self, query: PrometheusQuery, history: History) -> None:
        now = self._clock.now()
        begin_at = history.begin_at(now)
        try:
            source: Prometheus = self._sources(query.source)
            end_at = grid(now, self._step_s)
            points = await source.query_range(query.query, start_at=begin_at, end_at=end_at, step_s=self._step_s)
        except SignalError as error:
            history.fail(Unknown(error.reason, error.message))
        else:
            history.take(points, begin_at, now)


def _done(busy: set[str], source: str, _cycle: "asyncio.Task[None]") -> None:
    busy.discard(source)


def _queries(layer: Layer) -> Iterator[tuple[PrometheusQuery, timedelta]]:
    """What a layer asks Prometheus, and how far back it looks."""
    load = layer.spec.capacity.load
    if load is not None and not layer.metadata.deleting:
        for signal in load.signals:
            if signal.prometheus is not None:
                yield signal.prometheus, history_of(load)
