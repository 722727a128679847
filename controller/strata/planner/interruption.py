"""Spot machines that EC2 takes back, or says it may: their slots leave at once, and new ones take their place while
they run.

A notice gives two minutes, which no budget holds back: the machine goes anyway. A recommendation is followed as far as
a rollout's surge goes, and not for a machine that was never online: EC2 recommends to replace whole fleets at once, and
their successors from their first moment on. What keeps its machine running until enough others work is the end of
every leave.
"""

from strata.planner.budget import Budget
from strata.planner.draining import fact_of, order
from strata.planner.facts import Known, Note, Notice
from strata.planner.layer_plan import LayerSnapshot, Leaving, Moves
from strata.planner.roster import Roster, never_online
from strata.resources import reasons
from strata.resources.instance import Instance

_REASONS = {"interruption": reasons.SPOT_INTERRUPTED, "rebalance": reasons.REBALANCE}
_SAYS = {
    "interruption": "EC2 takes {} back within two minutes",
    "rebalance": "EC2 recommends to replace {}: it may take it back soon",
}


def plan_interruptions(snapshot: LayerSnapshot, roster: Roster, budget: Budget, moves: Moves) -> Roster:
    """Have the slots leave whose machines are noticed; the roster without them."""
    noticed: list[Instance] = []
    room = max(1, budget.surge) - sum(_follows_advice(member) for member in roster.leaving)
    for member in roster.counted:
        notice = _notice(snapshot, member)
        if notice is None or budget.changes <= 0:
            continue
        if notice.kind == "rebalance":
            if room <= 0 or never_online(member):
                continue
            room -= 1
        machine = member.status.ec2.instance_id if member.status.ec2 else ""
        leave = order(snapshot, member, "delete", _REASONS[notice.kind], _SAYS[notice.kind].format(machine))
        budget.spend(member.metadata.name)
        moves.leave.append(Leaving(member, leave))
        moves.notes.append(Note(leave.reason, f"{leave.message}; {member.metadata.name} is replaced", warning=True))
        noticed.append(member)
    if not noticed:
        return roster
    names = {member.metadata.name for member in noticed}
    counted = tuple(member for member in roster.counted if member.metadata.name not in names)
    return Roster(counted, (*roster.leaving, *noticed), roster.warm, roster.by_hand)


def _follows_advice(member: Instance) -> bool:
    return member.status.leave is not None and member.status.leave.reason == reasons.REBALANCE


def _notice(snapshot: LayerSnapshot, member: Instance) -> Notice | None:
    """The notice on the slot's present machine, unless it is being ended already."""
    fact, ec2, leave = fact_of(snapshot, member), member.status.ec2, member.status.leave
    if ec2 is None or (leave is not None and leave.drained) or not isinstance(fact, Known):
        return None
    machine = fact.value.machine
    return fact.value.notice if machine.instance_id == ec2.instance_id and machine.live else None
