"""Leases: kept while their owner lives, gone soon after it, and honest about the time that is left."""

import asyncio

import pytest
from tests.contract.store.collecting import next_events
from tests.contract.store.worlds import World

from strata.store.port import Put, Store

TTL_S = 2
PATIENCE_S = 15.0


async def wait_until_gone(store: Store, key: str) -> None:
    start = (await store.list(key)).revision + 1
    if await store.get(key) is None:
        return
    async with store.watch(key, start_revision=start) as batches:
        batch = await next_events(batches)
    assert [(event.key, event.kv) for event in batch.events] == [(key, None)]


async def test_a_lease_lives_as_long_as_its_owner(world: World, prefix: str) -> None:
    async with world.open() as store:
        lease = await store.grant(TTL_S)
        await store.txn([], [Put(f"{prefix}a", b"", lease.lease_id)])
        first_s = lease.safe_until_s()
        await asyncio.sleep(TTL_S * 1.6)
        found = await store.get(f"{prefix}a")
        assert found is not None
        assert found.lease_id == lease.lease_id
        assert first_s < lease.safe_until_s() <= world.clock.monotonic_s() + lease.ttl_s
        await lease.revoke()


async def test_the_keys_of_one_who_went_away_vanish_and_watches_see_it(world: World, prefix: str) -> None:
    async with world.open() as other:
        async with world.open() as store:
            lease = await store.grant(TTL_S)
            await store.txn([], [Put(f"{prefix}a", b"", lease.lease_id)])
            safe_until_s = lease.safe_until_s()
        await wait_until_gone(other, f"{prefix}a")
        assert world.clock.monotonic_s() >= safe_until_s
        await asyncio.wait_for(lease.lost(), PATIENCE_S)


async def test_a_lease_given_back_takes_its_keys_along_in_one_revision(world: World, prefix: str) -> None:
    async with world.open() as store:
        lease = await store.grant(60)
        await store.txn([], [Put(f"{prefix}a", b"", lease.lease_id), Put(f"{prefix}b", b"", lease.lease_id)])
        start = (await store.txn([], [Put(f"{prefix}c", b"")])).revision + 1
        await lease.revoke()
        async with store.watch(prefix, start_revision=start) as batches:
            batch = await next_events(batches)
        assert sorted((event.key, event.kv) for event in batch.events) == [(f"{prefix}a", None), (f"{prefix}b", None)]
        assert [kv.key for kv in (await store.list(prefix)).items] == [f"{prefix}c"]
        await asyncio.wait_for(lease.lost(), PATIENCE_S)
        assert lease.safe_until_s() < world.clock.monotonic_s()


async def test_giving_back_twice_is_no_error(world: World) -> None:
    async with world.open() as store:
        lease = await store.grant(60)
        await lease.revoke()
        await lease.revoke()


async def test_a_lease_that_somebody_revoked_is_lost(world: World) -> None:
    async with world.open() as store:
        lease = await store.grant(TTL_S)
        await world.revoke(lease.lease_id)
        await asyncio.wait_for(lease.lost(), PATIENCE_S)
        assert lease.safe_until_s() < world.clock.monotonic_s()


async def test_a_lease_is_lost_no_later_than_its_time_when_the_store_is_away(world: World) -> None:
    async with world.open() as store:
        lease = await store.grant(TTL_S)
        await asyncio.sleep(TTL_S / 2)
        await world.stop()
        try:
            safe_until_s = lease.safe_until_s()
            await asyncio.wait_for(lease.lost(), PATIENCE_S)
            assert world.clock.monotonic_s() <= safe_until_s + 0.5
        finally:
            await world.start()


async def test_a_lease_survives_a_short_absence_of_the_store(world: World, prefix: str) -> None:
    async with world.open() as store:
        lease = await store.grant(6)
        await store.txn([], [Put(f"{prefix}a", b"", lease.lease_id)])
        await world.stop()
        await world.start()
        before_s = lease.safe_until_s()
        await asyncio.sleep(2.5)
        assert lease.safe_until_s() > before_s
        assert await store.get(f"{prefix}a") is not None
        await lease.revoke()


async def test_a_put_moves_a_key_from_one_lease_to_another_or_to_none(world: World, prefix: str) -> None:
    async with world.open() as store:
        first, second = await store.grant(60), await store.grant(60)
        await store.txn([], [Put(f"{prefix}{name}", b"", first.lease_id) for name in "abc"])
        await store.txn([], [Put(f"{prefix}a", b"", second.lease_id), Put(f"{prefix}b", b"")])
        await first.revoke()
        assert [kv.key for kv in (await store.list(prefix)).items] == [f"{prefix}a", f"{prefix}b"]
        await second.revoke()
        assert [kv.key for kv in (await store.list(prefix)).items] == [f"{prefix}b"]


async def test_a_key_that_expires_does_so_without_its_writer_and_not_too_early(world: World, prefix: str) -> None:
    async with world.open() as other:
        async with world.open() as store:
            await store.put_expiring(f"{prefix}a", b"1", 1)
            await store.put_expiring(f"{prefix}b", b"1", 3600)
            written_s = world.clock.monotonic_s()
        await wait_until_gone(other, f"{prefix}a")
        assert world.clock.monotonic_s() - written_s >= 1
        assert await other.get(f"{prefix}b") is not None


async def test_keys_that_expire_together_share_a_lease(world: World, prefix: str) -> None:
    async with world.open() as store:
        for n in range(20):
            await store.put_expiring(f"{prefix}{n:02}", b"", 3600)
        items = (await store.list(prefix)).items
        assert len(items) == 20
        assert len({kv.lease_id for kv in items}) == 1


async def test_an_expiring_key_is_written_although_its_shared_lease_was_revoked(world: World, prefix: str) -> None:
    async with world.open() as store:
        await store.put_expiring(f"{prefix}a", b"", 3600)
        found = await store.get(f"{prefix}a")
        assert found is not None
        await world.revoke(found.lease_id)
        await store.put_expiring(f"{prefix}b", b"", 3600)
        assert [kv.key for kv in (await store.list(prefix)).items] == [f"{prefix}b"]


@pytest.mark.parametrize("ttl_s", [1.2, 3])
async def test_a_lease_lasts_at_least_what_was_asked(world: World, ttl_s: float) -> None:
    async with world.open() as store:
        lease = await store.grant(ttl_s)
        assert lease.ttl_s >= ttl_s
        await lease.revoke()
