"""EC2's changes to machines that exist: gathered for a moment, fenced, and each told its own result.

Used by the Instance pass (its own id), the launcher (surplus) and the reaper (orphans).
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from strata.cloud.port import Cloud
from strata.engine.leadership import Leadership
from strata.engine.runner import SteppingAside
from strata.errors import CloudError, CloudErrorKind
from strata.reconcile.dividing import Call, divided
from strata.resources import tags

log = structlog.get_logger(__name__)

_WINDOW_S = 0.01
_MAX_IDS = 500
_SUSPECTS = 8  # that are tried in one round: the others' turn comes again between them
_SUSPECT_S = 600.0  # so long after its refusal an id goes out alone
_RETAG_AFTER_S = 120.0  # Describe may lag: do not write the same tags again at once

_Waiting = dict[str, asyncio.Future[None]]


class Coalescer:
    """One verb: ids that arrive within a moment go out in one call.

    When a call of several is refused it is divided, so that one bad id fails nobody else. An id that was refused
    where others were not goes out alone for a while, and after the others: it costs one call each time, not a dozen.
    """

    def __init__(self, call: Call, stepping_aside: SteppingAside) -> None:
        self._call = call
        self._stepping_aside = stepping_aside
        self._waiting: _Waiting = {}
        self._suspect_until_s: dict[str, float] = {}
        self._wake = asyncio.Event()

    async def submit(self, instance_id: str) -> None:
        """Carry the verb out on this id. Raises CloudError or NotLeader."""
        future = self._waiting.get(instance_id)
        if future is None:
            future = self._waiting[instance_id] = asyncio.get_running_loop().create_future()
            self._wake.set()
        with self._stepping_aside():  # a region that does not answer must not hold up the passes of another
            await asyncio.shield(future)

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(_WINDOW_S)
            self._wake.clear()
            batches = self._take()
            try:
                for batch in batches:
                    await self._flush(batch)
            finally:  # cut short: nobody else would ever answer those who wait
                for batch in batches:
                    _tell(batch, tuple(batch), _INTERRUPTED)

    def _take(self) -> list[_Waiting]:
        """What goes out now: the ids that nothing is known against, in full calls; then some suspects, one by one."""
        now_s = asyncio.get_running_loop().time()
        self._suspect_until_s = {i: until_s for i, until_s in self._suspect_until_s.items() if until_s > now_s}
        good = [one for one in self._waiting if one not in self._suspect_until_s]
        suspects = [one for one in self._waiting if one in self._suspect_until_s]
        if len(suspects) > _SUSPECTS:
            self._wake.set()
        calls = [good[start : start + _MAX_IDS] for start in range(0, len(good), _MAX_IDS)]
        calls += [[one] for one in suspects[:_SUSPECTS]]
        return [{one: self._waiting.pop(one) for one in ids} for ids in calls]

    async def _flush(self, batch: _Waiting) -> None:
        refused: list[str] = []

        def tell(ids: Sequence[str], error: Exception | None) -> None:
            _tell(batch, ids, error)
            if isinstance(error, CloudError) and error.kind.definitive and len(ids) == 1:
                refused.extend(ids)
            if error is None:
                for one in ids:
                    self._suspect_until_s.pop(one, None)

        await divided(self._call, tuple(batch), tell)
        if len(refused) < len(batch) or refused[0] in self._suspect_until_s:  # of all: says nothing about any
            self._suspect(refused)

    def _suspect(self, ids: Sequence[str]) -> None:
        until_s = asyncio.get_running_loop().time() + _SUSPECT_S
        self._suspect_until_s.update(dict.fromkeys(ids, until_s))


_INTERRUPTED = CloudError(CloudErrorKind.UNKNOWN_RESULT, "Interrupted", "it may have been done")


def _log_untagged(ids: Sequence[str], error: Exception | None) -> None:
    if error is not None:
        reason = error.kind.value if isinstance(error, CloudError) else type(error).__name__
        log.info("tags not written", reason=reason, error=str(error), machines=len(ids))


def _tell(batch: _Waiting, ids: Sequence[str], error: Exception | None) -> None:
    for one in ids:
        future = batch[one]
        if future.done():
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
            future.exception()  # the waiter may be gone: its pass was cut short


@dataclass(slots=True)
class _TagWish:
    tags: Mapping[str, str]
    asked_s: float = field(default=0.0)


class Mutations:
    """The verbs of one region, for one leadership."""

    def __init__(
        self, cloud: Cloud, leadership: Leadership, stepping_aside: SteppingAside, *, act_margin_s: float
    ) -> None:
        self._cloud = cloud
        self._leadership = leadership
        self._margin_s = act_margin_s
        self.terminate = Coalescer(self._fenced(cloud.terminate_instances), stepping_aside)
        self.stop = Coalescer(self._fenced(cloud.stop_instances), stepping_aside)
        self.start = Coalescer(self._fenced(cloud.start_instances), stepping_aside)
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

    def _fenced(self, call: Call) -> Call:
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
        """Never raises: whatever it is, a tag that is missing must not end the verbs that are under way."""
        call = self._fenced(lambda some: self._cloud.create_tags(some, wanted))
        await divided(call, ids, _log_untagged)

    def _forget_old(self) -> None:
        now_s = asyncio.get_running_loop().time()
        self._tagged_s = {i: at for i, at in self._tagged_s.items() if now_s - at < _RETAG_AFTER_S}
