"""The Layer pass's plan: which slots to add, to remove, to heal; and what the layer's status says of it.

It decides; it never touches EC2. Slots are added and removed by count, healed by proof and within the breaker.
"""

from datetime import timedelta

import msgspec

from strata.planner.conditions import no, some, turns, yes
from strata.planner.facts import Note
from strata.planner.healing import plan_healing
from strata.planner.layer_plan import LAYER_LABEL, LayerPlan, LayerSnapshot, Marked, NewSlot, earliest
from strata.planner.layer_status import layer_conditions, layer_status, phases
from strata.planner.policy import Policy
from strata.planner.scaling import new_slots, victims
from strata.planner.wanted import blocked_by, wanted
from strata.resources import reasons
from strata.resources.instance import Instance

__all__ = ["LAYER_LABEL", "LayerPlan", "LayerSnapshot", "phases", "plan_layer"]

_LOOK_AGAIN_S = 60.0  # nobody tells a layer that an object nobody could read was mended, or removed


_QUIET = frozenset(
    {
        reasons.CONVERGING,
        reasons.CONVERGED,
        reasons.DELETING,
        reasons.PAUSED,
        reasons.WITHIN_BUDGET,
        reasons.SETTLING,
        reasons.UP_TO_DATE,
        reasons.CLOUD_UNPOLLED,
        reasons.NO_MEMBERS,
    }
)


def plan_layer(snapshot: LayerSnapshot, policy: Policy) -> LayerPlan:
    """Plan one layer. Total: every snapshot gives a plan; bounded by policy.changes_per_pass."""
    if snapshot.layer.metadata.deleting:
        return _plan_deletion(snapshot, policy)
    number = wanted(snapshot.layer, snapshot.stack, snapshot.now, snapshot.signals)
    slots = tuple(m for m in snapshot.members if m.spec.availability == "layer" and not m.metadata.deleting)
    healing = plan_healing(snapshot, policy, desired=number.count + manual_count(snapshot))
    blocked = blocked_by(snapshot.stack, snapshot.layer.metadata.namespace)
    missing = number.count - len(slots) - len(snapshot.unreadable)
    create = () if blocked else new_slots(snapshot, slots, missing, policy)
    delete = () if blocked else victims(snapshot, slots, len(slots) - number.count, healing, policy)
    marks = () if blocked else tuple(m for m in healing.marks if m.instance not in delete)
    withdraw = tuple(m for m in healing.withdrawn if m not in delete)[
        : policy.changes_per_pass - len(create) - len(delete)
    ]
    changed = len(create) + len(delete) + len(withdraw)
    status = layer_status(snapshot, number, healing, blocked, slots)
    return LayerPlan(
        status=status,
        create=create,
        delete=delete,
        heal=marks[: policy.changes_per_pass - changed],
        withdraw=withdraw,
        notes=(
            *number.load.notes,
            *_notes(create, delete, marks),
            *turns(snapshot.layer.status.conditions, status.conditions, _QUIET),
        ),
        again_at=earliest(healing.again_at, number.again_at),
        more=not blocked and changed + len(marks) >= policy.changes_per_pass,
    )


def _plan_deletion(snapshot: LayerSnapshot, policy: Policy) -> LayerPlan:
    """Delete the layer's own slots and wait for them. Hand-made instances are their makers' to delete."""
    own = [m for m in snapshot.members if m.spec.availability == "layer"]
    alive = tuple(m for m in own if not m.metadata.deleting)[: policy.changes_per_pass]
    paused = snapshot.stack is not None and snapshot.stack.spec.paused
    waits = f"waits for {len(own)} instances to end" + (" (the stack is paused)" if paused else "")
    unreadable = sorted(snapshot.unreadable)
    if unreadable:  # each may have a machine: only a person can say
        waits += f", and for {len(unreadable)} that nobody can read: {some(unreadable)}"
    verdicts = (no("Ready", reasons.DELETING, waits), yes("Progressing", reasons.DELETING, waits))
    status = msgspec.structs.replace(
        snapshot.layer.status,
        observed_generation=snapshot.layer.metadata.generation,
        desired=0,
        replicas=len(own),
        because=(),
        instances=phases(snapshot.members),
        conditions=layer_conditions(snapshot, verdicts),
    )
    return LayerPlan(
        status=status,
        delete=() if paused else alive,
        finished=not own and not unreadable,
        again_at=snapshot.now + timedelta(seconds=_LOOK_AGAIN_S) if unreadable else None,
        more=not paused and bool(alive),
    )


def manual_count(snapshot: LayerSnapshot) -> int:
    return sum(m.spec.availability == "manual" and not m.metadata.deleting for m in snapshot.members)


def _notes(create: tuple[NewSlot, ...], delete: tuple[Instance, ...], marks: tuple[Marked, ...]) -> tuple[Note, ...]:
    notes = []
    if create:
        notes.append(Note(reasons.SCALED_OUT, f"added {len(create)}: {some([slot.name for slot in create])}"))
    if delete:
        names = some([member.metadata.name for member in delete])
        notes.append(Note(reasons.SCALED_IN, f"removes {len(delete)}: {names}"))
    notes += [
        Note(reasons.HEALING, f"{m.mark.action} {m.instance.metadata.name}: {m.mark.message}", warning=True)
        for m in marks
    ]
    return tuple(notes)
