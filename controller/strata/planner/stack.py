"""The Stack pass's plan: its roll-up, and the order of its deletion."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from strata.planner.conditions import Verdict, conditions, no, some, turns, unknown, yes
from strata.planner.facts import Known, Note, Unknown
from strata.planner.layer import phases
from strata.resources import reasons
from strata.resources.instance import Instance
from strata.resources.layer import Layer
from strata.resources.machine import Subnet
from strata.resources.meta import is_true
from strata.resources.stack import Stack, StackStatus

# Turns that are ordinary, or that are told where they are decided.
_QUIET = frozenset(
    {reasons.CONVERGING, reasons.DELETING, reasons.CLOUD_UNPOLLED, reasons.NO_ORPHANS, reasons.ORPHANS_HELD}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSnapshot:
    """`poll` is how the region's last polls went; `subnets` what EC2 says of the stack's; `open_launches` are the
    launches that are not resolved yet; `unreadable` names what stands in the namespace and cannot be decoded."""

    now: datetime
    stack: Stack
    layers: tuple[Layer, ...]
    instances: tuple[Instance, ...]
    open_launches: int
    poll: Known[datetime] | Unknown
    subnets: Known[tuple[Subnet, ...]] | Unknown
    orphans_held: int
    unreadable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StackPlan:
    """`delete` are the children to mark for deletion; `finished`: nothing is left of a deleted stack."""

    status: StackStatus
    delete: tuple[Layer | Instance, ...] = ()
    finished: bool = False
    notes: tuple[Note, ...] = ()


def plan_stack(snapshot: StackSnapshot, *, changes_per_pass: int) -> StackPlan:
    """Plan one stack. Total."""
    stack = snapshot.stack
    deleting = stack.metadata.deleting
    ready = _deletion(snapshot) if deleting else _ready(snapshot)
    status = msgspec.structs.replace(
        stack.status,
        observed_generation=stack.metadata.generation,
        instances=phases(snapshot.instances),
        conditions=conditions(
            stack.status.conditions,
            (ready, _cloud_reachable(snapshot), _orphans(snapshot)),
            generation=stack.metadata.generation,
            now=snapshot.now,
        ),
    )
    notes = turns(stack.status.conditions, status.conditions, _QUIET)
    if not deleting:
        return StackPlan(status=status, notes=notes)
    children: Sequence[Layer | Instance] = (*snapshot.layers, *snapshot.instances)
    alive = () if stack.spec.paused else tuple(child for child in children if not child.metadata.deleting)
    return StackPlan(
        status=status,
        delete=alive[:changes_per_pass],
        finished=not children and not snapshot.unreadable and snapshot.open_launches == 0,
        notes=notes,
    )


def _deletion(snapshot: StackSnapshot) -> Verdict:
    left = Counter(
        {"layers": len(snapshot.layers), "instances": len(snapshot.instances), "launches": snapshot.open_launches}
    )
    waits = [f"{count} {what}" for what, count in left.items() if count]
    if snapshot.unreadable:  # each may have machines: only a person can say
        waits.append(f"{len(snapshot.unreadable)} that nobody can read: {some(snapshot.unreadable)}")
    paused = " (the stack is paused)" if snapshot.stack.spec.paused else ""
    return no("Ready", reasons.DELETING, f"waits for {', '.join(waits) or 'nothing'}{paused}")


def _ready(snapshot: StackSnapshot) -> Verdict:
    if snapshot.stack.spec.paused:
        return no("Ready", reasons.PAUSED, "nothing is changed in EC2 until `strata resume`")
    fault = subnet_fault(snapshot.stack, snapshot.subnets)
    if fault:
        return no("Ready", reasons.SUBNET_NOT_FOUND, fault)
    waiting = [layer.metadata.name for layer in snapshot.layers if not is_true(layer.status.conditions, "Ready")]
    if waiting:
        return no("Ready", reasons.CONVERGING, f"{len(waiting)} not ready: {some(waiting)}")
    ready = len(snapshot.layers)
    return yes("Ready", reasons.READY, f"{ready} {'layer' if ready == 1 else 'layers'} ready")


def subnet_fault(stack: Stack, subnets: Known[tuple[Subnet, ...]] | Unknown) -> str:
    """What is wrong with the stack's subnets, by EC2's word; "" if nothing is known to be."""
    if isinstance(subnets, Unknown):
        return ""
    found = {subnet.subnet_id: subnet for subnet in subnets.value}
    for index, wanted in enumerate(stack.spec.subnets):
        field, actual = f"spec.subnets[{index}]", found.get(wanted.id)
        if actual is None:
            return f"{field}.id: {wanted.id} does not exist in {stack.spec.region}"
        if actual.zone != wanted.zone:
            return f"{field}.zone: {wanted.id} is in {actual.zone}, not in {wanted.zone}"
        if actual.vpc_id != stack.spec.vpc_id:
            return f"{field}.id: {wanted.id} belongs to {actual.vpc_id}, not to {stack.spec.vpc_id}"
    return ""


def _cloud_reachable(snapshot: StackSnapshot) -> Verdict:
    if isinstance(snapshot.poll, Known):
        return yes("CloudReachable", reasons.CLOUD_REACHABLE)
    if snapshot.poll.reason == reasons.CLOUD_UNPOLLED:
        return unknown("CloudReachable", snapshot.poll.reason, snapshot.poll.message)
    return no("CloudReachable", snapshot.poll.reason, snapshot.poll.message)


def _orphans(snapshot: StackSnapshot) -> Verdict:
    if snapshot.orphans_held:
        message = f"{snapshot.orphans_held} machines that no record accounts for: see `strata orphans list`"
        return yes("OrphansHeld", reasons.ORPHANS_HELD, message)
    return no("OrphansHeld", reasons.NO_ORPHANS)
