"""The Layer pass's plan: which slots to add, to take out, to renew, to heal; and what the layer's status says of it.

It decides; it never touches EC2. Slots are counted by what they are worth, and every part of the plan takes from one
budget, in this order: the rollout, the number, what has run on for long enough, healing.
"""

from datetime import timedelta

import msgspec

from strata.planner.budget import Budget, open_budget
from strata.planner.conditions import no, some, turns, yes
from strata.planner.draining import end_leaves
from strata.planner.facts import Note
from strata.planner.healing import Healing, plan_healing
from strata.planner.interruption import plan_interruptions
from strata.planner.layer_plan import LAYER_LABEL, LayerPlan, LayerSnapshot, Marked, Moves, earliest
from strata.planner.layer_status import Findings, layer_conditions, layer_status, phases
from strata.planner.market_drift import with_markets
from strata.planner.outdated import find_outdated
from strata.planner.policy import Policy
from strata.planner.revisions import plan_revisions
from strata.planner.rollout import plan_rollout, rollout_notes
from strata.planner.roster import call_roll
from strata.planner.scaling import plan_scaling
from strata.planner.stall import find_stall
from strata.planner.wanted import blocked_by, number_notes, wanted
from strata.resources import reasons
from strata.resources.instance import Instance

__all__ = ["LAYER_LABEL", "LayerPlan", "LayerSnapshot", "phases", "plan_layer"]

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
        reasons.LEAVING,
        reasons.ROLLING_UPDATE,
        reasons.ROLLOUT_STALLED,
        reasons.ROLLOUT_PAUSED,
    }
)


def plan_layer(snapshot: LayerSnapshot, policy: Policy) -> LayerPlan:
    """Plan one layer. Total: every snapshot gives a plan; bounded by policy.changes_per_pass."""
    if snapshot.layer.metadata.deleting:
        return _plan_deletion(snapshot, policy)
    number = wanted(snapshot.layer, snapshot.stack, snapshot.now, snapshot.signals)
    roster = call_roll(snapshot.members)
    outdated = with_markets(snapshot, roster, find_outdated(snapshot), number.count, policy)
    healing = plan_healing(snapshot, policy, desired=number.count + roster.by_hand)
    blocked = blocked_by(snapshot.stack, snapshot.layer.metadata.namespace)
    budget = open_budget(
        snapshot.layer.spec.update,
        number.count,
        roster.counted,
        snapshot.facts,
        changes=0 if blocked else policy.changes_per_pass,
    )
    moves = Moves()
    roster = plan_interruptions(snapshot, roster, budget, moves)
    rollout = plan_rollout(snapshot, roster, outdated, healing, budget, moves)
    plan_scaling(snapshot, roster, outdated, rollout, healing, budget, moves)
    end_leaves(snapshot, roster, outdated, shielded=healing.breaker.open, budget=budget, moves=moves)
    withdraw, marks = _heal(healing, budget, moves)
    stall, stalls_at = find_stall(snapshot, roster, rollout, healing, policy)
    revisions = plan_revisions(snapshot)
    status = layer_status(
        snapshot,
        Findings(
            number=number,
            roster=roster,
            healing=healing,
            outdated=outdated,
            rollout=rollout,
            stall=stall,
            revision=revisions.number,
            blocked=blocked,
        ),
    )
    return LayerPlan(
        status=status,
        create=tuple(moves.create),
        delete=tuple(moves.delete),
        leave=tuple(moves.leave),
        stay=tuple(moves.stay),
        power=tuple(moves.power),
        heal=marks,
        withdraw=withdraw,
        revisions=revisions,
        notes=(
            *number.load.notes,
            *number_notes(snapshot.layer.status, number),
            *moves.notes,
            *_heal_notes(marks),
            *rollout_notes(snapshot.layer.status, status),
            *turns(snapshot.layer.status.conditions, status.conditions, _QUIET),
        ),
        again_at=earliest(healing.again_at, number.again_at, outdated.next_at, moves.again_at, stalls_at),
        more=not blocked and budget.changes <= 0,
    )


def _heal(healing: Healing, budget: Budget, moves: Moves) -> tuple[tuple[Instance, ...], tuple[Marked, ...]]:
    """The heal marks to take back, and those to set, as far as they fit. A slot that goes anyway is not healed."""
    touched = moves.touched()
    withdraw = tuple(m for m in healing.withdrawn if m.metadata.name not in touched)[: budget.changes]
    budget.changes -= len(withdraw)
    marks = tuple(m for m in healing.marks if m.instance.metadata.name not in touched)[: budget.changes]
    budget.changes -= len(marks)
    return withdraw, marks


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


def _heal_notes(marks: tuple[Marked, ...]) -> tuple[Note, ...]:
    return tuple(
        Note(reasons.HEALING, f"{m.mark.action} {m.instance.metadata.name}: {m.mark.message}", warning=True)
        for m in marks
    )
