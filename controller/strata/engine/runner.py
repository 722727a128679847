"""Runs passes: takes a key, has it reconciled, decides when it comes again. Knows nothing of what a pass does.

A pass that raises is retried with backoff and never ends a worker: one poisoned object delays no other.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Generic, TypeVar

import structlog

from strata.clock import Clock
from strata.engine.cancellation import being_cancelled, obey_cancellation
from strata.engine.queue import QueueClosed, WorkQueue
from strata.errors import CloudError, Conflict, NotLeader, StoreError
from strata.metrics import DaemonMetrics

K = TypeVar("K", bound=Hashable)

SteppingAside = Callable[[], AbstractContextManager[None]]  # Runner.stepping_aside, for those who know no Runner

_ORDINARY = (StoreError, CloudError, NotLeader)  # the world's faults, not ours: a trace would say nothing

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class _DeadlineExceeded(Exception):  # noqa: N818 - it never leaves this module
    pass


class Runner(Generic[K]):
    """`workers` loops over a queue, and as many more as are needed while passes step aside.

    `reconcile` returns in how many seconds it wants the key again, or None. A pass that takes longer than
    `deadline_s` is cancelled and retried; that is safe since the cloud adapter shields every mutating call.
    """

    def __init__(
        self,
        queue: WorkQueue[K],
        reconcile: Callable[[K], Awaitable[float | None]],
        *,
        workers: int,
        metrics: DaemonMetrics,
        clock: Clock,
        kind_of: Callable[[K], str],
        deadline_s: float = 120.0,
    ) -> None:
        self._queue = queue
        self._reconcile = reconcile
        self._workers = workers
        self._metrics = metrics
        self._clock = clock
        self._kind_of = kind_of
        self._deadline_s = deadline_s
        self._group: asyncio.TaskGroup | None = None
        self._on_duty: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Run until cancelled, or until the queue is closed."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            self._fill_up()

    @contextmanager
    def stepping_aside(self) -> Iterator[None]:
        """Give one's place to another worker while a pass waits for somebody who may be slow, such as EC2.

        So a region that does not answer holds up no other. Who is no worker here just waits."""
        task = asyncio.current_task()
        if task is None or task not in self._on_duty:
            yield
            return
        self._on_duty.discard(task)
        self._fill_up()
        try:
            yield
        finally:
            self._on_duty.add(task)  # for the rest of the pass there may be one worker more than wanted

    def _fill_up(self) -> None:
        while self._group is not None and len(self._on_duty) < self._workers:
            self._on_duty.add(self._group.create_task(self._work()))

    async def _work(self) -> None:
        try:
            while len(self._on_duty) <= self._workers:
                await self._work_once()
        except QueueClosed:
            return
        finally:
            self._on_duty = {task for task in self._on_duty if task is not asyncio.current_task()}

    async def _work_once(self) -> None:
        key = await self._queue.get()
        try:
            await self._pass(key)
            obey_cancellation()
        finally:
            self._queue.done(key)

    async def _pass(self, key: K) -> None:
        started_s = self._clock.monotonic_s()
        try:
            again_s = await self._bounded(key)
            if again_s is not None:
                self._queue.add_after(key, again_s)
        except asyncio.CancelledError as error:
            if being_cancelled():
                raise
            # Something that the pass awaited was cancelled, not this worker: it must not cost us the worker.
            self._retry(key, error)
        except Exception as error:  # noqa: BLE001 - whatever a pass raises concerns its key alone
            self._retry(key, error)
        else:
            self._queue.forget(key)
        finally:
            self._metrics.pass_seconds.labels(self._kind_of(key)).observe(self._clock.monotonic_s() - started_s)

    async def _bounded(self, key: K) -> float | None:
        try:
            async with asyncio.timeout(self._deadline_s) as deadline:
                return await self._reconcile(key)
        except TimeoutError:
            if deadline.expired():
                raise _DeadlineExceeded(f"cut after {self._deadline_s:g} s") from None
            raise

    def _retry(self, key: K, error: BaseException) -> None:
        kind, reason = self._kind_of(key), reason_of(error)
        self._metrics.retries.labels(kind, reason).inc()
        # Whoever was overtaken has only to read again: what overtook it may bring the key back at once.
        delay_s = self._queue.add_backoff(key, rest=not isinstance(error, Conflict))
        say = _log.bind(kind=kind, key=str(key), reason=reason, retry_s=round(delay_s, 3))
        if isinstance(error, Conflict):
            say.info("pass overtaken", error=str(error))
        elif isinstance(error, (*_ORDINARY, _DeadlineExceeded)):
            say.warning("pass failed", error=str(error))
        else:
            self._metrics.crashes.labels(kind).inc()
            say.error("pass crashed", exc_info=error)


def reason_of(error: BaseException) -> str:
    """A short reason in CamelCase, from a bounded set: it labels a metric."""
    if isinstance(error, CloudError):
        return error.kind.value
    if isinstance(error, _DeadlineExceeded):
        return "DeadlineExceeded"
    return type(error).__name__
