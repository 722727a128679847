"""One HTTP watch: newline JSON from the hub, until the client goes, its time is up, or it fell too far behind."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from strata.clock import Clock
from strata.errors import StoreError
from strata.server.failures import Refusal, expired, from_store_error
from strata.server.formats import Format, encode, encode_bookmark, encode_object
from strata.server.hub import Hub
from strata.server.resource import Resource
from strata.server.ring import RingEvent
from strata.server.selectors import Selection
from strata.store.port import KeyValue, Store

_BOOKMARK_S = 10.0
_GOODBYE_S = 2.0
_EVENTS_A_CHUNK = 256
_CHUNK_BYTES = 128 * 1024
_DEFAULT_TIMEOUT_S = 1800.0
_SPREAD_S = 1800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchRequest:
    """What is watched. `revision` None: begin with everything that is there, as ADDED."""

    resource: Resource
    namespace: str
    selection: Selection
    form: Format
    revision: int | None
    bookmarks: bool
    timeout_s: float


def spread_timeout_s(number: int) -> float:
    """How long the n-th watch without a timeout of its own lives: 30 to 60 minutes, so that not all come back at
    once. Steps of the golden ratio spread any number of them evenly."""
    return _DEFAULT_TIMEOUT_S + (number * 0.618_033_988_75 % 1.0) * _SPREAD_S


class WatchResponse:
    """The answer to a watch, as an ASGI application."""

    def __init__(self, request: WatchRequest, *, hub: Hub, store: Store, clock: Clock) -> None:
        self._request = request
        self._hub = hub
        self._store = store
        self._clock = clock
        self._form = request.form
        self._prefix = request.resource.prefix_of(request.namespace)

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Stream. Raises Refusal, before anything is sent, when the store is away or too many watch already."""
        await self._hub.started()
        with self._hub.admit():
            headers = [(b"content-type", self._request.form.content_type.encode()), (b"cache-control", b"no-store")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            # Clients wait for the headers before they believe that the watch stands.
            await send({"type": "http.response.body", "body": b"", "more_body": True})
            await self._until_gone(receive, send)

    async def _until_gone(self, receive: Receive, send: Send) -> None:
        async with asyncio.TaskGroup() as tasks:
            pump = tasks.create_task(self._pump(send))
            gone = tasks.create_task(_disconnected(receive))
            await asyncio.wait((pump, gone), return_when=asyncio.FIRST_COMPLETED)
            pump.cancel()
            gone.cancel()

    async def _pump(self, send: Send) -> None:
        # The limit covers `send` too: a client that reads nothing is let go as well.
        with suppress(TimeoutError):
            async with asyncio.timeout(self._request.timeout_s), aclosing(self._chunks()) as chunks:
                async for chunk in chunks:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
        with suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE_S):
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _chunks(self) -> AsyncGenerator[bytes]:
        try:
            async with aclosing(self._lines()) as lines:
                async for chunk in lines:
                    yield chunk
        except Refusal as refusal:
            yield _line(b"ERROR", encode(refusal.status()))
        except StoreError as error:
            yield _line(b"ERROR", encode(from_store_error(error).status()))

    async def _lines(self) -> AsyncGenerator[bytes]:
        revision = self._request.revision
        if revision is None:
            listing = await self._store.list(self._prefix)
            revision = listing.revision
            for chunk in self._present(listing.items):
                yield chunk
        await self._check_not_ahead(revision)
        async with aclosing(self._follow(revision)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _follow(self, revision: int) -> AsyncGenerator[bytes]:
        position = self._hub.position(revision)
        bookmark_at_s = _now_s() + _BOOKMARK_S
        while not self._hub.closed:
            events = None if position is None else self._hub.read(position, _EVENTS_A_CHUNK)
            if events is None or position is None:
                raise expired(f"too old resource version: {revision}; list again")
            position += len(events)
            for chunk in self._changes(events, revision):
                yield chunk
            if self._hub.caught_up(position):
                # Also where other kinds' events keep coming: without bookmarks a quiet watch would fall behind.
                if self._request.bookmarks and _now_s() >= bookmark_at_s:
                    yield _line(b"BOOKMARK", self._bookmark(max(revision, self._hub.revision)))
                    bookmark_at_s = _now_s() + _BOOKMARK_S
                await self._news(position, bookmark_at_s - _now_s())

    async def _check_not_ahead(self, revision: int) -> None:
        # The hub may be a moment behind a list; only a store that went back is behind for good.
        if revision > self._hub.revision:
            current = (await self._store.page(self._prefix, limit=1)).revision
            if revision > current:
                raise expired(f"resource version {revision} is newer than the store, which is at {current}; list again")

    async def _news(self, position: int, wait_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s if self._request.bookmarks else None):
                await self._hub.news(position)

    def _present(self, items: tuple[KeyValue, ...]) -> "list[bytes]":
        lines = []
        for kv in items:
            document = self._request.resource.render(kv)
            if self._request.selection.matches(document):
                encoded = encode_object(self._request.resource, document, self._next_form(), self._clock.now())
                lines.append(_line(b"ADDED", encoded))
        return _chunked(lines)

    def _changes(self, events: list[RingEvent], after_revision: int) -> "list[bytes]":
        lines = []
        for event in events:
            if event.revision > after_revision and event.key.startswith(self._prefix):
                line = self._change(event)
                if line:
                    lines.append(line)
        return _chunked(lines)

    def _change(self, event: RingEvent) -> bytes:
        """The line for this event, or nothing if the selection is not touched by it."""
        kind = self._kind_of(event)
        if not kind:
            return b""
        before = kind == b"DELETED"
        return _line(kind, event.encoded(self._request.resource, self._next_form(), self._clock, before=before))

    def _kind_of(self, event: RingEvent) -> bytes:
        if self._request.selection.everything:
            return b"DELETED" if event.kv is None else b"ADDED" if event.added else b"MODIFIED"
        is_in = self._selected(event, before=False)
        # Where nobody knows what was before, the watcher may know the object: then it is told.
        was_in = not event.added and self._selected(event, before=True)
        if is_in:
            return b"MODIFIED" if was_in else b"ADDED"
        return b"DELETED" if was_in else b""

    def _selected(self, event: RingEvent, *, before: bool) -> bool:
        facts = event.facts(self._request.resource, before=before)
        if facts is None:
            return before
        return self._request.selection.matches(facts)

    def _bookmark(self, revision: int) -> bytes:
        return encode_bookmark(self._request.resource, revision, self._next_form())

    def _next_form(self) -> Format:
        form, self._form = self._form, self._form.without_columns()
        return form


def _line(kind: bytes, encoded: bytes) -> bytes:
    return b'{"type":"%b","object":%b}\n' % (kind, encoded)


def _chunked(lines: list[bytes]) -> list[bytes]:
    """The lines joined into few chunks, none of them much larger than the limit."""
    chunks: list[bytes] = []
    waiting: list[bytes] = []
    size_bytes = 0
    for line in lines:
        waiting.append(line)
        size_bytes += len(line)
        if size_bytes >= _CHUNK_BYTES:
            chunks.append(b"".join(waiting))
            waiting, size_bytes = [], 0
    return [*chunks, b"".join(waiting)] if waiting else chunks


def _now_s() -> float:
    return asyncio.get_running_loop().time()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
