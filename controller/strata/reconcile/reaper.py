"""The orphan reaper of one region: ends, or holds for a person, machines of ours that no record accounts for.

It acts only after a complete sweep, against a quorum read of all Launch records that began later.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

import structlog

from strata.clock import Clock
from strata.errors import CloudError, StoreError
from strata.planner.facts import Note
from strata.planner.orphans import Accounted, OrphanPlan, plan_orphans
from strata.planner.policy import Policy
from strata.reconcile.accounting import accounted, readable
from strata.reconcile.events import EventRecorder
from strata.reconcile.identity import IdentityKeeper
from strata.reconcile.mutations import Mutations
from strata.reconcile.objects import Objects
from strata.reconcile.observer import RegionObserver
from strata.reconcile.orphan_decisions import Decisions, end_machine, record
from strata.reconcile.orphan_records import OrphanRecords
from strata.resources import kinds, reasons, tags
from strata.resources.cluster import Orphan
from strata.resources.machine import Machine
from strata.store.port import Store

log = structlog.get_logger(__name__)

_DECISIONS_EVERY_S = 5.0
_JUDGE_EVERY_S = 20.0  # a large launch sweeps at every poll, and each judgement reads all records
_MISSED_SWEEPS = 2  # a machine with a record that so many sweeps in a row did not show is gone


class Reaper:
    """One a region and leadership."""

    def __init__(
        self,
        *,
        place: tuple[str, str | None],
        records: OrphanRecords,
        decisions: Decisions,
        observer: RegionObserver,
        mutations: Mutations,
        objects: Objects,
        unreadable: Callable[[], Iterable[bytes]],
        store: Store,
        keeper: IdentityKeeper,
        events: EventRecorder,
        clock: Clock,
        policy: Policy,
        store_doubt: Callable[[], str],
        all_clear_since: Callable[[datetime], bool],
        on_held: Callable[[str], None],
    ) -> None:
        """`unreadable` are the values of objects that cannot be decoded; `all_clear_since` asks the reapers of all
        places; `on_held` is told of each stack whose number of held orphans is another now."""
        self._place = place
        self._records = records
        self._decisions = decisions
        self._observer = observer
        self._mutations = mutations
        self._objects = objects
        self._unreadable = unreadable
        self._store = store
        self._keeper = keeper
        self._events = events
        self._clock = clock
        self._policy = policy
        self._store_doubt = store_doubt
        self._all_clear_since = all_clear_since
        self._on_held = on_held
        self._swept = asyncio.Event()
        self._is_due = False  # a sweep is not judged yet
        self._rests_until_s = 0.0
        self._clear_at: datetime | None = None  # when a sweep last showed only what is accounted for
        self._missed: Counter[str] = Counter()  # sweeps in a row that did not show a machine with a record

    def swept(self) -> None:
        """A complete sweep has just ended."""
        self._swept.set()

    def held_count(self, stack: str) -> int:
        """How many orphans of this stack wait for a person."""
        return self._records.of_stack(stack)

    @property
    def records(self) -> OrphanRecords:
        return self._records

    def clear_since(self, since: datetime) -> bool:
        """Whether a sweep so long after this time that all young machines were old showed only accounted ones."""
        return self._clear_at is not None and self._clear_at - since >= timedelta(seconds=self._policy.orphan_grace_s)

    async def run(self) -> None:
        while True:
            before = self._held_by_stack()
            try:
                await self._turn()
            except (StoreError, CloudError) as error:
                log.warning("orphans not judged", region=self._place[0], error=str(error))
            after = self._held_by_stack()
            for stack in {*before, *after}:
                if before[stack] != after[stack]:
                    self._on_held(stack)
            try:
                async with asyncio.timeout(_DECISIONS_EVERY_S):
                    await self._swept.wait()
            except TimeoutError:
                pass

    def _held_by_stack(self) -> Counter[str]:
        return Counter(held.orphan.stack for held in self._records.held.values())

    async def _turn(self) -> None:
        if self._swept.is_set():
            self._swept.clear()
            self._is_due = True
        if self._is_due and self._clock.monotonic_s() >= self._rests_until_s:
            await self._judge()
            self._is_due = False
            self._rests_until_s = self._clock.monotonic_s() + _JUDGE_EVERY_S
        # After it: of many that were found a dead leader may have recorded some, and were those gone, few were left.
        if self._records.held or not self._records.were_read:  # a former leader may have left some
            await self._records.read()
            await self._decisions.carry_out()

    async def _judge(self) -> None:
        machines = self._observer.machines()  # of the sweep; read before the records, which can only grow
        plan = self._plan(machines, self._cached())
        if plan.orphans or plan.young_count:
            stored = await self._stored()
            await self._records.read()
            plan = self._plan(machines, stored)
        self._clear_at = None if plan.orphans or plan.young_count else self._clock.now()
        await self._hold(plan)
        await self._reap(plan.reap)
        await self._forget(plan.orphans, machines)
        await self._release_if_clear()

    def _plan(self, machines: list[Machine], by: Accounted) -> OrphanPlan:
        return plan_orphans(
            machines,
            accounted=by,
            recorded=self._records.ids(),
            store_doubt=self._keeper.identity.held_because or self._store_doubt(),
            now=self._clock.now(),
            policy=self._policy,
        )

    def _cached(self) -> Accounted:
        launches = (stored.object for stored in self._objects.launches())
        return accounted(launches, (stored.object for stored in self._objects.instances()), self._unreadable())

    async def _stored(self) -> Accounted:
        """By the Launch records as they are in the store now. A slot's memory is as old as its machine, and the
        machine is older than any delay of the cache."""
        listing = await self._store.list(kinds.LAUNCH.prefix())
        launches, unreadable = readable(listing.items)
        instances = (stored.object for stored in self._objects.instances())
        return accounted(launches, instances, [*self._unreadable(), *unreadable])

    async def _reap(self, orphans: tuple[Machine, ...]) -> None:
        async with asyncio.TaskGroup() as group:
            for machine in orphans:
                if not self._objects.paused(machine.tags.get(tags.STACK, "")):
                    group.create_task(self._end(machine))

    async def _end(self, machine: Machine) -> None:
        if await end_machine(self._mutations, machine.instance_id):
            return  # the next sweep shows it again
        note = Note(reasons.ORPHAN_REAPED, f"ended {machine.instance_id}: no record accounts for it", warning=True)
        record(self._events, self._objects, machine.tags.get(tags.STACK, ""), note)

    async def _hold(self, plan: OrphanPlan) -> None:
        for machine in plan.hold:
            orphan = self._orphan(machine, plan.held_because)
            await self._records.write(orphan, None)
            note = Note(reasons.ORPHANS_HELD, f"{machine.instance_id}: {plan.held_because}", warning=True)
            record(self._events, self._objects, orphan.stack, note)

    async def _forget(self, orphans: tuple[Machine, ...], machines: list[Machine]) -> None:
        """Remove the records of what is no orphan any more: gone, or accounted for. One answer that lacks a machine
        proves nothing: were its record removed for that, it would be a new orphan when it is shown again."""
        still, shown = {m.instance_id for m in orphans}, {m.instance_id for m in machines}
        for instance_id, held in list(self._records.held.items()):
            self._missed[instance_id] = 0 if instance_id in shown else self._missed[instance_id] + 1
            if instance_id in still or 0 < self._missed[instance_id] < _MISSED_SWEEPS:
                continue
            await self._records.forget(held)
            del self._missed[instance_id]

    async def _release_if_clear(self) -> None:
        """Lift the hold, which is one of all regions, once in all of them every machine is accounted for, and nothing
        waits for a person anywhere."""
        identity = self._keeper.identity
        if not identity.held_because or identity.held_since is None or not self._all_clear_since(identity.held_since):
            return
        await self._records.read()
        if not self._records.count:
            await self._keeper.release()

    def _orphan(self, machine: Machine, because: str) -> Orphan:
        return Orphan(
            instance_id=machine.instance_id,
            region=self._place[0],
            endpoint=self._place[1],
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
