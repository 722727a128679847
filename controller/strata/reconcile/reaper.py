"""The orphan reaper of one region: ends, or holds for a person, machines of ours that no Launch record accounts for.

It acts only after a complete sweep, against a quorum read of all Launch records that began later.
"""

import asyncio
from collections.abc import Callable

import structlog

from strata.clock import Clock
from strata.errors import CloudError, StoreError
from strata.planner.facts import Note
from strata.planner.orphans import OrphanPlan, plan_orphans
from strata.planner.policy import Policy
from strata.reconcile.adoption import Adoption, Refused
from strata.reconcile.events import EventRecorder
from strata.reconcile.identity import IdentityKeeper
from strata.reconcile.mutations import Mutations
from strata.reconcile.objects import Objects
from strata.reconcile.observer import RegionObserver
from strata.resources import kinds, reasons, tags
from strata.resources.cluster import Orphan
from strata.resources.codec import decode, encode
from strata.resources.kinds import ObjectKey
from strata.resources.machine import Machine
from strata.store.port import KeyValue, Store
from strata.store.repository import Repository, Write

log = structlog.get_logger(__name__)

_DECISIONS_EVERY_S = 5.0


class Reaper:
    """One a region and leadership."""

    def __init__(
        self,
        *,
        region: str,
        endpoint: str | None,
        observer: RegionObserver,
        mutations: Mutations,
        objects: Objects,
        store: Store,
        repository: Repository,
        keeper: IdentityKeeper,
        events: EventRecorder,
        adoption: Adoption,
        clock: Clock,
        policy: Policy,
        store_doubt: Callable[[], str],
    ) -> None:
        self._region = region
        self._endpoint = endpoint
        self._observer = observer
        self._mutations = mutations
        self._objects = objects
        self._store = store
        self._repository = repository
        self._keeper = keeper
        self._events = events
        self._adoption = adoption
        self._clock = clock
        self._policy = policy
        self._store_doubt = store_doubt
        self._swept = asyncio.Event()
        self._held: dict[str, KeyValue] = {}
        self._read_held = True  # a former leader may have left records

    def swept(self) -> None:
        """A complete sweep has just ended."""
        self._swept.set()

    def held_count(self, stack: str) -> int:
        """How many orphans of this stack wait for a person."""
        records = (decode(Orphan, kv.value) for kv in self._held.values())
        return sum(orphan.stack == stack for orphan in records)

    async def run(self) -> None:
        while True:
            try:
                await self._turn()
            except (StoreError, CloudError) as error:
                log.warning("orphans not judged", region=self._region, error=str(error))
            try:
                async with asyncio.timeout(_DECISIONS_EVERY_S):
                    await self._swept.wait()
            except TimeoutError:
                pass

    async def _turn(self) -> None:
        if self._swept.is_set():
            self._swept.clear()
            await self._judge()
        if self._held or self._read_held:
            await self._carry_out_decisions()

    # -- judging ---------------------------------------------------------------------------------------------

    async def _judge(self) -> None:
        machines = self._observer.machines()  # of the sweep; read before the records, which can only grow
        cached = frozenset(stored.object.metadata.name for stored in self._objects.launches())
        suspects = self._plan(machines, cached)
        if suspects.orphans or suspects.young_count:
            suspects = self._plan(machines, await self._recorded_launches())
        if suspects.held_because:
            await self._hold(suspects)
        else:
            await self._reap(suspects.orphans)
        await self._release_if_clear(suspects)

    def _plan(self, machines: list[Machine], launches: frozenset[str]) -> OrphanPlan:
        doubt = self._keeper.identity.held_because or self._store_doubt()
        return plan_orphans(machines, launches=launches, store_doubt=doubt, now=self._clock.now(), policy=self._policy)

    async def _recorded_launches(self) -> frozenset[str]:
        listing = await self._store.list(kinds.LAUNCH.prefix())
        return frozenset(kv.key.rpartition("/")[2] for kv in listing.items)

    async def _reap(self, orphans: tuple[Machine, ...]) -> None:
        for machine in orphans:
            note = Note(reasons.ORPHAN_REAPED, f"ends {machine.instance_id}: no record accounts for it", warning=True)
            self._record(machine.tags.get(tags.STACK, ""), note)
            await self._mutations.terminate.submit(machine.instance_id)
        await self._forget_held(keep=frozenset())

    async def _hold(self, plan: OrphanPlan) -> None:
        await self._read_records()
        for machine in plan.orphans:
            if machine.instance_id not in self._held:
                await self._write_orphan(self._orphan(machine, plan.held_because), None)
                note = Note(reasons.ORPHANS_HELD, f"{machine.instance_id}: {plan.held_because}", warning=True)
                self._record(machine.tags.get(tags.STACK, ""), note)
        await self._forget_held(keep=frozenset(machine.instance_id for machine in plan.orphans))

    async def _release_if_clear(self, plan: OrphanPlan) -> None:
        """Lift the hold once no machine is unaccounted for, and the young ones had time to become old."""
        identity = self._keeper.identity
        if not identity.held_because or identity.held_since is None or plan.orphans or plan.young_count:
            return
        held_s = (self._clock.now() - identity.held_since).total_seconds()
        if held_s >= self._policy.orphan_grace_s:
            await self._keeper.release()

    # -- records ---------------------------------------------------------------------------------------------

    async def _read_records(self) -> None:
        listing = await self._store.list(kinds.ORPHANS)
        own = ((kv, decode(Orphan, kv.value)) for kv in listing.items)
        self._held = {
            orphan.instance_id: kv
            for kv, orphan in own
            if (orphan.region, orphan.endpoint) == (self._region, self._endpoint)
        }
        self._read_held = False

    async def _forget_held(self, *, keep: frozenset[str]) -> None:
        for instance_id in [i for i in self._held if i not in keep]:
            kv = self._held.pop(instance_id)
            await self._repository.commit([Write(kv.key, None, kv.mod_revision)])

    async def _write_orphan(self, orphan: Orphan, before: KeyValue | None) -> None:
        key, value = f"{kinds.ORPHANS}{orphan.instance_id}", encode(orphan)
        revision = await self._repository.commit([Write(key, value, before.mod_revision if before else 0)])
        created = before.create_revision if before else revision
        self._held[orphan.instance_id] = KeyValue(key, value, created, revision)

    def _orphan(self, machine: Machine, because: str) -> Orphan:
        return Orphan(
            instance_id=machine.instance_id,
            region=self._region,
            endpoint=self._endpoint,
            stack=machine.tags.get(tags.STACK, ""),
            layer=machine.tags.get(tags.LAYER, ""),
            name=machine.tags.get(tags.INSTANCE, ""),
            launch_id=machine.tags.get(tags.LAUNCH, ""),
            type=machine.type,
            zone=machine.zone,
            launched_at=machine.launched_at,
            found_at=self._clock.now(),
            held_because=because,
        )

    # -- decisions -------------------------------------------------------------------------------------------

    async def _carry_out_decisions(self) -> None:
        await self._read_records()
        machines = {machine.instance_id: machine for machine in self._observer.machines()}
        for instance_id, kv in list(self._held.items()):
            orphan = decode(Orphan, kv.value)
            machine = machines.get(instance_id)
            if not orphan.decision or machine is None:
                continue
            if orphan.decision == "delete":
                await self._delete(orphan, kv)
            else:
                await self._adopt(orphan, machine, kv)

    async def _delete(self, orphan: Orphan, kv: KeyValue) -> None:
        await self._mutations.terminate.submit(orphan.instance_id)
        await self._repository.commit([Write(kv.key, None, kv.mod_revision)])
        self._held.pop(orphan.instance_id, None)
        note = Note(reasons.ORPHAN_REAPED, f"ends {orphan.instance_id}: a person decided so", warning=True)
        self._record(orphan.stack, note)

    async def _adopt(self, orphan: Orphan, machine: Machine, kv: KeyValue) -> None:
        try:
            name = await self._adoption.adopt(orphan, machine, forget=Write(kv.key, None, kv.mod_revision))
        except Refused as refusal:
            message = str(refusal)
            await self._write_orphan(_undecided(orphan, message), kv)
            return
        self._held.pop(orphan.instance_id, None)
        self._record(orphan.stack, Note(reasons.ADOPTED, f"{orphan.instance_id} is {name} now"))

    def _record(self, stack: str, note: Note) -> None:
        stored = self._objects.stack(stack)
        uid = stored.object.metadata.uid if stored is not None else ""
        self._events.record(ObjectKey(kinds.STACK, stack or "unknown"), uid, note)


def _undecided(orphan: Orphan, message: str) -> Orphan:
    """Back to waiting, with why the decision could not be carried out."""
    fields = {name: getattr(orphan, name) for name in orphan.__struct_fields__}
    return Orphan(**(fields | {"decision": "", "message": message}))
