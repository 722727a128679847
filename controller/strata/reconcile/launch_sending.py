"""Sending: takes a sealed Launch to EC2 until its fate is known, and writes that down once."""

import asyncio
import functools
import random
from dataclasses import dataclass
from datetime import timedelta

import msgspec
import structlog

from strata.clock import Clock
from strata.cloud.port import Cloud, RunRequest
from strata.engine.leadership import Leadership
from strata.engine.turns import Turns
from strata.errors import CloudError, CloudErrorKind, NotLeader, StoreError
from strata.planner import launch as protocol
from strata.planner.conditions import some
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
_SENDS_AT_ONCE = 8  # RunInstances refills at 2 a second: more would only wait elsewhere, in no order
_MOMENT = timedelta(seconds=10)  # between the time that a record says and the send
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
        self._turns = Turns(_SENDS_AT_ONCE)

    async def drive(self, launch: Stored[Launch], *, inherited: bool) -> int:
        """Send until the fate is known, or a sweep must say it; the record's revision as it was last written here.

        An inherited record may have been sent already, by whoever died or lost the lease.
        """
        namespace = launch.object.metadata.namespace
        urgent = any(member.attempt > 1 for member in launch.object.spec.members)
        journey = _Journey(launch, self._clock.monotonic_s(), sent=inherited, unanswered=inherited)
        try:
            while self._goes_on(journey):
                if protocol.next_step(journey.launch.object, self._clock.now(), self._policy) != "resend":
                    await self._resolve_by_sweeps(journey)
                    break
                async with self._turns.turn(namespace, urgent=urgent):
                    dead = await self._send(journey)
                if dead is not None:
                    await self._commit(journey, dead)
                if self._goes_on(journey):
                    journey.attempts += 1
                    await asyncio.sleep(self._retry_s(journey.attempts))
                    journey.launch = self._reread(journey.launch)
        except StoreError as error:
            log.warning("launch not written", launch=launch.object.metadata.name, error=str(error))
        return journey.launch.mod_revision

    def _goes_on(self, journey: "_Journey") -> bool:
        launch = journey.launch.object
        return launch.status.state == "sealed" and not self._objects.paused(launch.metadata.namespace)

    def _reread(self, launch: Stored[Launch]) -> Stored[Launch]:
        """The newest of what was written here and what the cache has."""
        metadata = launch.object.metadata
        cached = self._objects.launch(metadata.namespace, metadata.name)
        return launch if cached is None or cached.mod_revision < launch.mod_revision else cached

    def _retry_s(self, attempt: int) -> float:
        return min(_RETRY_CAP_S, _RETRY_BASE_S * 2.0 ** min(attempt - 1, 10)) * self._rng.uniform(0.5, 1.0)

    async def _send(self, journey: "_Journey") -> LaunchStatus | None:
        """One RunInstances. Returns the status that says that the launch is dead, if it is; an answer is written."""
        if not self._goes_on(journey):  # paused while it waited for its turn
            return None
        launch = journey.launch.object
        spec = launch.spec
        if not journey.sent and self._refusals.refused_since(journey.began_s, spec.type, spec.zone, spec.market):
            # It was never sent, so nothing can come of it: its members are better off elsewhere.
            message = f"{spec.zone} had no {spec.type} ({spec.market}) a moment ago"
            return protocol.dead(launch, reasons.CAPACITY, message, self._clock.now())
        request = RunRequest(client_token=launch.metadata.name, parameters=spec.parameters, max_count=len(spec.members))
        try:
            self._leadership.require(self._settings.act_margin_s)
            machines = await self._cloud.run_instances(request, functools.partial(self._note_send, journey))
        except CloudError as error:
            return self._refused(journey, error)
        except NotLeader as error:  # nothing was sent. If it lasts, the leadership's end ends this as well
            log.info("launch not sent", launch=launch.metadata.name, error=str(error))
            return None
        await self._answered(journey, machines)
        return None

    async def _note_send(self, journey: "_Journey") -> None:
        """Write when it is sent, right before it is: a crash after the send must find the time in the record. For the
        first send the seal's time stands, if it waited no longer than a moment for its turn."""
        now, status = self._clock.now(), journey.launch.object.status
        if journey.sent or now - status.sent_at > _MOMENT:
            unanswered_at = status.sent_at if journey.unanswered else status.unanswered_at
            noted = msgspec.structs.replace(status, sent_at=now, unanswered_at=unanswered_at)
            await self._commit(journey, noted)
        self._leadership.require(self._settings.act_margin_s)  # after the write, which may have taken long
        journey.sent, journey.unanswered = True, False

    async def _answered(self, journey: "_Journey", machines: tuple[Machine, ...]) -> None:
        launch = journey.launch
        spec = launch.object.spec
        status = protocol.assign(launch.object, machines, self._living(launch.object), self._clock.now())
        await self._commit(journey, status)
        self._observer.learn(machines)
        self._gate.opened()
        if status.surplus:
            self._observer.request_sweep(in_s=_SURPLUS_SWEEP_S)
        filled = {assignment.uid for assignment in status.assignments}
        self._tally.launches.update(
            (launch.object.metadata.namespace, m.layer) for m in spec.members if m.uid in filled
        )
        self._tally.spot.launched(launch.object, status)
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

    def _tell(self, launch: Launch, status: LaunchStatus) -> None:
        """One event a layer and launch: which machine became which slot."""
        by_uid = {assignment.uid: assignment.instance_id for assignment in status.assignments}
        for layer in sorted({member.layer for member in launch.spec.members}):
            filled = [m for m in launch.spec.members if m.layer == layer and m.uid in by_uid]
            stored = self._objects.layer(launch.metadata.namespace, layer)
            if filled and stored is not None:
                what = ", ".join(f"{m.name} ({by_uid[m.uid]})" for m in filled[:_NAMED])
                more = f" and {len(filled) - _NAMED} more" if len(filled) > _NAMED else ""
                message = f"{len(filled)} x {_bought(launch)} in {launch.spec.zone}: {what}{more}"
                key = ObjectKey(kinds.LAYER, layer, launch.metadata.namespace)
                self._events.record(key, stored.object.metadata.uid, Note(reasons.LAUNCHED, message))
                fallen = [member.name for member in filled if member.fallback]
                if fallen:
                    text = f"{len(fallen)} bought on demand for want of spot capacity: {some(fallen)}"
                    self._events.record(
                        key, stored.object.metadata.uid, Note(reasons.SPOT_FALLBACK, text, warning=True)
                    )

    def _refused(self, journey: "_Journey", error: CloudError) -> LaunchStatus | None:
        """EC2's no. A definitive one ends the launch, unless an earlier send may still be under way."""
        launch = journey.launch.object
        spec, status, now = launch.spec, launch.status, self._clock.now()
        self._note_error(launch, error)
        self._gate.note(error.kind)
        journey.unanswered = journey.unanswered or error.kind is CloudErrorKind.UNKNOWN_RESULT
        if error.kind is CloudErrorKind.CAPACITY:
            self._refusals.note(spec.type, spec.zone, spec.market)
        elif error.kind.definitive:
            self._refusals.undecided(spec.type, spec.zone, spec.market)
        if not protocol.is_death(error.kind, status.unanswered_at, now, self._policy):
            return None
        return protocol.dead(launch, _reason(error), error.message, now)

    def _note_error(self, launch: Launch, error: CloudError) -> None:
        if error.kind is CloudErrorKind.THROTTLED:  # it waits a moment, and is counted with the calls
            log.info("launch throttled", launch=launch.metadata.name)
            return
        namespace, spec = launch.metadata.namespace, launch.spec
        message = f"{len(spec.members)} x {_bought(launch)} in {spec.zone}: {error.code}: {error.message}"
        reason = reasons.CAPACITY if error.kind is CloudErrorKind.CAPACITY else reasons.LAUNCH_FAILED
        for layer in sorted({member.layer for member in spec.members}):
            self._tally.launch_failures[namespace, layer, _reason(error)] += 1
            stored = self._objects.layer(namespace, layer)
            if stored is not None:
                key = ObjectKey(kinds.LAYER, layer, namespace)
                self._events.record(key, stored.object.metadata.uid, Note(reason, message, warning=True))

    async def _resolve_by_sweeps(self, journey: "_Journey") -> None:
        """Its token may be forgotten: it is never sent again, and two late sweeps say what came of it."""
        launch = journey.launch.object
        sweeps = self._observer.sweeps_for(launch.metadata.name)
        machines = protocol.resolve_by_sweeps(launch, sweeps, self._policy)
        if machines is None:
            self._observer.request_sweep(in_s=self._settings.absence_gap_s)
        elif machines:
            await self._answered(journey, machines)
        else:
            message = "no answer, and no machine in two complete sweeps"
            await self._commit(journey, protocol.dead(launch, protocol.UNANSWERED, message, self._clock.now()))

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

    async def _commit(self, journey: "_Journey", status: LaunchStatus) -> None:
        launch = journey.launch
        value = with_status(launch.value, status)
        revision = await self._repository.commit([launch.write(value)])
        journey.launch = Stored(launch.key, value, revision, msgspec.structs.replace(launch.object, status=status))


@dataclass(slots=True)
class _Journey:
    """One launch on its way: its record as it was written last, and what is known of its sends."""

    launch: Stored[Launch]
    began_s: float
    sent: bool  # somebody may have sent it
    unanswered: bool  # and the last send may have got no answer, which the record does not say yet
    attempts: int = 0


def _bought(launch: Launch) -> str:
    return launch.spec.type if launch.spec.market == "on-demand" else f"{launch.spec.type} ({launch.spec.market})"


def _reason(error: CloudError) -> str:
    """One word for conditions and metrics; a shortage under EC2's own name for it."""
    return reasons.CAPACITY if error.kind is CloudErrorKind.CAPACITY else error.kind.value
