"""Which machines nobody accounts for, and whether they may be ended without a person."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from strata.planner.policy import Policy
from strata.resources import tags
from strata.resources.machine import Machine


@dataclass(frozen=True, slots=True)
class OrphanPlan:
    """Either all are reaped or all are held: `held_because` says why ("": reap). `young_count` are machines that
    would be orphans, were they old enough to be sure."""

    orphans: tuple[Machine, ...]
    held_because: str = ""
    young_count: int = 0


def plan_orphans(
    machines: Iterable[Machine], *, launches: frozenset[str], store_doubt: str, now: datetime, policy: Policy
) -> OrphanPlan:
    """`machines` are those of one complete sweep with our cluster's tag; `launches` the ids of all Launch records,
    by a quorum read that began after the sweep ended, so that a launch sealed meanwhile is in it. `store_doubt` is
    why the store may have lost records ("": it has not).
    """
    ours = [m for m in machines if m.live and m.tags.get(tags.CLUSTER) == policy.cluster_id]
    grace = timedelta(seconds=policy.orphan_grace_s)
    unaccounted = tuple(m for m in ours if m.tags.get(tags.LAUNCH, "") not in launches)
    orphans = tuple(m for m in unaccounted if now - m.launched_at >= grace)
    young_count = len(unaccounted) - len(orphans)
    limit = max(3, len(ours) // 100)  # more than this is no leak but a loss of records
    if not store_doubt and len(orphans) > limit:
        store_doubt = f"{len(orphans)} at once are more than {limit} of {len(ours)}: records may be lost"
    return OrphanPlan(orphans, store_doubt, young_count)
