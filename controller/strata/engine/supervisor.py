"""Keeps long-lived coroutines running: restarts what fails or returns, and tells who is unwell.

Tasks live in one scope: they end together when the scope is cancelled or one of them raises a fatal exception.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from strata.clock import Clock
from strata.engine.cancellation import being_cancelled, obey_cancellation
from strata.errors import NotLeader

_BACKOFF_BASE_S = 0.5
_BACKOFF_CAP_S = 30.0
_SETTLED_S = 30.0  # a restarted task that has run this long counts as well, and its backoff starts anew

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Health:
    reason: str | None = "not started"  # why the task last stopped; None: it never did
    failures: int = 0
    running_since_s: float | None = None


class Supervisor:
    """Runs named coroutines, each made by a factory so that it can be made again."""

    def __init__(self, *, clock: Clock, rng: random.Random, fatal: tuple[type[Exception], ...] = (NotLeader,)) -> None:
        self._clock = clock
        self._rng = rng
        self._fatal = fatal
        self._factories: dict[str, Callable[[], Awaitable[None]]] = {}
        self._health: dict[str, _Health] = {}
        self._scope: asyncio.TaskGroup | None = None

    def add(self, name: str, factory: Callable[[], Awaitable[None]]) -> None:
        """Have `factory()` run while the supervisor does. Raises ValueError for a name twice."""
        if name in self._factories:
            raise ValueError(f"a task named {name} is there already")
        self._factories[name] = factory
        self._health[name] = _Health()
        if self._scope is not None:
            self._scope.create_task(self._keep(name), name=name)

    def unhealthy(self) -> list[tuple[str, str]]:
        """(name, reason) of each task that does not run, or was restarted a moment ago."""
        return [(name, h.reason) for name, h in self._health.items() if h.reason and not self._settled(h)]

    async def run(self) -> None:
        """Run all until cancelled. Raises the first fatal exception by itself, not in a group."""
        try:
            async with asyncio.TaskGroup() as scope:
                self._scope = scope
                for name in list(self._factories):
                    scope.create_task(self._keep(name), name=name)
                await asyncio.Event().wait()  # a supervisor without tasks waits for some
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            self._scope = None
            for health in self._health.values():
                health.running_since_s = None
                health.reason = health.reason or "stopped"

    async def _keep(self, name: str) -> None:
        health = self._health[name]
        while True:
            health.running_since_s = self._clock.monotonic_s()
            if health.failures == 0:
                health.reason = None
            reason = await self._run_once(name)
            obey_cancellation()
            if self._settled(health):
                health.failures = 0
            health.running_since_s = None
            health.reason = reason
            health.failures += 1
            await asyncio.sleep(self._backoff_s(health.failures))

    async def _run_once(self, name: str) -> str:
        """Run the task to its end and say how that came; raises what is fatal, and our own cancellation."""
        try:
            await self._factories[name]()
        except self._fatal:
            raise
        except asyncio.CancelledError:
            if being_cancelled():
                raise
            _log.warning("task was cancelled from inside", task=name)
            return "CancelledError"
        except Exception as error:  # noqa: BLE001 - whatever ends a task is met by a restart
            _log.error("task failed", task=name, exc_info=error)
            return f"{type(error).__name__}: {error}"
        _log.warning("task returned", task=name)
        return "returned"

    def _settled(self, health: _Health) -> bool:
        since_s = health.running_since_s
        return since_s is not None and self._clock.monotonic_s() - since_s >= _SETTLED_S

    def _backoff_s(self, failures: int) -> float:
        backoff_s = min(_BACKOFF_CAP_S, _BACKOFF_BASE_S * 2.0 ** min(failures - 1, 10))
        return backoff_s * self._rng.uniform(0.5, 1.0)
