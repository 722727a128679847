"""Which slots a rollout renews for where they are bought: those in the wrong market, and those that stand on demand in
a spot machine's stead and are to be tried as spot again."""

from dataclasses import replace

from strata.planner.layer_plan import LayerSnapshot, earliest
from strata.planner.market import misplaced, retries
from strata.planner.outdated import Outdated, Why
from strata.planner.policy import Policy
from strata.planner.roster import Roster
from strata.planner.template import spot_share
from strata.resources import reasons


def with_markets(snapshot: LayerSnapshot, roster: Roster, outdated: Outdated, desired: int, policy: Policy) -> Outdated:
    """What is outdated, for the markets as well. What is so for another reason keeps it: it is renewed anyway."""
    if snapshot.stack is None:
        return outdated
    share = spot_share(snapshot.stack, snapshot.layer)
    wrong = misplaced(share, roster.counted, desired, frozenset(outdated.why))
    again = retries(roster.counted, desired, snapshot.now, policy.fallback_retry_s)
    moved = Why(reasons.MARKET_DRIFT, "in another market than spec.instance.spot says", whole_slot=True)
    tried = Why(reasons.SPOT_RETRY, "on demand for want of spot capacity, of which there may be some again")
    why = dict.fromkeys(sorted(wrong), moved) | dict.fromkeys(sorted(again.names - wrong), tried)
    return replace(outdated, why=why | dict(outdated.why), next_at=earliest(outdated.next_at, again.again_at))
