"""Lists: all of a collection at one revision, or page after page of it."""

import asyncio
import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from strata.clock import Clock
from strata.server.failures import bad_request
from strata.server.formats import Format, encode_item, encode_list
from strata.server.resource import Document, Resource
from strata.server.selectors import Selection
from strata.store.port import KeyValue, Store

# A larger `limit` is lowered to this: who sends one follows `continue`.
PAGE_LIMIT = 1_000
# So many objects are rendered (some 40 microseconds each) before other requests get their turn.
_TURN = 100


class _Token(msgspec.Struct, frozen=True):
    """Where a list goes on, and at which revision."""

    revision: int
    start_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRequest:
    """What is listed. `limit` 0: all of it. `revision` 0: as it is now."""

    resource: Resource
    namespace: str
    selection: Selection
    form: Format
    limit: int = 0
    token: str = ""
    revision: int = 0

    @property
    def prefix(self) -> str:
        return self.resource.prefix_of(self.namespace)

    @property
    def only_key(self) -> str | None:
        """The one key that can be meant, if the selection and the namespace say so."""
        name = self.selection.only("metadata.name")
        known = self.namespace or not self.resource.namespaced
        return self.resource.key(self.namespace, name) if name and known else None


@dataclass(frozen=True, slots=True)
class _Found:
    items: list[bytes]
    revision: int
    next_key: str | None = None
    remaining_count: int = 0


async def list_collection(request: ListRequest, *, store: Store, clock: Clock) -> bytes:
    """The encoded list. Raises Refusal 400 for a bad token; Compacted for one that is too old."""
    found = await _find(request, store, clock)
    metadata: Document = {"resourceVersion": str(found.revision)}
    if found.next_key is not None:
        metadata["continue"] = _write_token(_Token(found.revision, found.next_key))
        if found.remaining_count and request.selection.everything:
            metadata["remainingItemCount"] = found.remaining_count
    return encode_list(request.resource, found.items, metadata, request.form)


async def _find(request: ListRequest, store: Store, clock: Clock) -> _Found:
    if request.only_key:
        page = await store.page(request.prefix, limit=1, start_key=request.only_key, revision=request.revision)
        here = [kv for kv in page.items if kv.key == request.only_key]
        return _Found(await _encode(request, here, clock), page.revision)
    if request.limit or request.token or request.revision:
        return await _find_page(request, store, clock)
    listing = await store.list(request.prefix)
    return _Found(await _encode(request, listing.items, clock), listing.revision)


async def _find_page(request: ListRequest, store: Store, clock: Clock) -> _Found:
    """Read pages until `limit` objects are found, or the collection ends."""
    start_key, revision = None, request.revision
    if request.token:
        token = _read_token(request.token, request.prefix)
        start_key, revision = token.start_key, token.revision
    limit = min(request.limit or PAGE_LIMIT, PAGE_LIMIT)
    items: list[bytes] = []
    while True:
        # Never more than still fit: so the page's end is also where the next request starts.
        wanted = limit - len(items)
        page = await store.page(request.prefix, limit=wanted, start_key=start_key, revision=revision)
        revision = revision or page.revision
        items += await _encode(request, page.items, clock)
        start_key = page.next_key
        if start_key is None or (len(items) >= limit and request.limit):
            return _Found(items, revision, start_key, page.remaining_count)
        limit = limit if request.limit else len(items) + PAGE_LIMIT


async def _encode(request: ListRequest, kvs: Iterable[KeyValue], clock: Clock) -> list[bytes]:
    items = []
    for index, kv in enumerate(kvs):
        if index % _TURN == _TURN - 1:
            await asyncio.sleep(0)
        document = request.resource.render(kv)
        if request.selection.matches(document):
            items.append(encode_item(request.resource, document, request.form, clock.now()))
    return items


def _write_token(token: _Token) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(token)).decode().rstrip("=")


def _read_token(text: str, prefix: str) -> _Token:
    try:
        token = msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=_Token)
    except (binascii.Error, ValueError):
        raise bad_request("continue key is not valid") from None
    # A token must not lead out of its own collection.
    if not token.start_key.startswith(prefix) or token.revision <= 0:
        raise bad_request("continue key is not valid for this collection")
    return token
