"""The launcher of one region: gathers slots that want a machine, seals, sends, resolves. See planner/launch.py.

    intake    wanting Instances -> groups of equal parameters -> sealed Launch records, members in the same transaction
    drive     a sealed record -> RunInstances, again and again with the same bytes, until its fate is known
    audit     after a sweep: machines of our Launches that no slot is entitled to are ended; old records go

Whatever dies on whatever line, the record says what was about to be asked for, and the token makes asking again safe.
"""

import asyncio
import random
import uuid
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import structlog

from strata.clock import Clock
from strata.cloud.port import Cloud, RunRequest
from strata.engine.leadership import Leadership
from strata.errors import CloudError, CloudErrorKind, StoreError
from strata.planner import launch as protocol
from strata.planner.backoff import retry_at
from strata.planner.facts import Note
from strata.planner.instance import sealed_status
from strata.planner.policy import Policy
from strata.planner.template import effective, launch_tags, missing_fields, run_parameters, template_digest
from strata.reconcile.events import EventRecorder
from strata.reconcile.gate import Gate
from strata.reconcile.layer_metrics import LayerTally
from strata.reconcile.mutations import Mutations
from strata.reconcile.objects import Objects, Stored
from strata.reconcile.observer import RegionObserver
from strata.reconcile.refusals import Refusals
from strata.resources import kinds, reasons, tags
from strata.resources.codec import encode, with_status
from strata.resources.instance import Instance
from strata.resources.kinds import ObjectKey
from strata.resources.launch import Launch, LaunchSpec, LaunchStatus, Member
from strata.resources.layer import ResolvedImage
from strata.resources.machine import Machine
from strata.resources.meta import API_VERSION, ObjectMeta
from strata.resources.stack import InstanceTemplate, Stack
from strata.settings import ControllerSettings
from strata.store.port import ModRevisionIs
from strata.store.repository import Repository, Write

log = structlog.get_logger(__name__)

_RETRY_BASE_S = 1.0
_RETRY_CAP_S = 30.0
_IDLE_S = 30.0
_SENDS_AT_ONCE = 8
_NO_TAG = "-"  # stands for the launch id in the parameters that are compared


class Launcher:
    """One a region and leadership. `stacks` are the region's stacks, from the cache."""

    def __init__(
        self,
        *,
        cloud: Cloud,
        observer: RegionObserver,
        mutations: Mutations,
        objects: Objects,
        repository: Repository,
        leadership: Leadership,
        events: EventRecorder,
        tally: LayerTally,
        clock: Clock,
        rng: random.Random,
        settings: ControllerSettings,
        policy: Policy,
        stacks: Callable[[], Iterable[Stored[Stack]]],
    ) -> None:
        self._cloud = cloud
        self._observer = observer
        self._mutations = mutations
        self._objects = objects
        self._repository = repository
        self._leadership = leadership
        self._events = events
        self._tally = tally
        self._clock = clock
        self._rng = rng
        self._settings = settings
        self._policy = policy
        self._stacks = stacks
        self._refusals = Refusals(clock, keep_s=settings.refusal_memory_s)
        self._gate = Gate(clock)
        self._wake = asyncio.Event()
        self._audit_due = asyncio.Event()
        self._driving: set[str] = set()
        self._sealed_at: dict[str, int] = {}  # instance's store key -> the revision it was sealed from
        self._sends = asyncio.Semaphore(_SENDS_AT_ONCE)

    def poke(self) -> None:
        """Something may want a machine, or a launch may be open."""
        self._wake.set()

    def swept(self) -> None:
        """A complete sweep ended: audit, and resolve what only sweeps can."""
        self._audit_due.set()
        self._wake.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._run_audits())
            while True:
                next_in_s = await self._turn(group)
                await self._sleep(next_in_s)
                await asyncio.sleep(self._settings.launch_window_s)  # gather what comes together

    async def _turn(self, group: asyncio.TaskGroup) -> float:
        """Seal what waits and drive what is open; in how many seconds to look again if nobody pokes."""
        self._wake.clear()
        next_in_s = _IDLE_S
        for stack in self._stacks():
            if stack.object.spec.paused:
                continue
            for launch in self._objects.open_launches(stack.object.metadata.name):
                self._drive_in(group, launch, inherited=True)
            next_in_s = min(next_in_s, await self._intake(group, stack))
        self._forget_sealed()
        return next_in_s

    # -- intake ----------------------------------------------------------------------------------------------

    async def _intake(self, group: asyncio.TaskGroup, stack: Stored[Stack]) -> float:
        wanting = self._objects.wanting(stack.object.metadata.name)
        if not wanting or stack.object.metadata.deleting:
            return _IDLE_S
        if self._gate.opens_in_s() > 0:
            return self._gate.opens_in_s()
        waits = [self._waits_s(stored.object) for stored in wanting]
        due = [
            stored
            for stored, wait_s in zip(wanting, waits, strict=True)
            if wait_s <= 0 and self._sealed_at.get(stored.key) != stored.mod_revision
        ]
        wants = self._wants(stack.object, due)
        by_uid = {stored.object.metadata.uid: stored for stored in due}
        for members in protocol.group(wants, members_per_launch=self._policy.members_per_launch):
            launch = await self._seal(stack, members, by_uid)
            if launch is not None:
                self._drive_in(group, launch, inherited=False)
        later = [wait_s for wait_s in waits if wait_s > 0]
        if len(wants) < len(due):
            later.append(self._refusals.next_end_in_s() or _IDLE_S)
        return min(later, default=_IDLE_S)

    def _waits_s(self, instance: Instance) -> float:
        due = retry_at(instance.status.failures, self._policy)
        return 0.0 if due is None else (due - self._clock.now()).total_seconds()

    def _wants(self, stack: Stack, due: list[Stored[Instance]]) -> list[protocol.Want]:
        """What each due slot asks for; slots whose template is not whole, or has no capacity now, are left out."""
        made: dict[tuple[Any, ...], tuple[dict[str, Any], bytes]] = {}
        wants = []
        for stored in due:
            want = self._want(stack, stored.object, made)
            if want is not None:
                wants.append(want)
        return wants

    def _want(
        self, stack: Stack, instance: Instance, made: dict[tuple[Any, ...], tuple[dict[str, Any], bytes]]
    ) -> protocol.Want | None:
        namespace, layer_name = instance.metadata.namespace, instance.spec.layers[0]
        layer = self._objects.layer(namespace, layer_name)
        image = layer.object.status.image if layer is not None else None
        if layer is None or image is None:
            return None
        template = effective(stack, layer.object, instance)
        if missing_fields(template):
            return None
        placed = protocol.place(template.types or (), stack.spec.subnets, instance.spec.zone, self._refusals.refused)
        if placed is None:
            return None
        type_, subnet = placed
        fixed = (layer_name, layer.mod_revision, instance.spec.instance, type_, subnet.id)
        key = (*fixed[:2], encode(fixed[2]), *fixed[3:])
        if key not in made:
            parameters = run_parameters(
                template,
                image,
                type_=type_,
                subnet=subnet,
                launch_tags=self._launch_tags(stack, template, image, _NO_TAG),
            )
            made[key] = (parameters, protocol.fingerprint(parameters))
        parameters, fingerprint = made[key]
        return protocol.Want(
            member=Member(
                name=instance.metadata.name,
                uid=instance.metadata.uid,
                attempt=instance.status.attempt + 1,
                layer=layer_name,
            ),
            stack=namespace,
            region=stack.spec.region,
            endpoint=stack.spec.endpoint,
            type=type_,
            zone=subnet.zone,
            template=template_digest(template, image),
            parameters=parameters,
            fingerprint=fingerprint,
        )

    def _launch_tags(
        self, stack: Stack, template: InstanceTemplate, image: ResolvedImage, launch_id: str
    ) -> dict[str, str]:
        return launch_tags(
            cluster_id=self._policy.cluster_id,
            stack=stack.metadata.name,
            launch_id=launch_id,
            template=template_digest(template, image),
        )

    async def _seal(
        self, stack: Stored[Stack], members: list[protocol.Want], by_uid: dict[str, Stored[Instance]]
    ) -> Stored[Launch] | None:
        """Write the record and its members' status.launch in one transaction, or nothing (None: tried again)."""
        launch = self._record(members)
        launch_id, namespace = launch.metadata.name, launch.metadata.namespace
        stored = [by_uid[want.member.uid] for want in members]
        writes = [item.write(with_status(item.value, sealed_status(item.object.status, launch_id))) for item in stored]
        key, value = kinds.LAUNCH.key(launch_id, namespace), encode(launch)
        writes.append(Write(key, value, 0))
        try:
            # The guard: a pause, or another template, that came after our read must stop this launch.
            revision = await self._repository.commit(writes, guards=[ModRevisionIs(stack.key, stack.mod_revision)])
        except StoreError as error:
            # Ambiguous too: if it was written, the watch brings the record, and it is driven as an inherited one.
            log.info("launch not sealed", stack=namespace, members=len(members), error=str(error))
            self._wake_later()
            return None
        for item in stored:
            self._sealed_at[item.key] = item.mod_revision
        return Stored(key, value, revision, launch)

    def _record(self, members: list[protocol.Want]) -> Launch:
        first = members[0]
        launch_id = uuid.UUID(int=self._rng.getrandbits(128), version=4).hex
        now = self._clock.now()
        return Launch(
            api_version=API_VERSION,
            kind="Launch",
            metadata=ObjectMeta(
                name=launch_id,
                namespace=first.stack,
                uid=launch_id,
                generation=1,
                creation_timestamp=now.replace(microsecond=0),
            ),
            spec=LaunchSpec(
                region=first.region,
                endpoint=first.endpoint,
                type=first.type,
                zone=first.zone,
                template=first.template,
                parameters=_with_launch_id(first.parameters, launch_id),
                members=tuple(want.member for want in members),
            ),
            status=LaunchStatus(sent_at=now),
        )

    def _forget_sealed(self) -> None:
        """The cache has caught up where the slot no longer is at the revision that it was sealed from."""
        stale = [key for key, revision in self._sealed_at.items() if not self._is_at(key, revision)]
        for key in stale:
            del self._sealed_at[key]

    def _is_at(self, key: str, revision: int) -> bool:
        parsed = kinds.parse_store_key(key)
        stored = self._objects.instance(parsed.namespace, parsed.name) if parsed else None
        return stored is not None and stored.mod_revision == revision

    # -- drive -----------------------------------------------------------------------------------------------

    def _drive_in(self, group: asyncio.TaskGroup, launch: Stored[Launch], *, inherited: bool) -> None:
        launch_id = launch.object.metadata.name
        if launch_id not in self._driving:
            self._driving.add(launch_id)
            group.create_task(self._drive(launch, inherited=inherited))

    async def _drive(self, launch: Stored[Launch], *, inherited: bool) -> None:
        """Send until the fate is known, or a sweep must say it. An inherited record may have been sent already."""
        attempt = 0
        current: Stored[Launch] | None = launch
        unanswered = inherited
        try:
            while current is not None and current.object.status.state == "sealed":
                if self._paused(current.object):
                    return
                if protocol.next_step(current.object, self._clock.now(), self._policy) != "resend":
                    await self._resolve_by_sweeps(current)
                    return
                step = _Step(current, first=attempt == 0 and not inherited, unanswered=unanswered)
                async with self._sends:
                    current, unanswered = await self._send(step)
                attempt += 1
                if current is not None and current.object.status.state == "sealed":
                    await asyncio.sleep(self._retry_s(attempt))
                    current = self._reread(current)
        except StoreError as error:
            log.warning("launch not written", launch=launch.object.metadata.name, error=str(error))
        finally:
            self._driving.discard(launch.object.metadata.name)
            self._wake_later()

    def _reread(self, launch: Stored[Launch]) -> Stored[Launch] | None:
        """The newest of what was written here and what the cache has."""
        metadata = launch.object.metadata
        cached = self._objects.launch(metadata.namespace, metadata.name)
        return launch if cached is None or cached.mod_revision < launch.mod_revision else cached

    def _paused(self, launch: Launch) -> bool:
        stack = self._objects.stack(launch.metadata.namespace)
        return stack is not None and stack.object.spec.paused

    def _retry_s(self, attempt: int) -> float:
        return min(_RETRY_CAP_S, _RETRY_BASE_S * 2.0 ** min(attempt - 1, 10)) * self._rng.uniform(0.5, 1.0)

    async def _send(self, step: "_Step") -> tuple[Stored[Launch] | None, bool]:
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
        filled = {assignment.uid for assignment in status.assignments}
        self._tally.launches.update(
            (launch.object.metadata.namespace, m.layer) for m in spec.members if m.uid in filled
        )
        if status.unfilled:
            self._refusals.note(spec.type, spec.zone)
        else:
            self._refusals.clear(spec.type, spec.zone)
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

    async def _refused(self, launch: Stored[Launch], error: CloudError) -> tuple[Stored[Launch], bool]:
        """EC2's no. A definitive one ends the launch, unless an earlier send may still be under way."""
        spec, status = launch.object.spec, launch.object.status
        self._note_error(launch.object, error)
        self._gate.note(error.kind)
        if error.kind is CloudErrorKind.CAPACITY:
            self._refusals.note(spec.type, spec.zone)
        if protocol.is_death(error.kind, status.unanswered_at, self._clock.now(), self._policy):
            reason = reasons.CAPACITY if error.kind is CloudErrorKind.CAPACITY else error.kind.value
            dead = protocol.dead(launch.object, reason, error.message, self._clock.now())
            return await self._commit(launch, dead), False
        return launch, error.kind is CloudErrorKind.UNKNOWN_RESULT

    def _note_error(self, launch: Launch, error: CloudError) -> None:
        namespace, spec = launch.metadata.namespace, launch.spec
        message = f"{len(spec.members)} x {spec.type} in {spec.zone}: {error.code}: {error.message}"
        reason = reasons.CAPACITY if error.kind is CloudErrorKind.CAPACITY else reasons.LAUNCH_FAILED
        for layer in sorted({member.layer for member in spec.members}):
            self._tally.launch_failures[namespace, layer, error.kind.value] += 1
            stored = self._objects.layer(namespace, layer)
            if stored is not None:
                key = ObjectKey(kinds.LAYER, layer, namespace)
                self._events.record(key, stored.object.metadata.uid, Note(reason, message, warning=True))

    async def _resolve_by_sweeps(self, launch: Stored[Launch]) -> None:
        """Its token may be forgotten: it is never sent again, and two late sweeps say what came of it."""
        sweeps = self._observer.sweeps_for(launch.object.metadata.name)
        machines = protocol.resolve_by_sweeps(launch.object, sweeps, self._policy)
        if machines is None:
            self._observer.request_sweep(in_s=self._settings.absence_gap_s)
        elif machines:
            await self._answered(launch, machines)
        else:
            message = "no answer, and no machine in two complete sweeps"
            await self._commit(launch, protocol.dead(launch.object, "Unanswered", message, self._clock.now()))

    def _living(self, launch: Launch) -> frozenset[str]:
        namespace = launch.metadata.namespace
        return frozenset(m.uid for m in launch.spec.members if self._member(namespace, m) is not None)

    def _member(self, namespace: str, member: Member) -> Instance | None:
        stored = self._objects.instance(namespace, member.name)
        return stored.object if stored is not None and stored.object.metadata.uid == member.uid else None

    async def _commit(self, launch: Stored[Launch], status: LaunchStatus) -> Stored[Launch]:
        value = with_status(launch.value, status)
        revision = await self._repository.commit([launch.write(value)])
        return Stored(launch.key, value, revision, msgspec.structs.replace(launch.object, status=status))

    # -- audit -----------------------------------------------------------------------------------------------

    async def _run_audits(self) -> None:
        while True:
            await self._audit_due.wait()
            self._audit_due.clear()
            try:
                await self._end_unentitled()
                await self._remove_old_records()
            except (StoreError, CloudError) as error:
                log.warning("audit not finished", error=str(error))

    async def _end_unentitled(self) -> None:
        """Terminate live machines of resolved Launches that no slot is entitled to: surplus, or left behind."""
        for machine in self._observer.machines():
            launch = self._objects.launch(machine.tags.get(tags.STACK, ""), machine.tags.get(tags.LAUNCH, ""))
            if not machine.live or launch is None or launch.object.status.state == "sealed":
                continue
            if self._entitled(launch.object, machine.instance_id) or self._paused(launch.object):
                continue
            log.warning("surplus machine", machine=machine.instance_id, launch=launch.object.metadata.name)
            await self._mutations.terminate.submit(machine.instance_id)

    def _entitled(self, launch: Launch, instance_id: str) -> bool:
        uid = next((a.uid for a in launch.status.assignments if a.instance_id == instance_id), None)
        return any(member.uid == uid and self._holds(launch, member) for member in launch.spec.members)

    def _holds(self, launch: Launch, member: Member) -> bool:
        """Whether the member's slot still is filled by this very launch."""
        instance = self._member(launch.metadata.namespace, member)
        ref = instance.status.launch if instance is not None else None
        return ref is not None and ref.launch_id == launch.metadata.name

    async def _remove_old_records(self) -> None:
        now = self._clock.now()
        for stack in {stored.object.metadata.namespace for stored in self._objects.launches()}:
            for launch in self._objects.launches(stack):
                if protocol.removable(launch.object, self._holder_of(launch.object), now, self._policy):
                    await self._repository.commit([launch.write(None)])

    def _holder_of(self, launch: Launch) -> Callable[[Member], bool]:
        return lambda member: self._holds(launch, member)

    # -- waiting ---------------------------------------------------------------------------------------------

    def _wake_later(self) -> None:
        asyncio.get_running_loop().call_later(_RETRY_BASE_S, self._wake.set)

    async def _sleep(self, delay_s: float) -> None:
        try:
            async with asyncio.timeout(delay_s):
                await self._wake.wait()
        except TimeoutError:
            pass


class _Step(msgspec.Struct, frozen=True):
    """One send: of which record, whether it is the first that its seal stands for, and whether one is unanswered."""

    launch: Stored[Launch]
    first: bool
    unanswered: bool


def _with_launch_id(parameters: Any, launch_id: str) -> dict[str, Any]:  # noqa: ANN401 - boto3's keyword arguments
    """The parameters with the launch's own tag filled in."""
    filled = dict(parameters)
    filled["TagSpecifications"] = [
        spec | {"Tags": [tag | {"Value": launch_id} if tag["Key"] == tags.LAUNCH else tag for tag in spec["Tags"]]}
        for spec in parameters["TagSpecifications"]
    ]
    return filled
