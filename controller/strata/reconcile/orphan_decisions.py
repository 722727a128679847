"""Carries out what people decided about orphans: each for itself, so that one that fails holds no other up."""

import asyncio

import msgspec
import structlog

from strata.errors import CloudError, NotLeader, StoreError
from strata.planner.facts import Note
from strata.reconcile.adoption import Adoption, NotYet, Refused
from strata.reconcile.events import EventRecorder
from strata.reconcile.mutations import Mutations
from strata.reconcile.objects import Objects
from strata.reconcile.observer import RegionObserver
from strata.reconcile.orphan_records import Held, OrphanRecords
from strata.resources import kinds, reasons
from strata.resources.kinds import ObjectKey
from strata.resources.machine import Machine

log = structlog.get_logger(__name__)

_PAUSED = "the stack is paused: nothing is changed in EC2 until `strata resume`"


async def end_machine(mutations: Mutations, instance_id: str) -> str:
    """Terminate it; why that failed, "" if it did not. A lease that is short for a moment is no reason to end more."""
    try:
        await mutations.terminate.submit(instance_id)
    except (CloudError, NotLeader) as error:
        log.warning("orphan not ended", machine=instance_id, error=str(error))
        return str(error)
    return ""


class Decisions:
    """One a region and leadership."""

    def __init__(
        self,
        records: OrphanRecords,
        *,
        observer: RegionObserver,
        mutations: Mutations,
        objects: Objects,
        adoption: Adoption,
        events: EventRecorder,
    ) -> None:
        self._records = records
        self._observer = observer
        self._mutations = mutations
        self._objects = objects
        self._adoption = adoption
        self._events = events

    async def carry_out(self) -> None:
        """Of what was decided all that can be done now; the rest stays, with why."""
        machines = {machine.instance_id: machine for machine in self._observer.machines()}
        decided = [held for id_, held in self._records.held.items() if held.orphan.decision and id_ in machines]
        await self._end([held for held in decided if held.orphan.decision == "delete"])
        for held in [held for held in decided if held.orphan.decision == "adopt"]:
            try:
                await self._adopt(held, machines[held.orphan.instance_id])
            except StoreError as error:
                log.info("not adopted yet", machine=held.orphan.instance_id, error=str(error))

    async def _end(self, decided: list[Held]) -> None:
        doomed = [held for held in decided if not self._objects.paused(held.orphan.stack)]
        async with asyncio.TaskGroup() as group:
            ends = [group.create_task(end_machine(self._mutations, held.orphan.instance_id)) for held in doomed]
        said = {held.orphan.instance_id: end.result() for held, end in zip(doomed, ends, strict=True)}
        for held in decided:
            try:
                await self._note_end(held, said.get(held.orphan.instance_id, _PAUSED))
            except StoreError as error:
                log.info("end of an orphan not noted yet", machine=held.orphan.instance_id, error=str(error))

    async def _note_end(self, held: Held, failure: str) -> None:
        orphan = held.orphan
        if not failure:
            await self._records.forget(held)
            note = Note(reasons.ORPHAN_REAPED, f"ends {orphan.instance_id}: a person decided so", warning=True)
            record(self._events, self._objects, orphan.stack, note)
        elif failure != orphan.message:
            await self._records.write(msgspec.structs.replace(orphan, message=failure), held.kv)

    async def _adopt(self, held: Held, machine: Machine) -> None:
        orphan = held.orphan
        try:
            checks = self._observer.checks_of(orphan.instance_id)
            name = await self._adoption.adopt(orphan, machine, checks, forget=held.removal())
        except NotYet:
            return
        except Refused as refusal:
            undecided = msgspec.structs.replace(orphan, decision="", message=str(refusal))
            await self._records.write(undecided, held.kv)
            return
        self._records.held.pop(orphan.instance_id, None)
        note = Note(reasons.ADOPTED, f"{orphan.instance_id} is {name} now")
        record(self._events, self._objects, orphan.stack, note)


def record(events: EventRecorder, objects: Objects, stack: str, note: Note) -> None:
    """An event of the stack that the machine's tag names, whether there is one or not."""
    stored = objects.stack(stack)
    uid = stored.object.metadata.uid if stored is not None else ""
    events.record(ObjectKey(kinds.STACK, stack or "unknown"), uid, note)
