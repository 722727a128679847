"""EC2's changes to machines that exist: gathered for a moment, fenced, and each told its own result.

Used by the Instance pass (its own id), the launcher (surplus) and the reaper (orphans).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from strata.cloud.port import Cloud
from strata.engine.leadership import Leadership
from strata.errors import CloudError, CloudErrorKind, NotLeader
from strata.resources import tags

log = structlog.get_logger(__name__)

_WINDOW_S = 0.01
_MAX_IDS = 500
_RETAG_AFTER_S = 120.0  # Describe may lag: do not write the same tags again at once


class Coalescer:
    """One verb: ids that arrive within a moment go out in one call.

    When a call of several is refused, each id is tried alone, so that one bad id fails nobody else.
    """

    def __init__(self, call: Callable[[Sequence[str]], Awaitable[None]]) -> None:
        self._call = call
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._wake = asyncio.Event()

    async def submit(self, instance_id: str) -> None:
        """Carry the verb out on this id. Raises CloudError or NotLeader."""
        future = self._waiting.get(instance_id)
        if future is None:
            future = self._waiting[instance_id] = asyncio.get_running_loop().create_future()
            self._wake.set()
        await asyncio.shield(future)

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(_WINDOW_S)
            self._wake.clear()
            waiting, self._waiting = self._waiting, {}
            ids = list(waiting)
            try:
                for start in range(0, len(ids), _MAX_IDS):
                    await self._flush({i: waiting[i] for i in ids[start : start + _MAX_IDS]})
            finally:  # cut short: nobody else would ever answer those who wait
                _fail(waiting, CloudError(CloudErrorKind.UNKNOWN_RESULT, "Interrupted", "it may have been done"))

    async def _flush(self, batch: Mapping[str, asyncio.Future[None]]) -> None:
        try:
            await self._call(tuple(batch))
        except CloudError as error:
            if len(batch) == 1 or not error.kind.definitive:
                _fail(batch, error)
                return
            for instance_id, future in batch.items():
                await self._flush({instance_id: future})
        except Exception as error:  # noqa: BLE001 - whoever waits must hear of it, whatever it is
            _fail(batch, error)
        else:
            for future in batch.values():
                if not future.done():
                    future.set_result(None)


def _fail(batch: Mapping[str, asyncio.Future[None]], error: Exception) -> None:
    for future in batch.values():
        if not future.done():
            future.set_exception(error)
            future.exception()  # the waiter may be gone: its pass was cut short


@dataclass(slots=True)
class _TagWish:
    tags: Mapping[str, str]
    asked_s: float = field(default=0.0)


class Mutations:
    """The verbs of one region, for one leadership."""

    def __init__(self, cloud: Cloud, leadership: Leadership, *, act_margin_s: float) -> None:
        self._cloud = cloud
        self._leadership = leadership
        self._margin_s = act_margin_s
        self.terminate = Coalescer(self._fenced(cloud.terminate_instances))
        self.stop = Coalescer(self._fenced(cloud.stop_instances))
        self.start = Coalescer(self._fenced(cloud.start_instances))
        self._tag_wishes: dict[str, Mapping[str, str]] = {}
        self._tagged_s: dict[str, float] = {}
        self._tag_wake = asyncio.Event()

    def want_tags(self, instance_id: str, wanted: Mapping[str, str]) -> None:
        """Tag this machine when nothing more urgent is to do. Level-triggered: asked again while tags are missing."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._tagged_s.get(instance_id, -_RETAG_AFTER_S) < _RETAG_AFTER_S:
            return
        self._tagged_s[instance_id] = now_s
        self._tag_wishes[instance_id] = wanted
        self._tag_wake.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for verb in (self.terminate, self.stop, self.start):
                group.create_task(verb.run())
            group.create_task(self._run_tags())

    def _fenced(self, call: Callable[[Sequence[str]], Awaitable[None]]) -> Callable[[Sequence[str]], Awaitable[None]]:
        async def fenced(ids: Sequence[str]) -> None:
            self._leadership.require(self._margin_s)
            await call(ids)

        return fenced

    async def _run_tags(self) -> None:
        """The layer tag in one call for all machines of a layer; then the names, one call each."""
        while True:
            await self._tag_wake.wait()
            await asyncio.sleep(_WINDOW_S)
            self._tag_wake.clear()
            wishes, self._tag_wishes = self._tag_wishes, {}
            by_layer: dict[str, list[str]] = {}
            for instance_id, wanted in wishes.items():
                by_layer.setdefault(wanted[tags.LAYER], []).append(instance_id)
            for layer, ids in by_layer.items():
                for start in range(0, len(ids), _MAX_IDS):
                    await self._tag(ids[start : start + _MAX_IDS], {tags.LAYER: layer})
            for instance_id, wanted in wishes.items():
                await self._tag([instance_id], {k: v for k, v in wanted.items() if k != tags.LAYER})
            self._forget_old()

    async def _tag(self, ids: Sequence[str], wanted: Mapping[str, str]) -> None:
        try:
            self._leadership.require(self._margin_s)
            await self._cloud.create_tags(ids, wanted)
        except CloudError as error:
            log.info("tags not written", reason=error.kind.value, error=str(error), machines=len(ids))
        except NotLeader as error:  # a lease that is short for a moment must not end the verbs that are under way
            log.info("tags not written", reason="NotLeader", error=str(error), machines=len(ids))

    def _forget_old(self) -> None:
        now_s = asyncio.get_running_loop().time()
        self._tagged_s = {i: at for i, at in self._tagged_s.items() if now_s - at < _RETAG_AFTER_S}
