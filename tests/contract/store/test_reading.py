"""Reads: one key, a page, everything under a prefix; always at one revision."""

import asyncio

import pytest
from tests.contract.store.worlds import World

from strata.errors import Compacted, Regressed
from strata.store.port import Delete, KeyValue, Put, Store


async def fill(store: Store, prefix: str, count: int) -> None:
    for start in range(0, count, 100):
        await store.txn([], [Put(f"{prefix}{n:05}", b"%d" % n) for n in range(start, min(start + 100, count))])


async def test_a_key_that_does_not_exist_is_none(world: World, prefix: str) -> None:
    async with world.open() as store:
        assert await store.get(f"{prefix}nothing") is None


async def test_a_key_tells_when_it_was_made_and_changed(world: World, prefix: str) -> None:
    async with world.open() as store:
        made = await store.txn([], [Put(f"{prefix}a", b"1")])
        changed = await store.txn([], [Put(f"{prefix}a", b"2")])
        assert await store.get(f"{prefix}a") == KeyValue(f"{prefix}a", b"2", made.revision, changed.revision)


async def test_a_key_made_again_has_a_new_create_revision(world: World, prefix: str) -> None:
    async with world.open() as store:
        await store.txn([], [Put(f"{prefix}a", b"1")])
        await store.txn([], [Delete(f"{prefix}a")])
        made = await store.txn([], [Put(f"{prefix}a", b"2")])
        found = await store.get(f"{prefix}a")
        assert found is not None
        assert (found.create_revision, found.mod_revision) == (made.revision, made.revision)


async def test_a_listing_is_sorted_and_keeps_to_its_prefix(world: World, prefix: str) -> None:
    inside = [f"{prefix}{name}" for name in ("a", "a0", "b/c", "é", "\uffff", "\U0010ffff\U0010ffff")]
    outside = [f"{prefix[:-1]}", f"{prefix[:-1]}0", f"{prefix[:-1]}.", f"{prefix[:-2]}"]
    async with world.open() as store:
        await store.txn([], [Put(key, b"x") for key in [*reversed(inside), *outside]])
        assert [kv.key for kv in (await store.list(prefix)).items] == inside


async def test_a_listing_of_nothing_has_a_revision_to_watch_from(world: World, prefix: str) -> None:
    async with world.open() as store:
        written = await store.txn([], [Put(f"{prefix}a", b"1")])
        listing = await store.list(f"{prefix}elsewhere/")
        assert (listing.items, listing.revision) == ((), written.revision)


async def test_a_long_listing_is_of_one_revision_while_others_write(world: World, prefix: str) -> None:
    """The first and the last key always change together; pages of two revisions would tell them apart."""
    async with world.open() as store:
        await fill(store, f"{prefix}k", 1203)

        async def write() -> None:
            for n in range(60):
                await store.txn([], [Put(f"{prefix}a", b"%d" % n), Put(f"{prefix}z", b"%d" % n)])

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(write())
            for _ in range(5):
                items = (await store.list(prefix)).items
                if len(items) != 1203:
                    assert len(items) == 1205
                    assert items[0].value == items[-1].value


async def test_pages_together_are_the_listing_as_it_was_at_the_first(world: World, prefix: str) -> None:
    async with world.open() as store:
        await fill(store, prefix, 25)
        listing = await store.list(prefix)
        page = await store.page(prefix, limit=10)
        pages = [page]
        while page.next_key is not None:
            await store.txn([], [Put(f"{prefix}{len(pages):05}", b"new"), Delete(f"{prefix}00024")])
            page = await store.page(prefix, limit=10, start_key=page.next_key, revision=page.revision)
            pages.append(page)
        assert [kv for page in pages for kv in page.items] == list(listing.items)
        assert [page.remaining_count for page in pages] == [15, 5, 0]
        assert {page.revision for page in pages} == {listing.revision}


async def test_a_page_that_ends_exactly_at_the_end_is_the_last(world: World, prefix: str) -> None:
    async with world.open() as store:
        await fill(store, prefix, 10)
        page = await store.page(prefix, limit=10)
        assert (len(page.items), page.next_key, page.remaining_count) == (10, None, 0)


async def test_a_page_of_a_compacted_revision_says_so(world: World, prefix: str) -> None:
    async with world.open() as store:
        first = await store.txn([], [Put(f"{prefix}a", b"1")])
        last = await store.txn([], [Put(f"{prefix}a", b"2")])
        await world.compact(last.revision)
        with pytest.raises(Compacted) as raised:
            await store.page(prefix, limit=10, revision=first.revision)
        assert raised.value.compact_revision > first.revision
        assert (await store.page(prefix, limit=10, revision=last.revision)).items[0].value == b"2"


async def test_a_page_of_a_revision_to_come_means_that_the_store_went_back(world: World, prefix: str) -> None:
    async with world.open() as store:
        now = await store.txn([], [Put(f"{prefix}a", b"1")])
        with pytest.raises(Regressed) as raised:
            await store.page(prefix, limit=10, revision=now.revision + 50)
        assert (raised.value.wanted, raised.value.found) == (now.revision + 50, now.revision)


async def test_the_status_names_the_store_and_its_revision(world: World, prefix: str) -> None:
    async with world.open() as store:
        before = await store.status()
        written = await store.txn([], [Put(f"{prefix}a", b"1")])
        after = await store.status()
        assert after.revision == written.revision
        assert (after.store_id, after.version) == (before.store_id, before.version)
        assert after.store_id
        assert after.alarms == ()
