"""A watch under kill -9, compaction, freezing and large batches: nothing lost, nothing twice, or a clear end."""

import asyncio
import random

import pytest
from tests.contract.store.collecting import PATIENCE_S, events_until, read_to_the_end
from tests.contract.store.worlds import quick_settings
from tests.kit.etcd import Etcd

from strata.clock import SystemClock
from strata.errors import Ambiguous, Compacted, StoreUnavailable
from strata.store.etcd.store import EtcdStore, open_etcd
from strata.store.port import KeyEvent, Put

CLOCK = SystemClock()


async def write_many(store: EtcdStore, count: int, value: bytes = b"x") -> None:
    """Make `count` revisions, as fast as one client can."""
    numbers = iter(range(count))

    async def write() -> None:
        for n in numbers:
            await store.txn([], [Put(f"/a/{n:05}", value)])

    async with asyncio.TaskGroup() as tasks:
        for _ in range(32):
            tasks.create_task(write())


async def write_through_anything(store: EtcdStore, count: int) -> dict[str, int]:
    """Write keys one by one, whatever happens; return the revision of each that was acknowledged."""
    acknowledged: dict[str, int] = {}
    for n in range(count):
        key = f"/a/{n:05}"
        for _ in range(20):
            try:
                acknowledged[key] = (await store.txn([], [Put(key, b"x")])).revision
            except (Ambiguous, StoreUnavailable):
                continue
            break
        await asyncio.sleep(0.002)
    return acknowledged


async def test_kill_9_under_a_watch_loses_nothing_and_doubles_nothing(etcd: Etcd) -> None:
    events: list[KeyEvent] = []

    async def watch_until_the_end(store: EtcdStore) -> None:
        async with store.watch("/a/", start_revision=1) as batches:
            events.extend(await events_until(batches, lambda found: bool(found) and found[-1].key == "/a/end"))

    async def kill_twice() -> None:
        for _ in range(2):
            await asyncio.sleep(0.3)
            await asyncio.to_thread(etcd.kill)
            await asyncio.to_thread(etcd.start)

    async with open_etcd(quick_settings(etcd.url), CLOCK, random.Random(1)) as store, asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(watch_until_the_end(store))
        killing = tasks.create_task(kill_twice())
        acknowledged = await write_through_anything(store, 400)
        await killing
        await store.txn([], [Put("/a/end", b"")])
        await watching
    revisions = [event.mod_revision for event in events]
    assert revisions == sorted(set(revisions))
    assert len(acknowledged) == 400
    assert set(acknowledged.items()) <= {(event.key, event.mod_revision) for event in events}
    # No other revision was made: what is missing from the sequence would be a lost event.
    assert revisions == list(range(revisions[0], revisions[-1] + 1))


async def test_a_kill_in_the_middle_of_catching_up_loses_nothing(etcd: Etcd) -> None:
    """Etcd sends a backlog by 1000 revisions; a client that resumes behind the store's revision skips the rest."""
    async with open_etcd(quick_settings(etcd.url), CLOCK, random.Random(1)) as store:
        await write_many(store, 3500)
        async with store.watch("/a/", start_revision=1) as batches:
            events = await events_until(batches, lambda found: len(found) > 0)
            assert len(events) < 3500
            await asyncio.to_thread(etcd.kill)
            await asyncio.to_thread(etcd.start)
            events += await events_until(batches, lambda found: len(events) + len(found) >= 3500)
    assert [event.mod_revision for event in events] == list(range(2, 3502))


async def test_a_compaction_under_a_stalled_watch_ends_it_and_nothing_was_queued(etcd: Etcd) -> None:
    """The consumer does not read, so etcd cannot send; when it reads again the rest is compacted away."""
    async with (
        open_etcd(quick_settings(etcd.url), CLOCK, random.Random(1)) as store,
        store.watch("/a/", start_revision=1) as batches,
    ):
        await anext(batches)
        await write_many(store, 3000, b"x" * 8192)
        await asyncio.to_thread(etcd.compact, 3001)
        seen: list[int] = []

        async def read_all() -> None:
            async for batch in batches:
                seen.extend(event.mod_revision for event in batch.events)

        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(Compacted) as raised:
                await read_all()
    assert raised.value.compact_revision == 3001
    assert seen == list(range(2, 2 + len(seen)))
    assert len(seen) < 2500


async def test_a_backlog_batch_of_more_than_4_mib_arrives(etcd: Etcd) -> None:
    """Whole, it would pass the default limit of gRPC, and fail again and again; it comes in fragments."""
    async with open_etcd(quick_settings(etcd.url), CLOCK, random.Random(1)) as store:
        await write_many(store, 1200, b"x" * 8192)
        async with store.watch("/a/", start_revision=1) as batches:
            events = await events_until(batches, lambda found: len(found) >= 1200)
    assert [event.mod_revision for event in events] == list(range(2, 1202))


async def test_a_revision_larger_than_a_fragment_arrives_whole(etcd: Etcd) -> None:
    """Etcd cuts a response at 1.5 MB: three transactions of 1.2 MB, read together, are cut inside."""
    async with open_etcd(quick_settings(etcd.url), CLOCK, random.Random(1)) as store:
        for n in range(3):
            await store.txn([], [Put(f"/a/{n}/{key:03}", b"x" * 12_000) for key in range(100)])
        async with store.watch("/a/", start_revision=1) as batches, asyncio.timeout(PATIENCE_S):
            sizes: dict[int, int] = {}
            while sum(sizes.values()) < 300:
                batch = await anext(batches)
                here = [event.mod_revision for event in batch.events]
                assert not set(here) & set(sizes), "a revision was delivered in two batches"
                sizes.update({revision: here.count(revision) for revision in here})
    assert sizes == {2: 100, 3: 100, 4: 100}


async def test_a_frozen_server_is_noticed_by_the_watch_and_a_thawed_one_serves_the_next(etcd: Etcd) -> None:
    settings = quick_settings(etcd.url)
    async with open_etcd(settings, CLOCK, random.Random(1)) as store:
        async with store.watch("/a/", start_revision=1) as batches:
            await anext(batches)
            etcd.freeze()
            began_s = CLOCK.monotonic_s()
            async with asyncio.timeout(PATIENCE_S):
                with pytest.raises(StoreUnavailable):
                    await read_to_the_end(batches)
            took_s = CLOCK.monotonic_s() - began_s
        assert settings.silence_limit_s * 0.8 <= took_s <= settings.silence_limit_s + 3 * settings.attempt_timeout_s
        etcd.thaw()
        await store.txn([], [Put("/a/1", b"")])
        async with store.watch("/a/", start_revision=1) as batches:
            assert [event.key for event in await events_until(batches, bool)] == ["/a/1"]


async def test_a_short_freeze_costs_the_watch_nothing(etcd: Etcd) -> None:
    async with open_etcd(quick_settings(etcd.url), CLOCK, random.Random(1)) as store:
        async with store.watch("/a/", start_revision=1) as batches:
            await anext(batches)
            etcd.freeze()
            asyncio.get_running_loop().call_later(1.7, etcd.thaw)  # longer than the stream's own patience
            with pytest.raises(Ambiguous):
                await store.txn([], [Put("/a/1", b"")])
            await store.get("/a/1")  # answers after the thaw
            await store.txn([], [Put("/a/2", b"")])
            events = await events_until(batches, lambda found: bool(found) and found[-1].key == "/a/2")
            items = (await store.list("/a/")).items  # the doubtful write may be there, or not
        assert [(event.key, event.mod_revision) for event in events] == [(kv.key, kv.mod_revision) for kv in items]
