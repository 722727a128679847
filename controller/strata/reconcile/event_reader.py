"""Reads the events of one region from its queue, and has the observer look where they point.

They shorten what polls would find out in seconds, and are trusted for nothing: duplicates, late ones and those of
others change nothing, and a queue that is dead makes everything as late as it would be without one.
"""

import asyncio
from datetime import timedelta

import structlog

from strata.clock import Clock
from strata.cloud.ec2_events import Ec2Event, read_event
from strata.cloud.event_queue import EventQueue, QueueMessage
from strata.errors import CloudError
from strata.metrics import DaemonMetrics
from strata.reconcile.observer import RegionObserver

log = structlog.get_logger(__name__)

_RETRY_BASE_S = 1.0
_RETRY_CAP_S = 60.0
_LATE = timedelta(minutes=15)  # polls have shown since what became of it, and EC2 judges anew all the time


class EventReader:
    """One a region that has a queue, and leadership."""

    def __init__(
        self,
        queue: EventQueue,
        observer: RegionObserver,
        *,
        region: str,
        name: str,
        clock: Clock,
        metrics: DaemonMetrics,
    ) -> None:
        """`name` is the region, and its endpoint if it is not AWS: what metrics and logs say."""
        self._queue = queue
        self._observer = observer
        self._region = region
        self._name = name
        self._clock = clock
        self._metrics = metrics
        self._failures = 0

    async def run(self) -> None:
        """Read for ever. What fails is reported, and tried again ever more slowly."""
        self._metrics.events_queue_up.labels(self._name)
        try:
            while True:
                await self._turn()
        finally:
            self._metrics.events_queue_up.remove(self._name)  # another daemon may read it now, and say how it is

    async def _turn(self) -> None:
        try:
            messages = await self._queue.receive()
            if messages:
                await self._heed([event for message in messages if (event := self._read(message))])
                await self._queue.delete(messages)
        except CloudError as error:
            self._note_failure(error)
            await asyncio.sleep(min(_RETRY_CAP_S, _RETRY_BASE_S * 2.0 ** min(self._failures, 10)))
        else:
            self._failures = 0
            self._metrics.events_queue_up.labels(self._name).set(1)

    def _read(self, message: QueueMessage) -> Ec2Event | None:
        event = read_event(message.body, region=self._region)
        if isinstance(event, str):
            self._count(event)
            return None
        ours = self._observer.knows(event.instance_id)
        self._count(event.kind if ours else "foreign")
        return event if ours else None

    async def _heed(self, events: list[Ec2Event]) -> None:
        """Look where the events point, but for those of long ago: a queue that nobody read for a day would have us ask
        for all of it at once. A read that fails is left to the next poll."""
        events = [event for event in events if self._clock.now() - event.at < _LATE]
        changed = {e.instance_id for e in events if e.kind == "state-change" and not self._is_known(e)}
        try:
            if changed:
                await self._observer.look_at(sorted(changed))
            if any(event.kind == "interruption" for event in events):
                await self._observer.look_for_notices()
        except CloudError as error:
            log.info("events not followed at once", region=self._name, reason=error.kind.value, error=str(error))
        for event in events:
            if event.kind == "rebalance":
                self._observer.recommend(event.instance_id)

    def _is_known(self, event: Ec2Event) -> bool:
        return self._observer.knows(event.instance_id, event.state)

    def _note_failure(self, error: CloudError) -> None:
        if self._failures == 0:
            log.warning("events not read", region=self._name, reason=error.kind.value, error=str(error))
        self._failures += 1
        self._metrics.events_queue_up.labels(self._name).set(0)

    def _count(self, kind: str) -> None:
        self._metrics.events_queue_messages.labels(self._name, kind).inc()
