"""Reading a watch until something was seen, within a time."""

import asyncio
from collections.abc import AsyncIterator, Callable

from strata.store.port import KeyEvent, WatchBatch

PATIENCE_S = 30.0


async def events_until(
    batches: AsyncIterator[WatchBatch], is_enough: Callable[[list[KeyEvent]], bool]
) -> list[KeyEvent]:
    """Every event until there are enough of them."""
    events: list[KeyEvent] = []
    async with asyncio.timeout(PATIENCE_S):
        while not is_enough(events):
            batch = await anext(batches)
            assert all(event.mod_revision <= batch.revision for event in batch.events)
            events += batch.events
    return events


async def events_through(batches: AsyncIterator[WatchBatch], revision: int) -> list[KeyEvent]:
    """Every event up to and with that of `revision`."""
    return await events_until(batches, lambda events: bool(events) and events[-1].mod_revision >= revision)


async def next_events(batches: AsyncIterator[WatchBatch]) -> WatchBatch:
    """The next batch that is more than a sign of life."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            batch = await anext(batches)
            if batch.events:
                return batch


async def read_to_the_end(batches: AsyncIterator[WatchBatch]) -> None:
    """Read until the watch raises."""
    async with asyncio.timeout(PATIENCE_S):
        async for _ in batches:
            pass
