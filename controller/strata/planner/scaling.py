"""Which slots a layer adds and removes, by count."""

from strata.planner import capacity
from strata.planner.healing import Healing
from strata.planner.layer_plan import LayerSnapshot, NewSlot
from strata.planner.layer_status import template_fault
from strata.planner.policy import Policy
from strata.planner.rollout import drifted
from strata.resources.instance import Instance


def new_slots(
    snapshot: LayerSnapshot, slots: tuple[Instance, ...], missing: int, policy: Policy
) -> tuple[NewSlot, ...]:
    if missing <= 0 or snapshot.stack is None or template_fault(snapshot) is not None:
        return ()
    layer = snapshot.layer.metadata.name
    wanted = min(missing, policy.changes_per_pass)
    zones = capacity.choose_zones(slots, snapshot.stack.spec.subnets, wanted)
    taken = {m.metadata.name for m in snapshot.members} | snapshot.unreadable
    free = capacity.free_ordinals(layer, taken)
    return tuple(NewSlot(f"{layer}-{number}", zone) for zone, number in zip(zones, free, strict=False))


def victims(
    snapshot: LayerSnapshot, slots: tuple[Instance, ...], excess: int, healing: Healing, policy: Policy
) -> tuple[Instance, ...]:
    if excess <= 0:
        return ()
    victims = capacity.choose_victims(
        slots,
        min(excess, policy.changes_per_pass),
        unhealthy=frozenset(healing.proofs),
        drifted=frozenset(drifted(snapshot)),
    )
    return tuple(victims)
