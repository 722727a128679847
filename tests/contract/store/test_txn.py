"""Transactions: all or nothing, one revision, and the truth on failure."""

import pytest
from tests.contract.store.worlds import World

from strata.errors import LeaseNotFound
from strata.store.port import MAX_OPERATIONS, CreateRevisionIs, Delete, ModRevisionIs, Put


async def test_only_the_first_of_two_makes_a_key(world: World, prefix: str) -> None:
    key = f"{prefix}a"
    async with world.open() as store:
        first = await store.txn([ModRevisionIs(key, 0)], [Put(key, b"mine")])
        second = await store.txn([ModRevisionIs(key, 0)], [Put(key, b"yours")])
        assert (first.succeeded, second.succeeded) == (True, False)
        assert first.current == ()
        assert second.current == (await store.get(key),)
        assert second.current[0] is not None
        assert second.current[0].value == b"mine"


async def test_a_stale_write_fails_and_shows_what_is_there(world: World, prefix: str) -> None:
    key = f"{prefix}a"
    async with world.open() as store:
        seen = await store.txn([], [Put(key, b"1")])
        await store.txn([ModRevisionIs(key, seen.revision)], [Put(key, b"2")])
        stale = await store.txn([ModRevisionIs(key, seen.revision)], [Put(key, b"3")])
        assert not stale.succeeded
        assert stale.current == (await store.get(key),)


async def test_a_compare_on_the_making_survives_changes_but_not_a_new_key(world: World, prefix: str) -> None:
    key = f"{prefix}leader"
    async with world.open() as store:
        made = await store.txn([CreateRevisionIs(key, 0)], [Put(key, b"1")])
        await store.txn([], [Put(key, b"2")])
        assert (await store.txn([CreateRevisionIs(key, made.revision)], [Put(f"{prefix}x", b"")])).succeeded
        await store.txn([], [Delete(key)])
        await store.txn([], [Put(key, b"3")])
        assert not (await store.txn([CreateRevisionIs(key, made.revision)], [Put(f"{prefix}x", b"")])).succeeded


async def test_one_failed_compare_stops_everything_and_current_follows_the_compares(world: World, prefix: str) -> None:
    a, b, c = (f"{prefix}{name}" for name in "abc")
    async with world.open() as store:
        made = await store.txn([], [Put(a, b"1"), Put(c, b"3")])
        compares = [ModRevisionIs(c, made.revision), ModRevisionIs(b, 0), ModRevisionIs(a, 0)]
        result = await store.txn(compares, [Delete(c), Put(b, b"2")])
        assert not result.succeeded
        assert [None if kv is None else kv.key for kv in result.current] == [c, None, a]
        assert result.revision == made.revision
        assert [kv.key for kv in (await store.list(prefix)).items] == [a, c]


async def test_all_operations_share_one_revision(world: World, prefix: str) -> None:
    async with world.open() as store:
        await store.txn([], [Put(f"{prefix}old", b"")])
        result = await store.txn([], [Put(f"{prefix}a", b"1"), Delete(f"{prefix}old"), Put(f"{prefix}b", b"2")])
        items = (await store.list(prefix)).items
        assert [(kv.key, kv.mod_revision) for kv in items] == [
            (f"{prefix}a", result.revision),
            (f"{prefix}b", result.revision),
        ]


async def test_what_changes_nothing_makes_no_revision(world: World, prefix: str) -> None:
    async with world.open() as store:
        before = await store.txn([], [Put(f"{prefix}a", b"1")])
        assert (await store.txn([], [Delete(f"{prefix}nothing")])).revision == before.revision
        assert (await store.txn([ModRevisionIs(f"{prefix}a", before.revision)], [])).revision == before.revision


async def test_a_transaction_may_only_compare(world: World, prefix: str) -> None:
    async with world.open() as store:
        assert (await store.txn([ModRevisionIs(f"{prefix}a", 0)], [])).succeeded
        assert not (await store.txn([ModRevisionIs(f"{prefix}a", 7)], [])).succeeded


async def test_the_limit_is_kept_and_can_be_used_up(world: World, prefix: str) -> None:
    keys = [f"{prefix}{n:03}" for n in range(MAX_OPERATIONS + 1)]
    async with world.open() as store:
        full = keys[:MAX_OPERATIONS]
        assert (await store.txn([ModRevisionIs(key, 0) for key in full], [Put(key, b"") for key in full])).succeeded
        with pytest.raises(ValueError, match="128"):
            await store.txn([], [Put(key, b"") for key in keys])
        with pytest.raises(ValueError, match="128"):
            await store.txn([ModRevisionIs(key, 0) for key in keys], [])
        assert len((await store.list(prefix)).items) == MAX_OPERATIONS


async def test_a_key_changes_at_most_once_in_a_transaction(world: World, prefix: str) -> None:
    async with world.open() as store:
        with pytest.raises(ValueError, match="twice"):
            await store.txn([], [Put(f"{prefix}a", b"1"), Delete(f"{prefix}a")])
        with pytest.raises(ValueError, match="empty"):
            await store.txn([], [Put("", b"1")])
        assert await store.get(f"{prefix}a") is None


async def test_a_put_on_a_lease_that_is_gone_writes_nothing(world: World, prefix: str) -> None:
    async with world.open() as store:
        lease = await store.grant(5)
        await lease.revoke()
        with pytest.raises(LeaseNotFound):
            await store.txn([], [Put(f"{prefix}a", b"1"), Put(f"{prefix}b", b"1", lease.lease_id)])
        assert (await store.list(prefix)).items == ()
