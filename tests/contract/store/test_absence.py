"""The store away, and the store closed: every call ends, in time, with an error that says what is known."""

import asyncio

import pytest
from tests.contract.store.worlds import World

from strata.errors import Ambiguous, StoreUnavailable
from strata.store.port import Put, Store

PATIENCE_S = 12.0


async def test_without_a_store_reads_and_writes_are_unavailable_and_nothing_was_written(
    world: World, prefix: str
) -> None:
    async with world.open() as store:
        await store.txn([], [Put(f"{prefix}a", b"1")])
        await world.stop()
        try:
            async with asyncio.timeout(2 * PATIENCE_S):
                with pytest.raises(StoreUnavailable):
                    await store.get(f"{prefix}a")
                with pytest.raises(StoreUnavailable):
                    await store.txn([], [Put(f"{prefix}a", b"2")])
        finally:
            await world.start()
        found = await store.get(f"{prefix}a")
        assert found is not None
        assert found.value == b"1"


async def _write_surely(store: Store, put: Put) -> None:
    """As callers do: what went down with a dying connection has an unknown fate, and is written again."""
    try:
        await store.txn([], [put])
    except Ambiguous:
        await store.txn([], [put])


async def test_a_call_made_during_a_short_absence_succeeds(world: World, prefix: str) -> None:
    async with world.open() as store:
        await store.txn([], [Put(f"{prefix}a", b"1")])
        await world.stop()
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(store.get(f"{prefix}a"))
            writing = tasks.create_task(_write_surely(store, Put(f"{prefix}b", b"2")))
            await world.start()
        assert reading.result() is not None
        found = await store.get(f"{prefix}b")
        assert writing.done()
        assert found is not None


async def test_a_closed_store_refuses_at_once_and_can_be_closed_again(world: World, prefix: str) -> None:
    async with world.open() as store:
        await store.close()
        await store.close()
        for call in (store.get(f"{prefix}a"), store.txn([], [Put(f"{prefix}a", b"")]), store.list(prefix)):
            with pytest.raises(StoreUnavailable):
                await call
        with pytest.raises(StoreUnavailable):
            await store.grant(5)


async def test_closing_ends_the_watches_that_wait(world: World, prefix: str) -> None:
    async with world.open() as store:
        start = (await store.list(prefix)).revision + 1

        async def watch() -> None:
            async with store.watch(prefix, start_revision=start) as batches:
                async for _ in batches:
                    pass

        async def close_soon() -> None:
            await asyncio.sleep(0.5)
            await store.close()

        async with asyncio.timeout(PATIENCE_S):
            results = await asyncio.gather(watch(), close_soon(), return_exceptions=True)
        assert isinstance(results[0], StoreUnavailable)


async def test_closing_ends_the_calls_in_flight(world: World, prefix: str) -> None:
    """Their fate is unknown or they were not sent; they are not cancelled, for nobody cancelled their task."""
    async with world.open() as store:
        calls = [store.get(f"{prefix}{n}") for n in range(200)]
        async with asyncio.timeout(PATIENCE_S):
            results = await asyncio.gather(*calls, store.close(), return_exceptions=True)
        assert {type(result) for result in results} <= {type(None), StoreUnavailable}
