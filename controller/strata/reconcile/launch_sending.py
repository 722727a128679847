"""Sending: takes a sealed Launch to EC2 until its fate is known, and writes that down once."""

import asyncio
import random

import msgspec
import structlog

from strata.clock import Clock
from strata.cloud.port import Cloud, RunRequest
from strata.engine.leadership import Leadership
from strata.errors import CloudError, CloudErrorKind, StoreError
from strata.planner import launch as protocol
from strata.planner.facts import Note
from strata.planner.policy import Policy
from strata.reconcile.events import EventRecorder
from strata.reconcile.gate import Gate
from strata.reconcile.layer_metrics import LayerTally
from strata.reconcile.objects import Objects, Stored
from strata.reconcile.observer import RegionObserver
from strata.reconcile.refusals import Refusals
from strata.resources import kinds, reasons
from strata.resources.codec import with_status
from strata.resources.kinds import ObjectKey
from strata.resources.launch import Launch, LaunchStatus, Member
from strata.resources.machine import Machine
from strata.settings import ControllerSettings
from strata.store.repository import Repository

log = structlog.get_logger(__name__)

_RETRY_BASE_S = 1.0
_RETRY_CAP_S = 30.0
_SENDS_AT_ONCE = 8
_NAMED = 5  # machines that an event names
_SURPLUS_SWEEP_S = 1.0  # the cache has the record by then, and the audit ends what a sweep shows to be surplus


class Sending:
    """Drives the launches of one region, for one leadership."""

    def __init__(
        self,
        *,
        cloud: Cloud,
        observer: RegionObserver,
        objects: Objects,
        repository: Repository,
        leadership: Leadership,
        events: EventRecorder,
        tally: LayerTally,
        refusals: Refusals,
        gate: Gate,
        clock: Clock,
        rng: random.Random,
        settings: ControllerSettings,
        policy: Policy,
    ) -> None:
        self._cloud = cloud
        self._observer = observer
        self._objects = objects
        self._repository = repository
        self._leadership = leadership
        self._events = events
        self._tally = tally
        self._refusals = refusals
        self._gate = gate
        self._clock = clock
        self._rng = rng
        self._settings = settings
        self._policy = policy
        self._at_once = asyncio.Semaphore(_SENDS_AT_ONCE)

    async def drive(self, launch: Stored[Launch], *, inherited: bool) -> int:
        """Send until the fate is known, or a sweep must say it; the record's revision as it was last written here.

        An inherited record may have been sent already, by whoever died or lost the lease.
        """
        attempt, namespace = 0, launch.object.metadata.namespace
        current = launch
        unanswered = inherited
        try:
            while current.object.status.state == "sealed" and not self._objects.paused(namespace):
                if protocol.next_step(current.object, self._clock.now(), self._policy) != "resend":
                    return (await self._resolve_by_sweeps(current)).mod_revision
                step = _Step(current, first=attempt == 0 and not inherited, unanswered=unanswered)
                async with self._at_once:
                    current, unanswered = await self._send(step)
                attempt += 1
                if current.object.status.state == "sealed":
                    await asyncio.sleep(self._retry_s(attempt))
                    current = self._reread(current)
        except StoreError as error:
            log.warning("launch not written", launch=launch.object.metadata.name, error=str(error))
        return current.mod_revision

    def _reread(self, launch: Stored[Launch]) -> Stored[Launch]:
        """The newest of what was written here and what the cache has."""
        metadata = launch.object.metadata
        cached = self._objects.launch(metadata.namespace, metadata.name)
        return launch if cached is None or cached.mod_revision < launch.mod_revision else cached

    def _retry_s(self, attempt: int) -> float:
        return min(_RETRY_CAP_S, _RETRY_BASE_S * 2.0 ** min(attempt - 1, 10)) * self._rng.uniform(0.5, 1.0)

    async def _send(self, step: "_Step") -> tuple[Stored[Launch], bool]:
        """One RunInstances. Returns the record as it is then, and whether a send is unanswered."""
        launch = step.launch
        if not step.first:
            launch = await self._note_resend(launch, unanswered=step.unanswered)
        self._leadership.require(self._settings.act_margin_s)
        spec, name = launch.object.spec, launch.object.metadata.name
        request = RunRequest(client_token=name, parameters=spec.parameters, max_count=len(spec.members))
        try:
            machines = await self._cloud.run_instances(request)
        except CloudError as error:
            return await self._refused(launch, error)
        return await self._answered(launch, machines), False

    async def _note_resend(self, launch: Stored[Launch], *, unanswered: bool) -> Stored[Launch]:
        """Write when it is sent again, before it is: a crash after the send must find the time in the record."""
        status = launch.object.status
        return await self._commit(
            launch,
            msgspec.structs.replace(
                status,
                sent_at=self._clock.now(),
                unanswered_at=status.sent_at if unanswered else status.unanswered_at,
            ),
        )

    async def _answered(self, launch: Stored[Launch], machines: tuple[Machine, ...]) -> Stored[Launch]:
        spec = launch.object.spec
        status = protocol.assign(launch.object, machines, self._living(launch.object), self._clock.now())
        written = await self._commit(launch, status)
        self._observer.learn(machines)
        self._gate.opened()
        if status.surplus:
            self._observer.request_sweep(in_s=_SURPLUS_SWEEP_S)
        filled = {assignment.uid for assignment in status.assignments}
        self._tally.launches.update(
            (launch.object.metadata.namespace, m.layer) for m in spec.members if m.uid in filled
        )
        if status.unfilled:
            self._refusals.note(spec.type, spec.zone, spec.market)
        else:
            self._refusals.clear(spec.type, spec.zone, spec.market)
        self._tell(launch.object, status)
        log.info(
            "launched",
            stack=launch.object.metadata.namespace,
            launch=launch.object.metadata.name,
            machines=len(machines),
            unfilled=len(status.unfilled),
            type=spec.type,
            zone=spec.zone,
        )
        return written

    def _tell(self, launch: Launch, status: LaunchStatus) -> None:
        """One event a layer and launch: which machine became which slot."""
        by_uid = {assignment.uid: assignment.instance_id for assignment in status.assignments}
        for layer in sorted({member.layer for member in launch.spec.members}):
            filled = [m for m in launch.spec.members if m.layer == layer and m.uid in by_uid]
            stored = self._objects.layer(launch.metadata.namespace, layer)
            if filled and stored is not None:
                what = ", ".join(f"{m.name} ({by_uid[m.uid]})" for m in filled[:_NAMED])
                more = f" and {len(filled) - _NAMED} more" if len(filled) > _NAMED else ""
                message = f"{len(filled)} x {launch.spec.type} in {launch.spec.zone}: {what}{more}"
                key = ObjectKey(kinds.LAYER, layer, launch.metadata.namespace)
                self._events.record(key, stored.object.metadata.uid, Note(reasons.LAUNCHED, message))

    async def _refused(self, launch: Stored[Launch], error: CloudError) -> tuple[Stored[Launch], bool]:
        """EC2's no. A definitive one ends the launch, unless an earlier send may still be under way."""
        spec, status = launch.object.spec, launch.object.status
        self._note_error(launch.object, error)
        self._gate.note(error.kind)
        if error.kind is CloudErrorKind.CAPACITY:
            self._refusals.note(spec.type, spec.zone, spec.market)
        if protocol.is_death(error.kind, status.unanswered_at, self._clock.now(), self._policy):
            dead = protocol.dead(launch.object, _reason(error), error.message, self._clock.now())
            return await self._commit(launch, dead), False
        return launch, error.kind is CloudErrorKind.UNKNOWN_RESULT

    def _note_error(self, launch: Launch, error: CloudError) -> None:
        if error.kind is CloudErrorKind.THROTTLED:  # it waits a moment, and is counted with the calls
            log.info("launch throttled", launch=launch.metadata.name)
            return
        namespace, spec = launch.metadata.namespace, launch.spec
        message = f"{len(spec.members)} x {spec.type} in {spec.zone}: {error.code}: {error.message}"
        reason = reasons.CAPACITY if error.kind is CloudErrorKind.CAPACITY else reasons.LAUNCH_FAILED
        for layer in sorted({member.layer for member in spec.members}):
            self._tally.launch_failures[namespace, layer, _reason(error)] += 1
            stored = self._objects.layer(namespace, layer)
            if stored is not None:
                key = ObjectKey(kinds.LAYER, layer, namespace)
                self._events.record(key, stored.object.metadata.uid, Note(reason, message, warning=True))

    async def _resolve_by_sweeps(self, launch: Stored[Launch]) -> Stored[Launch]:
        """Its token may be forgotten: it is never sent again, and two late sweeps say what came of it."""
        sweeps = self._observer.sweeps_for(launch.object.metadata.name)
        machines = protocol.resolve_by_sweeps(launch.object, sweeps, self._policy)
        if machines is None:
            self._observer.request_sweep(in_s=self._settings.absence_gap_s)
            return launch
        if machines:
            return await self._answered(launch, machines)
        message = "no answer, and no machine in two complete sweeps"
        return await self._commit(launch, protocol.dead(launch.object, "Unanswered", message, self._clock.now()))

    def _living(self, launch: Launch) -> frozenset[str]:
        """Uids of the members that are still there, deleted or not: a deleted one ends its own machine.

        The cache may not have heard of the seal yet, so only a later attempt tells that a slot has moved on.
        """
        return frozenset(member.uid for member in launch.spec.members if self._is_living(launch, member))

    def _is_living(self, launch: Launch, member: Member) -> bool:
        namespace = launch.metadata.namespace
        if self._objects.unreadable_at(kinds.INSTANCE.key(member.name, namespace)):
            return True
        instance = self._objects.member(namespace, member)
        return instance is not None and instance.status.attempt <= member.attempt

    async def _commit(self, launch: Stored[Launch], status: LaunchStatus) -> Stored[Launch]:
        value = with_status(launch.value, status)
        revision = await self._repository.commit([launch.write(value)])
        return Stored(launch.key, value, revision, msgspec.structs.replace(launch.object, status=status))


class _Step(msgspec.Struct, frozen=True):
    """One send: of which record, whether it is the first that its seal stands for, and whether one is unanswered."""

    launch: Stored[Launch]
    first: bool
    unanswered: bool


def _reason(error: CloudError) -> str:
    """One word for conditions and metrics; a shortage under EC2's own name for it."""
    return reasons.CAPACITY if error.kind is CloudErrorKind.CAPACITY else error.kind.value
