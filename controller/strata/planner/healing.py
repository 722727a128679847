"""Which failing machines of a layer are marked to be healed: by proof, and within the breaker."""

from dataclasses import dataclass, field
from datetime import datetime

from strata.planner import health
from strata.planner.budget import allowance
from strata.planner.facts import Unknown
from strata.planner.layer_plan import LayerSnapshot, Marked, earliest
from strata.planner.policy import Policy
from strata.planner.roster import leaves
from strata.resources import reasons
from strata.resources.duration import parse_duration
from strata.resources.instance import HealMark, Instance
from strata.resources.meta import is_true


@dataclass(slots=True)
class Healing:
    """What the breaker made of the members' verdicts."""

    marks: list[Marked] = field(default_factory=list)
    withdrawn: list[Instance] = field(default_factory=list)
    proofs: dict[str, health.Unhealthy] = field(default_factory=dict)
    failing: int = 0
    allowed: int = 1
    breaker: health.Breaker = field(default_factory=lambda: health.Breaker(open=False))
    again_at: datetime | None = None


def plan_healing(snapshot: LayerSnapshot, policy: Policy, *, desired: int) -> Healing:
    """Mark failing machines as far as the breaker allows. A slot under repair counts until it is online again.
    One that leaves is not healed: it goes anyway."""
    layer, now = snapshot.layer, snapshot.now
    members = [m for m in snapshot.members if not m.metadata.deleting and not leaves(m)]
    under_repair = set()
    result = Healing(allowed=allowance(layer.spec.healing.max_unhealthy, desired))
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


def _marks(snapshot: LayerSnapshot, healing: Healing, under_repair: set[str]) -> list[Marked]:
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
    ec2 = proof.instance.status.ec2
    stoppable = ec2 is not None and ec2.lifecycle != "spot"
    wished = snapshot.layer.spec.healing.action == "restart" and stoppable
    restart = wished and proof.instance.status.restarted != proof.instance_id
    return HealMark(
        instance_id=proof.instance_id,
        action="restart" if restart else "replace",
        reason=proof.reason,
        message=proof.message,
        marked_at=snapshot.now,
    )
