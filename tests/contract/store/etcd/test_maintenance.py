"""Versions, the quota, snapshots: what an operator meets."""

import asyncio
import hashlib
import random
from dataclasses import replace
from pathlib import Path

import pytest
from tests.contract.store.etcd.conftest import Start
from tests.contract.store.worlds import quick_settings
from tests.kit.etcd import WHEEL, Etcd, EtcdOptions, find_binary

from strata.clock import SystemClock
from strata.errors import Compacted, NoSpace, StoreError
from strata.store.etcd.store import EtcdStore, open_etcd
from strata.store.port import Put

CLOCK = SystemClock()


async def test_a_version_that_loses_data_is_refused_unless_allowed(tmp_path: Path) -> None:
    etcd = Etcd(find_binary(WHEEL), tmp_path)
    etcd.start()
    try:
        settings = quick_settings(etcd.url)
        with pytest.raises(StoreError, match=r"3\.5\.1"):
            async with open_etcd(replace(settings, allow_unsafe_version=False), CLOCK, random.Random(1)):
                pass
        async with open_etcd(settings, CLOCK, random.Random(1)) as store:
            assert (await store.status()).version == "3.5.1"
    finally:
        etcd.kill()


async def fill_up(store: EtcdStore) -> None:
    for _ in range(100):
        await store.txn([], [Put("/a", b"x" * 100_000)])
        await asyncio.sleep(0.02)  # etcd knows its size only from its commits, one in 0.1 s


async def test_a_full_store_says_so_is_still_read_and_can_be_mended(start_etcd: Start) -> None:
    etcd = start_etcd(EtcdOptions(extra=("--quota-backend-bytes", "1000000")))
    async with open_etcd(quick_settings(etcd.url), CLOCK, random.Random(1)) as store:
        with pytest.raises(NoSpace):
            await fill_up(store)
        assert (await store.status()).alarms == ("NOSPACE",)
        assert await store.maintenance.alarms() == ("NOSPACE",)
        found = await store.get("/a")
        assert found is not None
        await store.maintenance.compact(found.mod_revision)
        await store.maintenance.compact(found.mod_revision)  # again is no error
        await store.maintenance.defragment()
        await store.maintenance.disarm_no_space()
        assert (await store.status()).alarms == ()
        await store.txn([], [Put("/b", b"1")])
        with pytest.raises(Compacted):
            await store.page("/a", limit=1, revision=found.mod_revision - 1)


async def test_a_snapshot_is_complete_and_carries_its_checksum(etcd: Etcd) -> None:
    async with open_etcd(quick_settings(etcd.url), CLOCK, random.Random(1)) as store:
        await store.txn([], [Put("/a", b"x" * 100_000)])
        data = b"".join([piece async for piece in store.maintenance.snapshot()])
    database, checksum = data[:-32], data[-32:]
    assert hashlib.sha256(database).digest() == checksum
    assert b"x" * 1000 in database


async def test_a_value_that_is_too_large_is_refused_and_not_ambiguous(etcd: Etcd) -> None:
    async with open_etcd(quick_settings(etcd.url), CLOCK, random.Random(1)) as store:
        with pytest.raises(StoreError, match="too large"):
            await store.txn([], [Put("/a", b"x" * 2_000_000)])
        assert await store.get("/a") is None
