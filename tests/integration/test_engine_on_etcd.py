"""The engine on a real etcd and real time: what the in-memory twin cannot prove."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.kit.etcd import DEBIAN, Etcd, find_binary

from strata.clock import SystemClock
from strata.engine.informer import Informer
from strata.engine.leadership import Election, Leadership
from strata.metrics import DaemonMetrics
from strata.store.etcd.settings import EtcdSettings
from strata.store.etcd.store import EtcdStore, open_etcd
from strata.store.port import Delete, Put

pytestmark = pytest.mark.etcd

CLOCK = SystemClock()
LEADER_KEY = "/strata/leader"
TTL_S = 3.0


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[Etcd]:
    server = Etcd(find_binary(DEBIAN), tmp_path)
    server.start()
    yield server
    server.kill()


def settings(etcd: Etcd) -> EtcdSettings:
    return EtcdSettings(endpoints=(etcd.url,), progress_interval_s=0.5, silence_limit_s=4.0)


async def until(condition: Callable[[], bool], limit_s: float) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110 - looks at the world from outside
            await asyncio.sleep(0.02)


@asynccontextmanager
async def following(store: EtcdStore) -> AsyncIterator[Informer[bytes]]:
    informer = Informer(store, "/a/", lambda kv: kv.value, clock=CLOCK, rng=random.Random(1))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(informer.run())
        async with asyncio.timeout(10):
            await informer.wait_synced()
        yield informer
        task.cancel()


async def test_the_cache_is_the_store_again_after_a_kill_a_compaction_and_a_wipe(etcd: Etcd) -> None:
    async with open_etcd(settings(etcd), CLOCK, random.Random(1)) as store, following(store) as informer:

        def cached() -> dict[str, bytes]:
            return {entry.key: entry.value for entry in informer.entries()}

        def went_back() -> bool:
            return informer.regressed is not None

        truth = {f"/a/{count:03}": b"1" for count in range(100)}
        await store.txn([], [Put(key, value) for key, value in truth.items()])
        await until(lambda: cached() == truth, 5)
        etcd.kill()
        await asyncio.to_thread(etcd.start)
        for count in range(50):
            truth[f"/a/{count:03}"] = b"2"
            await store.txn([], [Put(f"/a/{count:03}", b"2")])
        del truth["/a/099"]
        revision = (await store.txn([], [Delete("/a/099")])).revision
        await asyncio.to_thread(etcd.compact, revision)
        await until(lambda: cached() == truth, 10)
        assert not went_back()
        await asyncio.to_thread(etcd.wipe)
        await until(lambda: cached() == {}, 30)
        assert went_back()
        await store.txn([], [Put("/a/new", b"3")])
        await until(lambda: cached() == {"/a/new": b"3"}, 10)


class Candidate:
    def __init__(self, name: str, store: EtcdStore) -> None:
        self.leadership: Leadership | None = None
        self.election = Election(
            store,
            LEADER_KEY,
            name,
            address="",
            ttl_s=TTL_S,
            clock=CLOCK,
            rng=random.Random(name),
            metrics=DaemonMetrics("test"),
        )

    @property
    def leads(self) -> bool:
        return self.leadership is not None

    async def lead(self, leadership: Leadership) -> None:
        self.leadership = leadership
        try:
            await asyncio.Event().wait()
        finally:
            self.leadership = None


async def test_leadership_is_handed_over_ends_with_the_store_and_comes_back(etcd: Etcd) -> None:
    async with (
        open_etcd(settings(etcd), CLOCK, random.Random(1)) as store_a,
        open_etcd(settings(etcd), CLOCK, random.Random(2)) as store_b,
        asyncio.TaskGroup() as group,
    ):
        a, b = Candidate("a", store_a), Candidate("b", store_b)
        run_a = group.create_task(a.election.run(a.lead))
        await until(lambda: a.leads, 5)
        run_b = group.create_task(b.election.run(b.lead))
        await asyncio.sleep(2 * TTL_S)
        assert a.leads
        assert not b.leads
        run_a.cancel()
        await until(lambda: b.leads, TTL_S / 2)  # before the lease could run out: it was given back
        held = b.leadership
        assert held is not None
        etcd.freeze()
        await until(lambda: not b.leads, TTL_S + 1)
        assert held.lost
        etcd.thaw()
        await until(lambda: b.leads, 3 * TTL_S + 5)
        assert b.leadership is not None
        assert not (await store_b.txn([held.fence], [Put("/x", b"stale")])).succeeded
        assert (await store_b.txn([b.leadership.fence], [Put("/x", b"fresh")])).succeeded
        run_b.cancel()
