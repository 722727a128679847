"""Calls against a server that freezes, dies or whose replies are lost: in time, and with the truth."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

import pytest
from tests.contract.store.worlds import quick_settings
from tests.kit.etcd import Etcd, free_ports
from tests.kit.proxy import LossyProxy

from strata.clock import SystemClock
from strata.errors import Ambiguous, StoreUnavailable
from strata.store.etcd.store import open_etcd
from strata.store.port import ModRevisionIs, Put

CLOCK = SystemClock()


@contextlib.asynccontextmanager
async def black_hole(port: int = 0) -> AsyncIterator[str]:
    """An address that accepts connections and never says a word."""
    writers: list[asyncio.StreamWriter] = []

    async def swallow(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    server = await asyncio.start_server(swallow, "127.0.0.1", port)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()


async def test_a_lost_reply_is_ambiguous_and_the_key_is_there(etcd: Etcd) -> None:
    """A client that sends a create again reads its own key as somebody else's, and reports a success as a failure."""
    async with LossyProxy(etcd.port).running() as proxy:
        settings = quick_settings(f"http://127.0.0.1:{proxy.port}")
        async with open_etcd(settings, CLOCK, random.Random(1)) as store:
            proxy.lose_next_reply()
            with pytest.raises(Ambiguous):
                await store.txn([ModRevisionIs("/a", 0)], [Put("/a", b"mine")])
            found = await store.get("/a")
            assert found is not None
            assert (found.value, found.mod_revision, found.create_revision) == (b"mine", 2, 2)
    assert proxy.cut_count == 1


async def test_a_read_whose_reply_is_lost_is_sent_again(etcd: Etcd) -> None:
    async with LossyProxy(etcd.port).running() as proxy:
        settings = quick_settings(f"http://127.0.0.1:{proxy.port}")
        async with open_etcd(settings, CLOCK, random.Random(1)) as store:
            await store.txn([], [Put("/a", b"1")])
            for call in (store.get("/a"), store.list("/a"), store.txn([ModRevisionIs("/a", 2)], []), store.status()):
                proxy.lose_next_reply()
                assert await call is not None
    assert proxy.cut_count == 4


async def test_deadlines_hold_against_a_frozen_server(etcd: Etcd) -> None:
    settings = quick_settings(etcd.url)
    async with open_etcd(settings, CLOCK, random.Random(1)) as store:
        await store.txn([], [Put("/a", b"1")])
        etcd.freeze()
        began_s = CLOCK.monotonic_s()
        with pytest.raises(Ambiguous):
            await store.txn([], [Put("/a", b"2")])
        assert CLOCK.monotonic_s() - began_s <= settings.attempt_timeout_s + 0.5
        began_s = CLOCK.monotonic_s()
        with pytest.raises(StoreUnavailable):
            await store.get("/a")
        assert CLOCK.monotonic_s() - began_s <= settings.budget_s + 0.5
        etcd.thaw()
        found = await store.get("/a")
        assert found is not None
        assert found.value in (b"1", b"2")


async def test_a_write_that_could_not_be_sent_is_not_ambiguous(etcd: Etcd) -> None:
    settings = quick_settings(etcd.url)
    async with open_etcd(settings, CLOCK, random.Random(1)) as store:
        await store.txn([], [Put("/a", b"1")])
        await asyncio.to_thread(etcd.kill)
        await asyncio.sleep(0.2)  # until the end of the connection is noticed: before, a write is in doubt
        async with black_hole(etcd.port):
            began_s = CLOCK.monotonic_s()
            with pytest.raises(StoreUnavailable):
                await store.txn([], [Put("/a", b"2")])
            assert CLOCK.monotonic_s() - began_s <= settings.budget_s + 0.5


async def test_opening_a_store_that_does_not_answer_ends_in_time() -> None:
    async with black_hole() as url:
        settings = quick_settings(url)
        began_s = CLOCK.monotonic_s()
        with pytest.raises(StoreUnavailable):
            async with open_etcd(settings, CLOCK, random.Random(1)):
                pass
        assert CLOCK.monotonic_s() - began_s <= settings.budget_s + 1


async def test_dead_and_deaf_endpoints_are_left_and_the_good_one_is_kept(etcd: Etcd) -> None:
    dead = f"http://127.0.0.1:{free_ports(1)[0]}"
    async with black_hole() as deaf:
        settings = quick_settings(dead, deaf, etcd.url)
        async with open_etcd(settings, CLOCK, random.Random(1)) as store:
            assert (await store.txn([ModRevisionIs("/a", 0)], [Put("/a", b"1")])).succeeded
            began_s = CLOCK.monotonic_s()
            for n in range(50):
                await store.txn([], [Put("/a", b"%d" % n)])
            assert CLOCK.monotonic_s() - began_s < settings.attempt_timeout_s
            async with store.watch("/a", start_revision=2) as batches, asyncio.timeout(10):
                async for batch in batches:
                    if batch.revision >= 52:
                        break
            lease = await store.grant(2)
            await asyncio.sleep(2.5)
            assert lease.safe_until_s() > CLOCK.monotonic_s()
            await lease.revoke()


async def test_a_page_of_more_than_4_mib_arrives(etcd: Etcd) -> None:
    """The default limit of gRPC would fail it again and again, for ever."""
    async with open_etcd(quick_settings(etcd.url), CLOCK, random.Random(1)) as store:
        await asyncio.gather(*(store.txn([], [Put(f"/a/{n:03}", b"x" * 16_384)]) for n in range(400)))
        assert sum(len(kv.value) for kv in (await store.list("/a/")).items) == 400 * 16_384


async def test_a_call_does_not_wait_for_the_backoff_of_a_server_that_came_back(etcd: Etcd) -> None:
    """GRPC's own backoff grows to two minutes, and new channels inherit it."""
    async with open_etcd(quick_settings(etcd.url), CLOCK, random.Random(1)) as store:
        await store.txn([], [Put("/a", b"1")])
        await asyncio.to_thread(etcd.kill)
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await store.get("/a")
        await asyncio.to_thread(etcd.start)
        assert await store.get("/a") is not None  # within its budget of two seconds
