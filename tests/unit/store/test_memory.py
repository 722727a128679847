"""The in-memory twin: what the contract does not ask of a real etcd."""

import asyncio
import subprocess
import sys

import pytest
from tests.kit.store import FaultyStore
from tests.kit.virtual_time import VirtualClock, run_virtual, virtual_loop

from strata.errors import Ambiguous, NoSpace, Regressed, StoreUnavailable
from strata.store.memory import SILENCE_LIMIT_S, MemoryStore
from strata.store.memory_server import MemoryServer
from strata.store.port import Delete, ModRevisionIs, Put


def test_a_lost_reply_was_written_and_a_lost_request_was_not() -> None:
    async def main() -> None:
        store = FaultyStore(VirtualClock())
        store.lose_next_reply()
        with pytest.raises(Ambiguous):
            await store.txn([], [Put("/a", b"1")])
        store.lose_next_request()
        with pytest.raises(Ambiguous):
            await store.txn([], [Put("/b", b"1")])
        store.refuse_next_write()
        with pytest.raises(StoreUnavailable):
            await store.txn([], [Put("/c", b"1")])
        assert [kv.key for kv in (await store.list("/")).items] == ["/a"]
        assert (await store.txn([], [Put("/d", b"1")])).succeeded

    run_virtual(main())


def test_a_full_store_is_read_but_not_written() -> None:
    async def main() -> None:
        store = FaultyStore(VirtualClock())
        await store.txn([], [Put("/a", b"1")])
        store.fill_up()
        with pytest.raises(NoSpace):
            await store.txn([], [Delete("/a")])
        assert await store.get("/a") is not None
        store.make_room()
        await store.txn([], [Delete("/a")])
        assert await store.get("/a") is None

    run_virtual(main())


def test_one_who_is_cut_off_loses_its_lease_and_its_watch_and_the_other_goes_on() -> None:
    async def main() -> None:
        clock, server = VirtualClock(), MemoryServer()
        cut, other = FaultyStore(clock, server), MemoryStore(clock, server)
        lease = await cut.grant(9)
        await cut.txn([], [Put("/leader", b"cut", lease.lease_id)])
        await asyncio.sleep(60)
        assert await other.get("/leader") is not None
        cut.cut_off()
        safe_until_s = lease.safe_until_s()
        with pytest.raises(StoreUnavailable):
            await cut.get("/leader")
        await lease.lost()
        assert clock.monotonic_s() <= safe_until_s
        async with cut.watch("/", start_revision=1) as batches:
            began_s = clock.monotonic_s()
            with pytest.raises(StoreUnavailable):
                await anext(batches)
            assert clock.monotonic_s() - began_s == pytest.approx(SILENCE_LIMIT_S)
        assert await other.get("/leader") is None
        cut.reconnect()
        assert (await cut.txn([ModRevisionIs("/leader", 0)], [Put("/leader", b"")])).succeeded

    run_virtual(main())


def test_a_restored_backup_is_another_store_with_the_old_keys_and_leases() -> None:
    async def main() -> None:
        clock, server = VirtualClock(), MemoryServer()
        store = MemoryStore(clock, server)
        lease = await store.grant(30)
        await store.txn([], [Put("/old", b"1", lease.lease_id), Put("/kept", b"1")])
        backup = (await store.txn([], [Put("/kept", b"2")])).revision
        before = await store.status()
        await lease.revoke()
        last = await store.txn([], [Delete("/kept"), Put("/new", b"1")])
        async with store.watch("/", start_revision=last.revision + 1) as batches:
            server.restore(backup)
            with pytest.raises(Regressed):
                await anext(batches)
        assert [(kv.key, kv.value) for kv in (await store.list("/")).items] == [("/kept", b"2"), ("/old", b"1")]
        after = await store.status()
        assert (after.revision, after.store_id == before.store_id) == (backup, False)
        await asyncio.sleep(31)
        assert [kv.key for kv in (await store.list("/")).items] == ["/kept"]

    run_virtual(main())


def test_one_cancelled_at_the_end_of_a_write_has_written() -> None:
    async def main() -> None:
        server = MemoryServer()
        store = MemoryStore(VirtualClock(), server)
        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(store.txn([], [Put("/a", b"1")]))
            while server.get("/a") is None:  # noqa: ASYNC110 - this is the step at which it is cancelled
                await asyncio.sleep(0)
            writing.cancel()
        assert writing.cancelled()
        assert await store.get("/a") is not None

    run_virtual(main())


def test_nothing_runs_after_close() -> None:
    async def main() -> None:
        store = MemoryStore(VirtualClock())
        await store.grant(5)
        async with store.watch("/", start_revision=1) as batches:
            await anext(batches)
        await store.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtual(main())


def test_ten_thousand_keys_are_no_work() -> None:
    async def main() -> float:
        store = MemoryStore(VirtualClock())
        for start in range(0, 10_000, 100):
            await store.txn([], [Put(f"/a/{n * 7919 % 10_007:05}", b"x") for n in range(start, start + 100)])
        keys = [kv.key for kv in (await store.list("/a/")).items]
        assert keys == sorted(keys)
        assert len(keys) == 10_000
        for _ in range(10_000):
            await store.get("/a/00001")
        return virtual_loop().time()

    assert run_virtual(main()) == 0


def test_only_the_etcd_store_pays_for_grpc() -> None:
    """Its import costs 150 ms: a CLI that reads settings must not pay."""
    code = (
        "import sys, strata.store.memory, strata.store.port, strata.store.etcd.settings;sys.exit('grpc' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
