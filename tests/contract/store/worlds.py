"""A store's server and clients of it, real or in memory, behind one face."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from tests.kit.etcd import Etcd
from tests.kit.virtual_time import VirtualClock

from strata.clock import Clock, SystemClock
from strata.store.etcd.settings import EtcdSettings
from strata.store.etcd.store import open_etcd
from strata.store.memory import PROGRESS_INTERVAL_S, MemoryStore
from strata.store.memory_server import MemoryServer
from strata.store.port import Store


class World(Protocol):
    """`open` makes one more client; the rest befalls the server."""

    @property
    def clock(self) -> Clock: ...

    @property
    def progress_interval_s(self) -> float: ...

    def open(self) -> AbstractAsyncContextManager[Store]: ...

    async def compact(self, revision: int) -> None: ...

    async def revoke(self, lease_id: int) -> None: ...

    async def stop(self) -> None: ...

    async def start(self) -> None: ...

    async def wipe(self) -> None: ...


class MemoryWorld:
    progress_interval_s = PROGRESS_INTERVAL_S

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self._server = MemoryServer()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Store]:
        store = MemoryStore(self.clock, self._server)
        try:
            yield store
        finally:
            await store.close()

    async def compact(self, revision: int) -> None:
        self._server.compact(revision)

    async def revoke(self, lease_id: int) -> None:
        self._server.revoke(lease_id)

    async def stop(self) -> None:
        self._server.stop()

    async def start(self) -> None:
        self._server.start()

    async def wipe(self) -> None:
        self._server.wipe()


class EtcdWorld:
    progress_interval_s = 0.4

    def __init__(self, etcd: Etcd) -> None:
        self.clock = SystemClock()
        self._etcd = etcd

    def open(self) -> AbstractAsyncContextManager[Store]:
        return open_etcd(quick_settings(self._etcd.url), self.clock, random.Random(1))

    async def compact(self, revision: int) -> None:
        await asyncio.to_thread(self._etcd.compact, revision)

    async def revoke(self, lease_id: int) -> None:
        await asyncio.to_thread(self._etcd.revoke, lease_id)

    async def stop(self) -> None:
        await asyncio.to_thread(self._etcd.kill)

    async def start(self) -> None:
        await asyncio.to_thread(self._etcd.start)

    async def wipe(self) -> None:
        await asyncio.to_thread(self._etcd.wipe)


def quick_settings(*urls: str) -> EtcdSettings:
    """Times short enough for tests, long enough for a busy machine."""
    return EtcdSettings(
        endpoints=urls,
        attempt_timeout_s=1.0,
        budget_s=2.0,
        progress_interval_s=EtcdWorld.progress_interval_s,
        silence_limit_s=3.0,
        allow_unsafe_version=True,
    )
