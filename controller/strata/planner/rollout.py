"""How outdated machines are renewed, a few at a time, while enough others work.

With surge a new slot is added for each outdated one, which leaves once enough work without it; without surge machines
are replaced in place, under their names. Progress needs new machines that come online: one that never does ends it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from strata.planner import capacity
from strata.planner.budget import Budget
from strata.planner.conditions import some
from strata.planner.draining import order, send_off, unseen
from strata.planner.facts import Note
from strata.planner.healing import Healing
from strata.planner.layer_plan import LayerSnapshot, Moves
from strata.planner.market import superfluous
from strata.planner.outdated import Outdated
from strata.planner.roster import Roster, never_online
from strata.planner.template import spot_share
from strata.resources import reasons
from strata.resources.instance import Instance
from strata.resources.layer import LayerStatus
from strata.resources.meta import find_condition


@dataclass(frozen=True, slots=True)
class Rollout:
    """`target`: how many slots there should be, surge included. `outdated`: names of the slots that count and are to be
    renewed. `held`: why none is renewed now, though some are outdated. `rolls` False: nobody renews them but people.
    `short`: too few work to spare one, and no slot is to be added."""

    target: int
    outdated: frozenset[str]
    held: str = ""
    rolls: bool = True
    short: bool = False


def plan_rollout(
    snapshot: LayerSnapshot, roster: Roster, outdated: Outdated, healing: Healing, budget: Budget, moves: Moves
) -> Rollout:
    """Send off as many outdated machines as the budget spares, and say how many slots the others need."""
    names = frozenset(m.metadata.name for m in roster.counted if m.metadata.name in outdated.why)
    rolls = snapshot.layer.spec.update.strategy == "RollingUpdate"
    held = _held(snapshot, names, outdated, healing) if rolls else ""
    if not rolls or outdated.template:
        _take_back(roster, names if rolls else frozenset(), budget, moves)
    if not rolls or held:
        surplus = max(0, len(roster.counted) - budget.desired) if held and _under_way(snapshot, names) else 0
        return Rollout(budget.desired + min(surplus, budget.surge), names, held, rolls)
    waiting = [m for m in roster.counted if m.metadata.name in names and m.status.leave is None and not _healed(m)]
    sent = _send_off(snapshot, roster.counted, waiting, outdated, budget, moves)
    target = budget.desired + min(budget.surge, len(waiting) - sent)
    short = bool(waiting) and not sent and len(roster.counted) + len(snapshot.unreadable) >= target
    return Rollout(target, names, short=short)


def _held(snapshot: LayerSnapshot, names: frozenset[str], outdated: Outdated, healing: Healing) -> str:
    if not outdated.template:
        return "the present template is not known"
    if not names:
        return ""
    if healing.breaker.open:
        return "the layer is Protected"
    return "paused by spec.update.paused" if snapshot.layer.spec.update.paused else ""


def _under_way(snapshot: LayerSnapshot, names: frozenset[str]) -> bool:
    """Whether slots may have been added for a rollout. They stay while it is held, and none is added."""
    before = snapshot.layer.status.rollout
    return bool(names) or (before is not None and before.outdated > 0)


def _take_back(roster: Roster, names: frozenset[str], budget: Budget, moves: Moves) -> None:
    """Machines that were to be replaced in place, and need not be any more; or orders for one that is gone."""
    for member in roster.counted:
        leave, ec2 = member.status.leave, member.status.ec2
        if leave is None or budget.changes <= 0:
            continue
        stale = ec2 is None or ec2.instance_id != leave.instance_id
        if stale or (not leave.drained and member.metadata.name not in names):
            moves.stay.append(member)
            budget.changes -= 1


def _healed(member: Instance) -> bool:
    """Whether healing replaces the machine anyway, by one of the present template."""
    heal, ec2 = member.status.heal, member.status.ec2
    return heal is not None and ec2 is not None and heal.action == "replace" and heal.instance_id == ec2.instance_id


def _send_off(
    snapshot: LayerSnapshot,
    counted: Sequence[Instance],
    waiting: list[Instance],
    outdated: Outdated,
    budget: Budget,
    moves: Moves,
) -> int:
    """Those that never were online go at no cost; the others as long as enough work without them."""
    failing = frozenset(m.metadata.name for m in waiting) - budget.serving
    sent: list[str] = []
    share = spot_share(snapshot.stack, snapshot.layer) if snapshot.stack is not None else None
    first = superfluous(share, counted, budget.desired, frozenset(m.metadata.name for m in waiting))
    victims = capacity.choose_victims(waiting, len(waiting), unhealthy=failing, drifted=first)
    for member in _oldest_first(victims, outdated, frozenset(budget.serving)):
        name = member.metadata.name
        if budget.changes <= 0:
            break
        if unseen(snapshot, member) or not (never_online(member) or budget.spares(name, missing=budget.unavailable)):
            continue
        leave = order(
            snapshot,
            member,
            "delete" if budget.surge or outdated.why[name].whole_slot else "replace",
            reasons.ROLLING_UPDATE,
            outdated.why[name].message,
        )
        send_off(snapshot, member, leave, works=True, budget=budget, moves=moves)
        sent.append(name)
    if sent:
        why = outdated.why[sent[0]].message
        moves.notes.append(Note(reasons.ROLLING_UPDATE, f"renews {len(sent)}: {some(sent)}: {why}"))
    return len(sent)


def _oldest_first(victims: list[Instance], outdated: Outdated, serving: frozenset[str]) -> Iterator[Instance]:
    """The victims, those that work and are only too old by their age: where machines get too old faster than they are
    renewed, some would never have their turn. Markets keep theirs."""

    def is_aged(member: Instance) -> bool:
        name = member.metadata.name
        return name in serving and outdated.why[name].reason == reasons.TOO_OLD

    aged = sorted(filter(is_aged, victims), key=_launched_s)
    by_market = {market: iter([m for m in aged if m.spec.market == market]) for market in ("spot", "on-demand")}
    for member in victims:
        yield next(by_market[member.spec.market]) if is_aged(member) else member


def _launched_s(member: Instance) -> float:
    ec2 = member.status.ec2
    return ec2.launched_at.timestamp() if ec2 is not None and ec2.launched_at is not None else 0.0


def rollout_notes(before: LayerStatus, after: LayerStatus) -> tuple[Note, ...]:
    """What is told of a rollout as such: that it stands still, and that it is done."""
    notes = []
    stalled, was = (find_condition(status.conditions, "Progressing") for status in (after, before))
    if (
        stalled is not None
        and stalled.reason == reasons.ROLLOUT_STALLED
        and (was is None or was.reason != stalled.reason)
    ):
        notes.append(Note(stalled.reason, f"the rollout stands still: {stalled.message}", warning=True))
    if (
        before.rollout is not None
        and after.rollout is not None
        and before.rollout.outdated > 0 == after.rollout.outdated
    ):
        notes.append(Note(reasons.ROLLED_OUT, "no machine is outdated any more"))
    return tuple(notes)
