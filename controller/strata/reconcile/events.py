"""Events: what happened and why, for people. Deduplicated, rate-limited, gone after a day; never a reason to fail."""

import asyncio
import hashlib
from collections import OrderedDict

import msgspec
import structlog

from strata.clock import Clock
from strata.errors import StoreError
from strata.metrics import DaemonMetrics
from strata.planner.facts import Note
from strata.resources.codec import encode
from strata.resources.event import Event, ObjectReference
from strata.resources.kinds import EVENTS, ObjectKey
from strata.resources.meta import API_VERSION, ObjectMeta
from strata.store.port import Store

log = structlog.get_logger(__name__)

TTL_S = 24 * 3600
_REMEMBERED = 4096
_QUEUED = 10_000
_REWRITE_AFTER_S = 30.0  # a repeated event is counted at once, and written again at most so often


class EventRecorder:
    """Takes notes at once, and writes them in its own time."""

    def __init__(self, store: Store, clock: Clock, metrics: DaemonMetrics, *, component: str) -> None:
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._component = component
        self._queue: asyncio.Queue[str] = asyncio.Queue(_QUEUED)
        self._known: OrderedDict[str, Event] = OrderedDict()
        self._written_s: dict[str, float] = {}

    def record(self, key: ObjectKey, uid: str, note: Note) -> None:
        """Note it, count it, log it: one line a decision. What does not fit the queue is only logged."""
        level = log.warning if note.warning else log.info
        level("decision", object=str(key), reason=note.reason, message=note.message)
        event = self._merge(key, uid, note)
        name = event.metadata.name
        self._metrics.events_written.labels(type=event.type, reason=event.reason).inc()
        now_s = self._clock.monotonic_s()
        if now_s - self._written_s.get(name, -_REWRITE_AFTER_S) < _REWRITE_AFTER_S or self._queue.full():
            return
        self._written_s[name] = now_s
        self._queue.put_nowait(f"{event.metadata.namespace}/{name}")

    async def run(self) -> None:
        while True:
            path = await self._queue.get()
            event = self._known.get(path)
            if event is None:
                continue
            try:
                await self._store.put_expiring(f"{EVENTS}{path}", encode(event), TTL_S)
            except StoreError as error:
                log.warning("event not written", event_name=path, error=str(error))

    def _merge(self, key: ObjectKey, uid: str, note: Note) -> Event:
        """The event, new or counted up. Its name is made of what makes two events the same."""
        namespace = key.namespace or key.name
        same = hashlib.blake2b(f"{uid}|{note.reason}|{note.message}".encode(), digest_size=6).hexdigest()
        path = f"{namespace}/{key.name}.{same}"
        now = self._clock.now().replace(microsecond=0)
        known = self._known.pop(path, None)
        if known is None:
            event = self._new(key, uid, note, f"{key.name}.{same}")
        else:
            event = msgspec.structs.replace(known, count=known.count + 1, last_timestamp=now)
        self._known[path] = event
        while len(self._known) > _REMEMBERED:
            forgotten, _ = self._known.popitem(last=False)
            self._written_s.pop(forgotten.rpartition("/")[2], None)
        return event

    def _new(self, key: ObjectKey, uid: str, note: Note, name: str) -> Event:
        now = self._clock.now().replace(microsecond=0)
        return Event(
            api_version="v1",
            kind="Event",
            metadata=ObjectMeta(name=name, namespace=key.namespace or key.name, creation_timestamp=now),
            involved_object=ObjectReference(
                api_version=API_VERSION, kind=key.kind.kind, name=key.name, namespace=key.namespace, uid=uid
            ),
            type="Warning" if note.warning else "Normal",
            reason=note.reason,
            message=note.message,
            count=1,
            first_timestamp=now,
            last_timestamp=now,
            reporting_component=self._component,
        )
