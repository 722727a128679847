"""Which machines nobody accounts for, and whether they may be ended without a person."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from strata.planner.policy import Policy
from strata.resources import tags
from strata.resources.machine import Machine


@dataclass(frozen=True, slots=True)
class Accounted:
    """What the records name: launches (stored, or referred to by a slot), machines, and the bytes of unreadable
    objects, which may name any."""

    launch_ids: frozenset[str]
    instance_ids: frozenset[str]
    unreadable: tuple[bytes, ...] = ()

    def has(self, machine: Machine) -> bool:
        launch_id = machine.tags.get(tags.LAUNCH, "")
        if launch_id in self.launch_ids or machine.instance_id in self.instance_ids:
            return True
        named = [name.encode() for name in (machine.instance_id, launch_id) if name]
        return any(name in text for text in self.unreadable for name in named)


@dataclass(frozen=True, slots=True)
class OrphanPlan:
    """Of the orphans, `reap` are ended and `hold` get a record for a person to decide on; of others it was decided
    before, or waits to be: that they have a record. `held_because` says why ("": nothing is held anew). `young_count`
    are machines that would be orphans, were they old enough to be sure."""

    orphans: tuple[Machine, ...]
    reap: tuple[Machine, ...] = ()
    hold: tuple[Machine, ...] = ()
    held_because: str = ""
    young_count: int = 0


def plan_orphans(
    machines: Iterable[Machine],
    *,
    accounted: Accounted,
    recorded: frozenset[str],
    store_doubt: str,
    now: datetime,
    policy: Policy,
) -> OrphanPlan:
    """`machines` are those of one complete sweep with our cluster's tag; `accounted` is from a quorum read of the
    Launch records that began after the sweep ended, so that a launch sealed meanwhile is in it. `recorded` are the
    machines that have an orphan's record: only a person ends those, however few are left. `store_doubt` is why the
    store may have lost records ("": it has not).
    """
    ours = [m for m in machines if m.live and m.tags.get(tags.CLUSTER) == policy.cluster_id]
    grace = timedelta(seconds=policy.orphan_grace_s)
    unaccounted = tuple(m for m in ours if not accounted.has(m))
    orphans = tuple(m for m in unaccounted if now - m.launched_at >= grace)
    young_count = len(unaccounted) - len(orphans)
    new = tuple(m for m in orphans if m.instance_id not in recorded)
    limit = max(3, len(ours) // 100)  # more than this is no leak but a loss of records
    if not store_doubt and len(orphans) > limit:
        store_doubt = f"{len(orphans)} at once are more than {limit} of {len(ours)}: records may be lost"
    if store_doubt:
        return OrphanPlan(orphans, hold=new, held_because=store_doubt, young_count=young_count)
    return OrphanPlan(orphans, reap=new, young_count=young_count)
