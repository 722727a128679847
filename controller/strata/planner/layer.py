"""The Layer pass's plan: which slots to add, to remove, to heal; and what the layer's status says of it.

It decides; it never touches EC2. Slots are added and removed by count, healed by proof and within the breaker.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from strata.planner import capacity, health
from strata.planner.conditions import Verdict, conditions, no, some, turns, unknown, yes
from strata.planner.facts import Known, MachineFact, Note, SignalFact, Unknown
from strata.planner.policy import Policy
from strata.planner.template import effective, missing_fields, template_digest
from strata.planner.wanted import Wanted, blocked_by, wanted
from strata.resources import reasons
from strata.resources.duration import parse_duration
from strata.resources.instance import HealMark, Instance, Phase
from strata.resources.layer import Layer, LayerStatus, ResolvedImage
from strata.resources.meta import API_GROUP, Condition, is_true
from strata.resources.stack import Stack

LAYER_LABEL = f"{API_GROUP}/layer"
_LOOK_AGAIN_S = 60.0  # nobody tells a layer that an object nobody could read was mended, or removed
# Turns that are ordinary, or that are told where they are decided.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSnapshot:
    """`members` are the Instances whose first layer this is. `image` is what the template's image comes to, read only
    when the status does not have it frozen. `protected` names the stack's other layers whose breaker is open.
    `unreadable` names slots whose objects nobody can decode: they count, for each may have a machine. `signals` are
    what is known of the layer's load, by name."""

    now: datetime
    layer: Layer
    stack: Stack | None
    members: tuple[Instance, ...]
    facts: Mapping[str, MachineFact]
    image: Known[ResolvedImage] | Unknown
    protected: frozenset[str]
    unreadable: frozenset[str] = frozenset()
    signals: Mapping[str, SignalFact] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NewSlot:
    name: str
    zone: str


@dataclass(frozen=True, slots=True)
class Marked:
    instance: Instance
    mark: HealMark


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerPlan:
    """All of it is one transaction. `withdraw`: members whose mark no longer holds. `finished`: nothing is left of a
    deleted layer. `again_at`: when time alone may change this plan; `more`: the rest did not fit and follows at
    once."""

    status: LayerStatus
    create: tuple[NewSlot, ...] = ()
    delete: tuple[Instance, ...] = ()
    heal: tuple[Marked, ...] = ()
    withdraw: tuple[Instance, ...] = ()
    finished: bool = False
    notes: tuple[Note, ...] = ()
    again_at: datetime | None = None
    more: bool = False


@dataclass(slots=True)
class _Healing:
    """What the breaker made of the members' verdicts."""

    marks: list[Marked] = field(default_factory=list)
    withdrawn: list[Instance] = field(default_factory=list)
    proofs: dict[str, health.Unhealthy] = field(default_factory=dict)
    failing: int = 0
    allowed: int = 1
    breaker: health.Breaker = field(default_factory=lambda: health.Breaker(open=False))
    again_at: datetime | None = None


def plan_layer(snapshot: LayerSnapshot, policy: Policy) -> LayerPlan:
    """Plan one layer. Total: every snapshot gives a plan; bounded by policy.changes_per_pass."""
    if snapshot.layer.metadata.deleting:
        return _plan_deletion(snapshot, policy)
    number = wanted(snapshot.layer, snapshot.stack, snapshot.now, snapshot.signals)
    slots = tuple(m for m in snapshot.members if m.spec.availability == "layer" and not m.metadata.deleting)
    healing = _plan_healing(snapshot, policy, desired=number.count + _manual_count(snapshot))
    blocked = blocked_by(snapshot.stack, snapshot.layer.metadata.namespace)
    missing = number.count - len(slots) - len(snapshot.unreadable)
    create = () if blocked else _new_slots(snapshot, slots, missing, policy)
    delete = () if blocked else _victims(snapshot, slots, len(slots) - number.count, healing, policy)
    marks = () if blocked else tuple(m for m in healing.marks if m.instance not in delete)
    withdraw = tuple(m for m in healing.withdrawn if m not in delete)[
        : policy.changes_per_pass - len(create) - len(delete)
    ]
    changed = len(create) + len(delete) + len(withdraw)
    status = _status(snapshot, number, healing, blocked, slots)
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
        conditions=_conditions(snapshot, verdicts),
    )
    return LayerPlan(
        status=status,
        delete=() if paused else alive,
        finished=not own and not unreadable,
        again_at=snapshot.now + timedelta(seconds=_LOOK_AGAIN_S) if unreadable else None,
        more=not paused and bool(alive),
    )


def _template_fault(snapshot: LayerSnapshot) -> Verdict | None:
    if snapshot.stack is None:
        return None
    missing = missing_fields(effective(snapshot.stack, snapshot.layer))
    if missing:
        fields = ", ".join(f"spec.instance.{name}" for name in missing)
        return no("Ready", reasons.TEMPLATE_INCOMPLETE, f"neither the layer nor its stack says {fields}")
    if isinstance(snapshot.image, Unknown):
        return no("Ready", snapshot.image.reason, snapshot.image.message)
    return None


def _manual_count(snapshot: LayerSnapshot) -> int:
    return sum(m.spec.availability == "manual" and not m.metadata.deleting for m in snapshot.members)


def _new_slots(
    snapshot: LayerSnapshot, slots: tuple[Instance, ...], missing: int, policy: Policy
) -> tuple[NewSlot, ...]:
    if missing <= 0 or snapshot.stack is None or _template_fault(snapshot) is not None:
        return ()
    layer = snapshot.layer.metadata.name
    wanted = min(missing, policy.changes_per_pass)
    zones = capacity.choose_zones(slots, snapshot.stack.spec.subnets, wanted)
    taken = {m.metadata.name for m in snapshot.members} | snapshot.unreadable
    free = capacity.free_ordinals(layer, taken)
    return tuple(NewSlot(f"{layer}-{number}", zone) for zone, number in zip(zones, free, strict=False))


def _victims(
    snapshot: LayerSnapshot, slots: tuple[Instance, ...], excess: int, healing: _Healing, policy: Policy
) -> tuple[Instance, ...]:
    if excess <= 0:
        return ()
    victims = capacity.choose_victims(
        slots,
        min(excess, policy.changes_per_pass),
        unhealthy=frozenset(healing.proofs),
        drifted=frozenset(drifted(snapshot)),
    )
    return tuple(victims)


def _plan_healing(snapshot: LayerSnapshot, policy: Policy, *, desired: int) -> _Healing:
    """Mark failing machines as far as the breaker allows. A slot under repair counts until it is online again."""
    layer, now = snapshot.layer, snapshot.now
    members = [m for m in snapshot.members if not m.metadata.deleting]
    under_repair = set()
    result = _Healing(allowed=health.allowance(layer.spec.healing.max_unhealthy, desired))
    for member in members:
        fact = snapshot.facts.get(member.metadata.name, Unknown(reasons.UNKNOWN))
        verdict = health.judge(member, fact, layer.spec.healing, now)
        if verdict.proof is None and health.void(member, fact, layer.spec.healing, now):
            result.withdrawn.append(member)
        elif health.under_repair(member):
            under_repair.add(member.metadata.name)
        if verdict.proof is not None:
            result.proofs[member.metadata.name] = verdict.proof
        result.again_at = earliest(result.again_at, verdict.look_again_at)
    result.failing = len(under_repair | set(result.proofs))
    result.breaker = health.breaker(
        was_open=is_true(layer.status.conditions, "Protected"),
        below_since=layer.status.protected_below_since,
        failing=result.failing,
        allowed=result.allowed,
        now=now,
        protected_for_s=policy.protected_for_s,
    )
    result.again_at = earliest(result.again_at, result.breaker.closes_at)
    if not result.breaker.open:
        result.marks = _marks(snapshot, result, under_repair)
    return result


def _marks(snapshot: LayerSnapshot, healing: _Healing, under_repair: set[str]) -> list[Marked]:
    room = healing.allowed - len(under_repair)
    marks: list[Marked] = []
    for name, proof in healing.proofs.items():
        member = proof.instance
        marked = _still_marked(snapshot, member.status.heal, proof)
        shielded = any(other in snapshot.protected for other in member.spec.layers[1:])
        new = name not in under_repair
        if marked or shielded or (new and room <= 0):
            continue
        room -= new
        marks.append(Marked(member, _mark(snapshot, proof)))
    return marks


def _still_marked(snapshot: LayerSnapshot, mark: HealMark | None, proof: health.Unhealthy) -> bool:
    """Whether this machine's mark stands. A restart has the start deadline to help; then the machine is replaced."""
    if mark is None or mark.instance_id != proof.instance_id or mark.reason == reasons.STOPPED_EXTERNALLY:
        return False
    deadline = parse_duration(snapshot.layer.spec.healing.start_deadline)
    return mark.action == "replace" or snapshot.now < mark.marked_at + deadline


def _mark(snapshot: LayerSnapshot, proof: health.Unhealthy) -> HealMark:
    restart = snapshot.layer.spec.healing.action == "restart" and proof.instance.status.restarted != proof.instance_id
    return HealMark(
        instance_id=proof.instance_id,
        action="restart" if restart else "replace",
        reason=proof.reason,
        message=proof.message,
        marked_at=snapshot.now,
    )


def drifted(snapshot: LayerSnapshot) -> list[str]:
    """Names of members whose machine was made from another template, or is of a type that is no longer named."""
    if snapshot.stack is None or not isinstance(snapshot.image, Known):
        return []
    template = effective(snapshot.stack, snapshot.layer)
    wanted = template_digest(template, snapshot.image.value)
    types = template.types or ()
    return [
        m.metadata.name
        for m in snapshot.members
        if m.spec.availability == "layer"
        and m.status.template
        and m.status.ec2 is not None
        and (m.status.template != wanted or (m.status.ec2.type and m.status.ec2.type not in types))
    ]


def phases(members: tuple[Instance, ...]) -> dict[str, int]:
    """How many members are in each phase, in the phases' order of life."""
    counted = Counter(m.status.phase for m in members)
    return {phase.value: counted[phase] for phase in Phase if counted[phase]}


def earliest(*times: datetime | None) -> datetime | None:
    return min((time for time in times if time is not None), default=None)


def _status(
    snapshot: LayerSnapshot,
    number: Wanted,
    healing: _Healing,
    blocked: Verdict | None,
    slots: tuple[Instance, ...],
) -> LayerStatus:
    layer = snapshot.layer
    return msgspec.structs.replace(
        layer.status,
        observed_generation=layer.metadata.generation,
        desired=number.count,
        replicas=len(slots),
        selector=f"{LAYER_LABEL}={layer.metadata.name}",
        because=number.because,
        next_change=number.next_change,
        load=number.load.status,
        instances=phases(snapshot.members),
        image=snapshot.image.value if isinstance(snapshot.image, Known) else layer.status.image,
        protected_below_since=healing.breaker.below_since,
        conditions=_conditions(
            snapshot,
            (
                _ready(snapshot, number, blocked, slots),
                _progressing(slots, number.count),
                _protected(healing),
                *number.load.verdicts,
                _up_to_date(snapshot),
            ),
        ),
    )


def _conditions(snapshot: LayerSnapshot, verdicts: tuple[Verdict, ...]) -> tuple[Condition, ...]:
    metadata = snapshot.layer.metadata
    return conditions(snapshot.layer.status.conditions, verdicts, generation=metadata.generation, now=snapshot.now)


def _online(slots: tuple[Instance, ...]) -> int:
    return sum(slot.status.phase == Phase.ONLINE for slot in slots)


def _ready(snapshot: LayerSnapshot, number: Wanted, blocked: Verdict | None, slots: tuple[Instance, ...]) -> Verdict:
    if number.fault is not None:
        return no("Ready", number.fault.reason, f"{number.fault.message}; the number stays as it is")
    online = _online(slots)
    if online == number.count == len(slots):
        return yes("Ready", reasons.READY, f"{online} of {number.count} online")
    if blocked is not None:
        return blocked
    fault = _template_fault(snapshot)
    return fault or no("Ready", reasons.CONVERGING, f"{online} of {number.count} online")


def _progressing(slots: tuple[Instance, ...], wanted: int) -> Verdict:
    if len(slots) == wanted and _online(slots) == wanted:
        return no("Progressing", reasons.CONVERGED)
    return yes("Progressing", reasons.CONVERGING)


def _protected(healing: _Healing) -> Verdict:
    limit = f"{healing.failing} failing, {healing.allowed} may be repaired at once"
    if not healing.breaker.open:
        return no("Protected", reasons.WITHIN_BUDGET)
    if healing.breaker.below_since is not None:
        return yes("Protected", reasons.SETTLING, limit)
    return yes("Protected", reasons.TOO_MANY_UNHEALTHY, f"{limit}: machines that still run are left alone")


def _up_to_date(snapshot: LayerSnapshot) -> Verdict:
    if not isinstance(snapshot.image, Known):
        return unknown("UpToDate", snapshot.image.reason)
    names = drifted(snapshot)
    if names:
        return no("UpToDate", reasons.TEMPLATE_DRIFT, f"{len(names)} made from an older template: {some(names)}")
    return yes("UpToDate", reasons.UP_TO_DATE)


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
