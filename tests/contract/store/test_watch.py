"""Watches: every change once, in order, in whole revisions, or an error that says why not."""

import asyncio
import random

import pytest
from tests.contract.store.collecting import (
    PATIENCE_S,
    events_through,
    events_until,
    next_events,
    read_to_the_end,
)
from tests.contract.store.worlds import World

from strata.errors import Compacted, Regressed, StoreUnavailable
from strata.store.port import Delete, KeyEvent, KeyValue, Put, Store


async def write(store: Store, prefix: str, count: int) -> list[int]:
    """Write one key again and again; return the revisions."""
    return [(await store.txn([], [Put(f"{prefix}k", b"%d" % n)])).revision for n in range(count)]


async def test_a_watch_gives_the_past_and_then_what_happens(world: World, prefix: str) -> None:
    async with world.open() as store:
        past = await write(store, prefix, 5)
        async with store.watch(prefix, start_revision=past[2]) as batches:
            await events_through(batches, past[-1])
            live = await write(store, prefix, 5)
            events = await events_through(batches, live[-1])
        assert [event.mod_revision for event in events] == live
        async with store.watch(prefix, start_revision=past[2]) as batches:
            events = await events_through(batches, live[-1])
        assert [event.mod_revision for event in events] == past[2:] + live
        assert [event.kv.value for event in events if event.kv] == [b"2", b"3", b"4", b"0", b"1", b"2", b"3", b"4"]


async def test_a_watch_keeps_to_its_prefix(world: World, prefix: str) -> None:
    async with world.open() as store:
        start = (await store.list(prefix)).revision + 1
        async with store.watch(f"{prefix}a/", start_revision=start) as batches:
            await store.txn([], [Put(f"{prefix}a", b""), Put(f"{prefix}a0", b""), Put(f"{prefix}b/x", b"")])
            await store.txn([], [Put(f"{prefix}a/x", b""), Put(f"{prefix}b/x", b"1")])
            assert [event.key for event in (await next_events(batches)).events] == [f"{prefix}a/x"]


async def test_a_transaction_arrives_whole_and_in_its_order(world: World, prefix: str) -> None:
    async with world.open() as store:
        await store.txn([], [Put(f"{prefix}old", b"1")])
        start = (await store.list(prefix)).revision + 1
        keys = [f"{prefix}{n:03}" for n in range(100)]
        async with store.watch(prefix, start_revision=start) as batches:
            written = await store.txn([], [*(Put(key, b"x") for key in keys), Delete(f"{prefix}old")])
            batch = await next_events(batches)
        assert batch.revision == written.revision
        assert [event.key for event in batch.events] == [*keys, f"{prefix}old"]
        assert {event.mod_revision for event in batch.events} == {written.revision}


async def test_events_have_the_value_before_if_asked_for(world: World, prefix: str) -> None:
    key = f"{prefix}a"
    async with world.open() as store:
        r1 = (await store.txn([], [Put(key, b"1")])).revision
        r2 = (await store.txn([], [Put(key, b"2")])).revision
        r3 = (await store.txn([], [Delete(key)])).revision
        first, second = KeyValue(key, b"1", r1, r1), KeyValue(key, b"2", r1, r2)
        async with store.watch(prefix, start_revision=r1, with_previous=True) as batches:
            assert await events_through(batches, r3) == [
                KeyEvent(key, first, r1),
                KeyEvent(key, second, r2, first),
                KeyEvent(key, None, r3, second),
            ]
        async with store.watch(prefix, start_revision=r1) as batches:
            assert await events_through(batches, r3) == [
                KeyEvent(key, first, r1),
                KeyEvent(key, second, r2),
                KeyEvent(key, None, r3),
            ]


async def test_one_who_stops_and_goes_on_loses_nothing_and_sees_nothing_twice(world: World, prefix: str) -> None:
    rng = random.Random(5)
    async with world.open() as store:
        start = (await store.list(prefix)).revision + 1
        written: list[int] = []
        seen: list[int] = []
        for _ in range(8):
            written += await write(store, prefix, rng.randrange(1, 20))
            async with store.watch(prefix, start_revision=start) as batches:
                for _ in range(rng.randrange(1, 4)):
                    batch = await anext(batches)
                    seen += [event.mod_revision for event in batch.events]
                    start = batch.revision + 1
        async with store.watch(prefix, start_revision=start) as batches:
            written += await write(store, prefix, 1)
            seen += [event.mod_revision for event in await events_through(batches, written[-1])]
        assert seen == written


async def test_a_backlog_of_more_than_a_thousand_revisions_arrives_complete(world: World, prefix: str) -> None:
    async with world.open() as store:
        start = (await store.list(prefix)).revision + 1
        async with asyncio.TaskGroup() as tasks:
            for n in range(50):
                tasks.create_task(write(store, f"{prefix}{n}/", 30))
        async with store.watch(prefix, start_revision=start) as batches:
            events = await events_until(batches, lambda events: len(events) >= 1500)
        assert [event.mod_revision for event in events] == list(range(start, start + 1500))


async def test_a_quiet_watch_gives_signs_of_life_that_promise_no_more_than_was_delivered(
    world: World, prefix: str
) -> None:
    async with world.open() as store:
        start = (await store.list(prefix)).revision + 1
        async with store.watch(prefix, start_revision=start) as batches, asyncio.timeout(PATIENCE_S):
            promised = start - 1
            began_s = world.clock.monotonic_s()
            for _ in range(5):
                other = await store.txn([], [Put(f"/elsewhere{prefix}", b"")])
                batch = await anext(batches)
                assert batch.events == ()
                assert promised <= batch.revision <= other.revision
                promised = batch.revision
            # Faster than new streams would come: they are asked for, not the by-product of reconnecting.
            assert world.clock.monotonic_s() - began_s <= 5 * world.progress_interval_s + 1.5
            written = await write(store, prefix, 3)
            events = await events_through(batches, written[-1])
            assert [event.mod_revision for event in events] == written


async def test_a_slow_consumer_gets_everything_and_delays_nobody(world: World, prefix: str) -> None:
    async with world.open() as store:
        start = (await store.list(prefix)).revision + 1
        async with (
            store.watch(prefix, start_revision=start) as slow,
            store.watch(prefix, start_revision=start) as quick,
        ):
            written: list[int] = []
            for _ in range(5):
                written += await write(store, prefix, 20)
                assert (await events_through(quick, written[-1]))[-1].mod_revision == written[-1]
            events = await events_through(slow, written[-1])
        assert [event.mod_revision for event in events] == written


async def test_a_watch_from_before_the_compaction_says_so(world: World, prefix: str) -> None:
    async with world.open() as store:
        written = await write(store, prefix, 5)
        await world.compact(written[-1])
        with pytest.raises(Compacted) as raised:
            async with store.watch(prefix, start_revision=written[0]) as batches:
                await read_to_the_end(batches)
        assert raised.value.compact_revision == written[-1]


async def test_a_watch_from_the_compaction_on_goes_on(world: World, prefix: str) -> None:
    async with world.open() as store:
        written = await write(store, prefix, 5)
        await world.compact(written[-1])
        written += await write(store, prefix, 2)
        async with store.watch(prefix, start_revision=written[-2]) as batches:
            events = await events_through(batches, written[-1])
        assert [event.mod_revision for event in events] == written[-2:]


async def test_a_watch_ahead_of_the_store_means_that_the_store_went_back(world: World, prefix: str) -> None:
    async with world.open() as store:
        now = (await write(store, prefix, 1))[0]
        with pytest.raises(Regressed) as raised:
            async with store.watch(prefix, start_revision=now + 2) as batches:
                await read_to_the_end(batches)
        assert (raised.value.wanted, raised.value.found) == (now + 2, now)


async def test_a_watch_from_the_next_revision_waits_for_it(world: World, prefix: str) -> None:
    async with world.open() as store:
        now = (await write(store, prefix, 1))[0]
        async with store.watch(prefix, start_revision=now + 1) as batches:
            written = await write(store, prefix, 1)
            assert (await next_events(batches)).revision == written[0]


async def test_data_lost_under_a_watch_is_told(world: World, prefix: str) -> None:
    async with world.open() as store:
        await write(store, prefix, 30)
        start = (await store.list(prefix)).revision + 1
        async with store.watch(prefix, start_revision=start) as batches:
            written = await write(store, prefix, 1)
            await events_through(batches, written[0])
            await world.wipe()
            with pytest.raises(Regressed):
                await read_to_the_end(batches)
        assert (await store.list(prefix)).items == ()


async def test_a_watch_outlives_a_restart(world: World, prefix: str) -> None:
    async with world.open() as store:
        written = await write(store, prefix, 3)
        async with store.watch(prefix, start_revision=written[0]) as batches:
            events = await events_through(batches, written[-1])
            await world.stop()
            await world.start()
            written += await write(store, prefix, 3)
            events += await events_through(batches, written[-1])
        assert [event.mod_revision for event in events] == written


async def test_a_watch_on_a_store_that_stays_away_ends_with_unavailable(world: World, prefix: str) -> None:
    async with world.open() as store:
        start = (await store.list(prefix)).revision + 1
        async with store.watch(prefix, start_revision=start) as batches:
            await anext(batches)
            await world.stop()
            try:
                with pytest.raises(StoreUnavailable):
                    await read_to_the_end(batches)
            finally:
                await world.start()


async def test_a_watch_without_a_start_is_refused(world: World, prefix: str) -> None:
    async with world.open() as store:
        with pytest.raises(ValueError, match="list first"):
            async with store.watch(prefix, start_revision=0):
                pass


async def test_one_who_waits_can_be_cancelled_and_the_next_watch_works(world: World, prefix: str) -> None:
    async with world.open() as store:
        start = (await store.list(prefix)).revision + 1

        async def wait_for_events() -> None:
            async with store.watch(prefix, start_revision=start) as batches:
                await next_events(batches)

        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(wait_for_events())
            await asyncio.sleep(0.3)
            waiting.cancel()
        assert waiting.cancelled()
        written = await write(store, prefix, 1)
        async with store.watch(prefix, start_revision=start) as batches:
            assert (await next_events(batches)).revision == written[0]
