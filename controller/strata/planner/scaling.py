"""Which slots a layer adds and takes out, by count.

Added are, in this order: slots that are on their way out, warm ones, new ones. Taken out are slots that never were
online, then unhealthy, outdated ones, those of the fullest zone, and the highest ordinal; and none that works while
fewer than desired would be left.
"""

from collections import Counter

from strata.planner import capacity, market
from strata.planner.budget import Budget, serves
from strata.planner.conditions import some
from strata.planner.draining import fact_of, is_kept, order, send_off, unseen
from strata.planner.facts import Absent, Note, Unknown
from strata.planner.healing import Healing
from strata.planner.layer_plan import LayerSnapshot, Moves, NewSlot, Powered
from strata.planner.layer_status import template_fault
from strata.planner.outdated import Outdated
from strata.planner.rollout import Rollout
from strata.planner.roster import Roster, has_machine
from strata.planner.template import spot_share
from strata.resources import reasons
from strata.resources.instance import Instance, Phase
from strata.resources.machine import Market

_ASKED_BY_US = frozenset({reasons.SCALED_IN, reasons.ROLLING_UPDATE})  # such orders to leave may be taken back


def plan_scaling(
    snapshot: LayerSnapshot,
    roster: Roster,
    outdated: Outdated,
    rollout: Rollout,
    healing: Healing,
    budget: Budget,
    moves: Moves,
) -> None:
    """Bring the slots that count to the rollout's target."""
    gone = moves.sent_off()
    counted = [member for member in roster.counted if member.metadata.name not in gone]
    missing = rollout.target - len(counted) - len(snapshot.unreadable)
    if missing > 0:
        _scale_out(snapshot, roster, counted, outdated, missing, budget, moves)
    else:
        _scale_in(snapshot, counted, outdated, healing, len(counted) - rollout.target, budget, moves)
    _drop_warm(snapshot, roster, outdated, budget, moves)


# -- out -----------------------------------------------------------------------------------------------------


def _scale_out(
    snapshot: LayerSnapshot,
    roster: Roster,
    counted: list[Instance],
    outdated: Outdated,
    missing: int,
    budget: Budget,
    moves: Moves,
) -> None:
    back = _take_back(snapshot, roster, outdated, missing, budget.desired - len(counted), budget, moves)
    there = [*counted, *back]
    markets = _markets(snapshot, there, outdated, missing - len(back), budget)
    started = _start_warm(snapshot, roster, outdated, markets, budget, moves)
    for member in started:
        markets.remove(member.spec.market)
    new = _new_slots(snapshot, [*there, *started], markets[: budget.changes])
    budget.changes -= len(new)
    moves.create.extend(new)
    said = (("took back", back), ("started", started))
    parts = [f"{what} {len(members)}: {_names(members)}" for what, members in said if members]
    if new:
        parts.append(f"added {len(new)}: {some([slot.name for slot in new])}")
    if parts and missing > budget.desired - len(counted) - len(snapshot.unreadable):
        parts.append("for the rollout, beyond what is wanted")
    if parts:
        moves.notes.append(Note(reasons.SCALED_OUT, "; ".join(parts)))


def _take_back(
    snapshot: LayerSnapshot,
    roster: Roster,
    outdated: Outdated,
    missing: int,
    short: int,
    budget: Budget,
    moves: Moves,
) -> list[Instance]:
    """Slots on their way out whose machine works, as far as anybody knows: nothing is lost. An outdated one helps where
    machines are `short` of those desired, and is no use to a rollout."""
    back: list[Instance] = []
    touched = moves.touched()  # noticed in this very pass
    for member in sorted(roster.leaving, key=lambda m: (m.metadata.name in outdated.why, capacity.ordinal(m))):
        leave, is_outdated = member.status.leave, member.metadata.name in outdated.why
        if len(back) >= (short if is_outdated else missing) or budget.changes <= 0:
            break
        if leave is None or leave.reason not in _ASKED_BY_US or member.metadata.name in touched:
            continue
        if not _may_work(snapshot, member):
            continue
        if not (is_outdated and leave.reason == reasons.ROLLING_UPDATE):
            back.append(member)
            budget.take_back(member.metadata.name, works=serves(member, fact_of(snapshot, member)))
    moves.stay.extend(back)
    return back


def _may_work(snapshot: LayerSnapshot, member: Instance) -> bool:
    """Also one that nobody has seen since a failover: to take it back ends nothing, and another one may be too many."""
    fact = fact_of(snapshot, member)
    return serves(member, fact) or (member.status.phase == Phase.ONLINE and isinstance(fact, Unknown))


def _markets(
    snapshot: LayerSnapshot, there: list[Instance], outdated: Outdated, missing: int, budget: Budget
) -> list[Market]:
    """Where the missing slots are bought: those that are added for a rollout instead of what they replace."""
    share = spot_share(snapshot.stack, snapshot.layer) if snapshot.stack is not None else None
    replaced = max(0, len(there) + missing - budget.desired)
    kept = market.staying(share, there, replaced, budget.desired, frozenset(outdated.why))
    return market.births(share, kept, missing)


def _start_warm(
    snapshot: LayerSnapshot,
    roster: Roster,
    outdated: Outdated,
    markets: list[Market],
    budget: Budget,
    moves: Moves,
) -> list[Instance]:
    """Warm slots of the present template and of the markets that are missing, the lowest first."""
    started: list[Instance] = []
    missing = Counter(markets)
    for member in sorted(roster.warm, key=capacity.ordinal):
        if budget.changes <= 0 or not outdated.template:
            break
        usable = has_machine(member) and member.metadata.name not in outdated.why and missing[member.spec.market] > 0
        if usable and not isinstance(fact_of(snapshot, member), Absent):
            started.append(member)
            missing[member.spec.market] -= 1
            budget.changes -= 1
    moves.power.extend(Powered(member, "running") for member in started)
    return started


def _new_slots(snapshot: LayerSnapshot, slots: list[Instance], markets: list[Market]) -> list[NewSlot]:
    if not markets or snapshot.stack is None or template_fault(snapshot) is not None:
        return []
    layer = snapshot.layer.metadata.name
    zones = capacity.choose_zones(slots, snapshot.stack.spec.subnets, len(markets))
    taken = {m.metadata.name for m in snapshot.members} | snapshot.unreadable
    free = capacity.free_ordinals(layer, taken)
    return [
        NewSlot(f"{layer}-{number}", zone, bought) for zone, number, bought in zip(zones, free, markets, strict=False)
    ]


# -- in ------------------------------------------------------------------------------------------------------


def _scale_in(
    snapshot: LayerSnapshot,
    counted: list[Instance],
    outdated: Outdated,
    healing: Healing,
    excess: int,
    budget: Budget,
    moves: Moves,
) -> None:
    if excess <= 0:
        return
    taken: list[Instance] = []
    message = f"{len(counted) - excess} wanted, {len(counted)} there"
    touched = moves.touched()  # by the rollout, in this very pass: the next one counts them anew
    stale = frozenset(outdated.why)
    share = spot_share(snapshot.stack, snapshot.layer) if snapshot.stack is not None else None
    first = stale | market.superfluous(share, counted, len(counted) - excess, stale)
    for member in capacity.choose_victims(counted, len(counted), unhealthy=frozenset(healing.proofs), drifted=first):
        if len(taken) >= excess or budget.changes <= 0:
            break
        name = member.metadata.name
        kept = name in touched or unseen(snapshot, member)
        if kept or (name in budget.serving and not budget.spares(name)):
            continue
        leave = order(
            snapshot, member, "stop" if is_kept(snapshot, member, outdated) else "delete", reasons.SCALED_IN, message
        )
        send_off(snapshot, member, leave, works=name not in healing.proofs, budget=budget, moves=moves)
        taken.append(member)
    if taken:
        moves.notes.append(Note(reasons.SCALED_IN, f"removes {len(taken)}: {_names(taken)}"))


def _drop_warm(snapshot: LayerSnapshot, roster: Roster, outdated: Outdated, budget: Budget, moves: Moves) -> None:
    """Stopped slots that scale-out would never start: outdated, without a machine, or no longer asked for."""
    started = {one.instance.metadata.name for one in moves.power}
    keeps = snapshot.layer.spec.capacity.scale_in == "stop"
    for member in roster.warm:
        name = member.metadata.name
        usable = keeps and has_machine(member) and name not in outdated.why
        if not usable and name not in started and budget.changes > 0:
            moves.delete.append(member)
            budget.changes -= 1


def _names(members: list[Instance]) -> str:
    return some([member.metadata.name for member in members])
