"""The recent changes of the store, bounded, each encoded once a form, for any number of readers.

A reader is only a number: the sequence of the next event it wants. Nothing here waits or does I/O.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from strata.clock import Clock
from strata.server.formats import Format, encode_object
from strata.server.resource import Document, Resource
from strata.store.port import KeyEvent, KeyValue

EVENTS_LIMIT = 20_000
SIZE_LIMIT_BYTES = 32 * 1024 * 1024
# What is kept of an event beside its values: keys, bookkeeping.
_OVERHEAD_BYTES = 512


@dataclass(slots=True)
class RingEvent:
    """A change. What is encoded or rendered for one reader is kept for the next."""

    key: str
    kv: KeyValue | None
    previous: KeyValue | None
    revision: int
    _encoded: dict[tuple[str, Format, bool], bytes] = field(default_factory=dict)
    _facts: dict[tuple[str, bool], Document | None] = field(default_factory=dict)

    @property
    def added(self) -> bool:
        return self.kv is not None and self.kv.create_revision == self.kv.mod_revision

    @property
    def size_bytes(self) -> int:
        """About what the event may come to hold: its values, and each of them encoded once."""
        values = (kv.value for kv in (self.kv, self.previous) if kv)
        return _OVERHEAD_BYTES + 2 * sum(len(value) for value in values)

    def encoded(self, resource: Resource, form: Format, clock: Clock, *, before: bool) -> bytes:
        """The object as it is now, or as it was `before`, at this event's revision."""
        key = (resource.api_version, form, before)
        if key not in self._encoded:
            self._encoded[key] = encode_object(resource, self._document(resource, before=before), form, clock.now())
        return self._encoded[key]

    def facts(self, resource: Resource, *, before: bool) -> Mapping[str, Any] | None:
        """What selectors look at, now or `before`; None where there was no object or nobody knows it."""
        key = (resource.api_version, before)
        if key not in self._facts:
            known = self.previous if before else self.kv
            self._facts[key] = _selectable(resource, resource.render(known, self.revision)) if known else None
        return self._facts[key]

    def _document(self, resource: Resource, *, before: bool) -> Document:
        known = (self.previous or self.kv) if before else self.kv
        if known is None:
            return resource.placeholder(self.key, self.revision)
        return resource.render(known, self.revision)


def _selectable(resource: Resource, document: Document) -> Document:
    # Only what can be selected by: whole objects in twenty thousand events would not be small.
    metadata = document["metadata"]
    kept: Document = {"metadata": {name: metadata.get(name) for name in ("name", "namespace", "labels")}}
    for path in resource.selectable:
        first, *_ = path.split(".")
        if first != "metadata":
            kept[first] = document.get(first)
    return kept


class Ring:
    """Events in order of revision. Those up to `floor` may be missing; those after it are all here."""

    def __init__(self) -> None:
        self.floor = 0
        self._events: list[RingEvent] = []
        self._head = 0  # where in the list the oldest kept event is
        self._offset = 0  # the sequence of the list's first element
        self._size_bytes = 0

    @property
    def end(self) -> int:
        """The sequence that the next event will get."""
        return self._offset + len(self._events)

    def reset(self, floor: int) -> None:
        """Forget all. Whoever read from here has missed something: the sequence skips one, so that it shows."""
        self._offset = self.end + 1
        self._events, self._head, self._size_bytes = [], 0, 0
        self.floor = floor

    def append(self, event: KeyEvent) -> None:
        kept = RingEvent(event.key, event.kv, event.previous, event.mod_revision)
        self._events.append(kept)
        self._size_bytes += kept.size_bytes
        while self._size_bytes > SIZE_LIMIT_BYTES or len(self._events) - self._head > EVENTS_LIMIT:
            self._evict()

    def position(self, revision: int) -> int | None:
        """The sequence of the first event after `revision`; None if events after it may be missing."""
        if revision < self.floor:
            return None
        index = bisect_right(self._events, revision, lo=self._head, key=lambda event: event.revision)
        return self._offset + index

    def read(self, sequence: int, limit: int) -> list[RingEvent] | None:
        """Up to `limit` events from `sequence` on; None if the reader fell behind."""
        index = sequence - self._offset
        if index < self._head:
            return None
        return self._events[index : index + limit]

    def _evict(self) -> None:
        oldest = self._events[self._head]
        self.floor = oldest.revision
        self._size_bytes -= oldest.size_bytes
        self._head += 1
        if self._head > len(self._events) // 2:
            del self._events[: self._head]
            self._offset += self._head
            self._head = 0
