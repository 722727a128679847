"""How a slot goes: it runs on for a while if there is something to finish, and then ends, stops, or is replaced.

The order to leave is level: each pass judges anew whether its time is over and the others can do without it.
"""

from datetime import datetime
from typing import Literal

import msgspec

from strata.planner.budget import Budget, serves
from strata.planner.facts import MachineFact, Unknown
from strata.planner.layer_plan import LayerSnapshot, Leaving, Moves, Powered, earliest
from strata.planner.outdated import Outdated
from strata.planner.roster import Roster, has_machine, never_online
from strata.resources import reasons
from strata.resources.duration import parse_duration
from strata.resources.instance import Instance, Leave

Then = Literal["delete", "stop", "replace"]


def order(snapshot: LayerSnapshot, member: Instance, then: Then, reason: str, message: str) -> Leave:
    """The order, of now, that this slot leaves; or its present machine."""
    machine = member.status.ec2.instance_id if member.status.ec2 else ""
    return Leave(reason=reason, message=message, marked_at=snapshot.now, then=then, instance_id=machine)


def fact_of(snapshot: LayerSnapshot, member: Instance) -> MachineFact:
    return snapshot.facts.get(member.metadata.name, Unknown(reasons.UNKNOWN))


def unseen(snapshot: LayerSnapshot, member: Instance) -> bool:
    """Whether it has a machine of which nobody can say now what it does: nothing is destroyed on that."""
    return has_machine(member) and isinstance(fact_of(snapshot, member), Unknown)


def is_kept(snapshot: LayerSnapshot, member: Instance, outdated: Outdated) -> bool:
    """Whether the machine is kept as a stopped one: it works, and scale-out could use it again."""
    ec2 = member.status.ec2
    wanted = snapshot.layer.spec.capacity.scale_in == "stop" and member.metadata.name not in outdated.why
    bought = ec2 is not None and ec2.lifecycle != "spot" and not ec2.fallback
    return wanted and bought and serves(member, fact_of(snapshot, member))


def send_off(
    snapshot: LayerSnapshot, member: Instance, leave: Leave, *, works: bool, budget: Budget, moves: Moves
) -> None:
    """Have the slot leave. One that has nothing to finish goes at once; so does one that is proved not to work."""
    budget.spend(member.metadata.name)
    if works and _ends_at(snapshot, member, leave) > snapshot.now:
        moves.leave.append(Leaving(member, leave))
    else:
        _end(member, leave, moves)


def end_leaves(
    snapshot: LayerSnapshot, roster: Roster, outdated: Outdated, *, shielded: bool, budget: Budget, moves: Moves
) -> None:
    """End what has run on for long enough, and that the slots which stay can do without.

    `shielded`: the breaker is open, so that a rollout destroys nothing that runs.
    """
    touched = moves.touched()
    for member in (*roster.leaving, *roster.counted):
        leave = member.status.leave
        if leave is None or leave.drained or member.metadata.name in touched:
            continue
        ends_at = _ends_at(snapshot, member, leave)
        if ends_at > snapshot.now:
            moves.again_at = earliest(moves.again_at, ends_at)
        elif budget.changes > 0 and not _held(snapshot, member, leave, shielded=shielded, budget=budget):
            budget.spend(member.metadata.name)
            kept = leave.then != "stop" or is_kept(snapshot, member, outdated)
            _end(member, leave if kept else msgspec.structs.replace(leave, then="delete"), moves)


def _ends_at(snapshot: LayerSnapshot, member: Instance, leave: Leave) -> datetime:
    shutdown = snapshot.layer.spec.shutdown
    if not shutdown.drain or not has_machine(member) or never_online(member):
        return leave.marked_at
    return leave.marked_at + parse_duration(shutdown.timeout)


def _held(snapshot: LayerSnapshot, member: Instance, leave: Leave, *, shielded: bool, budget: Budget) -> bool:
    """Whether it runs on although its time is over: nobody can see it, or too few of the others work."""
    if unseen(snapshot, member):
        return True
    if not has_machine(member) or never_online(member):
        return False
    if shielded and leave.reason == reasons.ROLLING_UPDATE:
        return True
    return serves(member, fact_of(snapshot, member)) and not budget.spares(
        member.metadata.name, missing=budget.unavailable
    )


def _end(member: Instance, leave: Leave, moves: Moves) -> None:
    if leave.then == "replace":
        moves.leave.append(Leaving(member, msgspec.structs.replace(leave, drained=True)))
    elif leave.then == "stop":
        moves.power.append(Powered(member, "stopped"))
    else:
        moves.delete.append(member)
