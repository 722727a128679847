"""Daemon processes as the world sees them: through two ports, which may be cut, frozen, or made to lie.

A process that is killed has no effect any more from that very moment: its calls never return, its lease runs out by
itself. A process that is frozen holds the calls that it was about to make, and makes them when it wakes, late.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import datetime
from typing import Any, NoReturn, TypeVar

from tests.kit.fleet import REGION, Daemon, Fleet
from tests.kit.store import FaultyStore

from strata.clock import Clock
from strata.cloud.port import Cloud, CloudWatch, MetricQuery
from strata.resources import kinds
from strata.resources.signal import AlarmState, Point
from strata.signals.port import Prometheus
from strata.store.memory import MemoryLease
from strata.store.memory_server import MemoryServer
from strata.store.port import (
    Compare,
    KeyValue,
    Lease,
    Listing,
    Operation,
    Page,
    Store,
    StoreStatus,
    TxnResult,
    WatchBatch,
)
from strata_sim.actions import Action
from strata_sim.inprocess import SimulatedCloud
from strata_sim.inprocess_cloudwatch import SimulatedCloudWatch
from strata_sim.inprocess_queue import SimulatedQueue
from strata_sim.shapes import Params
from strata_sim.world import World

R = TypeVar("R")

Watcher = Callable[["Process", str], bool]  # told of each point that a process passes; True: it dies there


def no_watcher(_process: "Process", _point: str) -> bool:
    return False


class Process:
    """One process. Its `store` stands once it was started."""

    def __init__(self, name: str, watcher: Watcher) -> None:
        self.name = name
        self.dead = False
        self.daemon: Daemon | None = None
        self.store: ProcessStore | None = None
        self._watcher = watcher
        self._doom = ""
        self._calls: set[asyncio.Task[Any]] = set()
        self._awake = asyncio.Event()
        self._awake.set()

    @property
    def frozen(self) -> bool:
        return not self._awake.is_set()

    async def passing(self, point: str) -> None:
        """Pass a point between two effects; or die at it, wait at it while frozen, stay at it for ever once dead."""
        doomed = bool(self._doom) and point.startswith(self._doom)
        if not self.dead and (self._watcher(self, point) or doomed):
            self.kill()
        await self._awake.wait()
        if self.dead:
            await _for_ever()

    async def sent(self, effect: Callable[[], Awaitable[R]]) -> R:
        """A mutating call: once asked for, no cancellation of the caller keeps it from being made."""
        call = asyncio.get_running_loop().create_task(_call(effect))
        self._calls.add(call)
        call.add_done_callback(self._made)
        return await asyncio.shield(call)

    def _made(self, call: "asyncio.Task[Any]") -> None:
        self._calls.discard(call)
        if not call.cancelled():
            call.exception()  # whoever asked may be gone

    async def close(self) -> None:
        """End what still waits for a dead process."""
        calls = list(self._calls)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    def die_at(self, point: str) -> None:
        """Die as soon as a point is passed that begins so."""
        self._doom = point

    def kill(self) -> None:
        """As kill -9 does."""
        self.dead = True
        if self.store is not None:
            self.store.abandon()
        if self.daemon is not None:
            self.daemon.task.cancel()

    def freeze(self) -> None:
        """As SIGSTOP does, as far as the world can tell."""
        self._awake.clear()
        if self.store is not None:
            self.store.cut_off()

    def thaw(self) -> None:
        if self.store is not None:
            self.store.reconnect()
        self._awake.set()


async def _call(effect: Callable[[], Awaitable[R]]) -> R:
    return await effect()


async def _for_ever() -> NoReturn:
    await asyncio.get_running_loop().create_future()
    raise AssertionError("nobody resolves this")


class ProcessStore(FaultyStore):
    """The store as one process reaches it."""

    def __init__(self, clock: Clock, server: MemoryServer, process: Process) -> None:
        super().__init__(clock, server)
        self._process = process
        self.listing_takes_s = 0.0
        self.deaf = False  # watches stay open and deliver nothing any more
        self._granted: list[MemoryLease] = []
        process.store = self

    def abandon(self) -> None:
        """The process is gone: nobody renews, nothing is revoked."""
        for lease in self._granted:
            lease.abandon()

    async def get(self, key: str) -> KeyValue | None:
        await self._process.passing("get")
        return await super().get(key)

    async def page(self, prefix: str, *, limit: int, start_key: str | None = None, revision: int = 0) -> Page:
        await self._process.passing("page")
        return await super().page(prefix, limit=limit, start_key=start_key, revision=revision)

    async def list(self, prefix: str) -> Listing:
        await self._process.passing(f"list {prefix}")
        if prefix == kinds.OBJECTS and self.listing_takes_s:
            await asyncio.sleep(self.listing_takes_s)
            await self._process.passing(f"listing {prefix}")
        return await super().list(prefix)

    async def txn(self, compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult:
        what = _what(operations)
        await self._process.passing(f"before {what}")
        result = await super().txn(compares, operations)
        await self._process.passing(f"after {what}")
        return result

    @asynccontextmanager
    async def watch(
        self, prefix: str, *, start_revision: int, with_previous: bool = False
    ) -> AsyncIterator[AsyncIterator[WatchBatch]]:
        inner = super().watch(prefix, start_revision=start_revision, with_previous=with_previous)
        async with inner as batches, aclosing(self._heard(batches)) as heard:
            yield heard

    async def _heard(self, batches: AsyncIterator[WatchBatch]) -> AsyncGenerator[WatchBatch]:
        async for batch in batches:
            if self.deaf:
                await _for_ever()
            yield batch

    async def status(self) -> StoreStatus:
        await self._process.passing("status")
        return await super().status()

    async def grant(self, ttl_s: float) -> Lease:
        await self._process.passing("before grant")
        lease = await super().grant(ttl_s)
        if isinstance(lease, MemoryLease):
            self._granted.append(lease)
        await self._process.passing("after grant")
        return lease

    async def revoke(self, lease_id: int) -> None:
        await self._process.passing("revoke")
        await super().revoke(lease_id)


def _what(operations: Sequence[Operation]) -> str:
    if not operations:
        return "txn of none"
    first = operations[0]
    place = first.key.split("/")[: 4 if first.key.startswith(kinds.OBJECTS) else 3]
    return f"txn of {len(operations)}: {type(first).__name__.lower()} {'/'.join(place)}"


class ProcessCloud(SimulatedCloud):
    """EC2 as one process reaches it."""

    def __init__(self, world: World, region: str, process: Process) -> None:
        super().__init__(world, region, caller=process.name)
        self._process = process

    async def _call(self, action: Action[R], params: Params) -> R:
        if not action.mutating:
            names = ", ".join(one["Name"] for one in params.get("Filters", ()))
            await self._process.passing(f"{action.name} by {names}")
            return await super()._call(action, params)
        return await self._process.sent(lambda: self._mutate(action, params))

    async def _mutate(self, action: Action[R], params: Params) -> R:
        await self._process.passing(f"before {action.name}")
        try:
            answer = await super()._call(action, params)
        finally:
            await self._process.passing(f"after {action.name}")
        return answer


class ProcessCloudWatch(SimulatedCloudWatch):
    """CloudWatch as one process reaches it."""

    def __init__(self, world: World, region: str, process: Process) -> None:
        super().__init__(world, region, caller=process.name)
        self._process = process

    async def get_metric_data(
        self, queries: Sequence[MetricQuery], *, start_at: datetime, end_at: datetime
    ) -> Mapping[MetricQuery, tuple[Point, ...]]:
        await self._process.passing("GetMetricData")
        return await super().get_metric_data(queries, start_at=start_at, end_at=end_at)

    async def describe_alarms(self, names: Sequence[str]) -> Mapping[str, AlarmState]:
        await self._process.passing("DescribeAlarms")
        return await super().describe_alarms(names)


class ProcessPrometheus:
    """A Prometheus as one process reaches it."""

    def __init__(self, source: Prometheus, process: Process) -> None:
        self._source = source
        self._process = process

    async def query_range(self, query: str, *, start_at: datetime, end_at: datetime, step_s: int) -> tuple[Point, ...]:
        await self._process.passing("query_range")
        return await self._source.query_range(query, start_at=start_at, end_at=end_at, step_s=step_s)


class ProcessQueue(SimulatedQueue):
    """The queue of events as one process reads it."""

    def __init__(self, world: World, region: str, process: Process) -> None:
        super().__init__(world, region, caller=process.name)
        self._process = process

    async def _call(self, action: Action[R], params: Params) -> R:
        await self._process.passing(f"before {action.name}")
        answer = await super()._call(action, params)
        await self._process.passing(f"after {action.name}")
        return answer


class Processes:
    """The daemons of one fleet. Make it inside a virtual-time loop."""

    def __init__(self, watcher: Watcher = no_watcher, **fleet_options: Any) -> None:
        self.running: dict[str, Process] = {}
        self.gone: list[Process] = []
        self.fleet = Fleet(
            wrap_store=self._store,
            wrap_cloud=self._cloud,
            wrap_queue=lambda name, _queue: ProcessQueue(self.fleet.world, REGION, self.running[name]),
            wrap_cloudwatch=self._cloudwatch,
            wrap_prometheus=lambda name, source: ProcessPrometheus(source, self.running[name]),
            **fleet_options,
        )
        self._watcher = watcher

    def start(self, name: str = "a") -> Process:
        """Start a process; a name that ran before is another one on the same machine."""
        process = self.running[name] = Process(name, self._watcher)
        process.daemon = self.fleet.start(name)
        return process

    def kill(self, name: str = "a") -> None:
        """Kill it, unless it is dead already; forget it."""
        process = self.running.pop(name)
        if not process.dead:
            process.kill()
        self.fleet.daemons.pop(name)
        self.gone.append(process)

    async def close(self) -> None:
        for process in self.running.values():
            process.thaw()
        await self.fleet.close()
        tasks = [process.daemon.task for process in self.gone if process.daemon is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        for process in (*self.running.values(), *self.gone):
            await process.close()

    def _store(self, name: str, _store: Store) -> ProcessStore:
        return ProcessStore(self.fleet.clock, self.fleet.server, self.running[name])

    def _cloudwatch(self, name: str, _watch: CloudWatch) -> ProcessCloudWatch:
        return ProcessCloudWatch(self.fleet.world, REGION, self.running[name])

    def _cloud(self, name: str, _cloud: Cloud) -> ProcessCloud:
        return ProcessCloud(self.fleet.world, REGION, self.running[name])
