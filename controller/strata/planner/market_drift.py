"""Which slots a rollout renews for where they are bought: those in the wrong market, and those that stand on demand in
a spot machine's stead and are to be tried as spot again."""

from dataclasses import replace

from strata.planner.layer_plan import LayerSnapshot, earliest
from strata.planner.market import misplaced, retries, useless
from strata.planner.outdated import Outdated, Why
from strata.planner.policy import Policy
from strata.planner.roster import Roster
from strata.planner.template import spot_share
from strata.resources import reasons
from strata.resources.instance import Instance


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
    useless_in = useless(share, roster.counted, desired)
    for member in roster.leaving:
        if member.spec.market in useless_in:
            why[member.metadata.name] = moved
        elif _tried(member):
            why[member.metadata.name] = tried
    return replace(outdated, why=why | dict(outdated.why), next_at=earliest(outdated.next_at, again.again_at))


def _tried(member: Instance) -> bool:
    """Whether it leaves because its slot was tried as spot: it is not to come back for the next one's sake."""
    leave, ec2 = member.status.leave, member.status.ec2
    return leave is not None and leave.reason == reasons.ROLLING_UPDATE and ec2 is not None and ec2.fallback
