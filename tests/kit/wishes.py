"""What a scenario's people want of a layer, and whether the world is as they want it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.kit.laws import Laws
from tests.kit.slot_laws import counts

from strata.resources.instance import Instance, Phase
from strata.resources.layer import Layer
from strata.resources.stack import Stack

# How a layer renews its machines and takes them out.
MANNERS: tuple[dict[str, Any], ...] = (
    {},
    {"update": {"maxSurge": 0, "maxUnavailable": 1}},
    {"update": {"maxSurge": "50%", "maxUnavailable": "50%"}, "shutdown": {"drain": False}},
    {"scaleIn": "stop"},
    {"update": {"maxSurge": 2, "maxUnavailable": 1}, "scaleIn": "stop", "shutdown": {"drain": False}},
    {"update": {"strategy": "OnDelete"}},
)
_DRAIN = {"timeout": "40s"}


@dataclass(frozen=True, slots=True)
class Wish:
    """One layer, as far as scenarios change it. `template` 0 is the first one; `manners` is an index; `spot` is a
    percentage beyond the first slot."""

    always: int
    types: tuple[str, ...] = ()
    template: int = 0
    manners: int = 0
    held: bool = False
    restarted_at: str = ""
    spot: int = 0

    def spec(self, healing: str) -> dict[str, Any]:
        manners = MANNERS[self.manners]
        update = manners.get("update", {}) | {"paused": self.held}
        types = {"types": list(self.types)} if self.types else {}
        return {
            "capacity": {"always": self.always, "scaleIn": manners.get("scaleIn", "terminate")},
            "healing": {"action": healing, "impairedAfter": "2m", "startDeadline": "4m"},
            "update": update | ({"restartedAt": self.restarted_at} if self.restarted_at else {}),
            "shutdown": manners.get("shutdown", _DRAIN),
            "instance": types
            | ({"userData": f"# {self.template}"} if self.template else {})
            | ({"spot": {"onDemandBase": 1, "percentage": self.spot}} if self.spot else {}),
        }


def unrest(laws: Laws) -> str:
    """What is not yet as it is written; "" for nothing."""
    found = _going(laws)
    for layer in laws.objects(Layer):
        found = found or next(_unfinished(laws, layer), "")
    leaks = laws.leaks()
    return found or (f"nobody's: {', '.join(leaks)}" if leaks else "")


def _going(laws: Laws) -> str:
    gone = [one for one in (*laws.objects(Stack), *laws.objects(Layer)) if one.metadata.deleting]
    return f"{gone[0].kind} {gone[0].metadata.name} is being deleted" if gone else ""


def _unfinished(laws: Laws, layer: Layer) -> Iterator[str]:
    name, namespace, rollout = layer.metadata.name, layer.metadata.namespace, layer.status.rollout
    members = [
        one for one in laws.objects(Instance) if one.metadata.namespace == namespace and one.spec.layers[0] == name
    ]
    own = sum(counts(one) for one in members)
    if own != layer.spec.capacity.always:
        yield f"{name} has {own} slots, {layer.spec.capacity.always} are wanted"
    if layer.spec.update.strategy == "RollingUpdate" and (rollout is None or rollout.outdated):
        yield f"{name} is not renewed: {rollout}"
    for slot in members:
        yield from _unsettled(layer, slot)


def _unsettled(layer: Layer, slot: Instance) -> Iterator[str]:
    stopped = slot.spec.power == "stopped"
    if slot.metadata.deleting or slot.status.phase != (Phase.STOPPED if stopped else Phase.ONLINE):
        yield f"{slot.metadata.name} is {slot.status.phase}"
    if slot.status.leave is not None:
        yield f"{slot.metadata.name} leaves: {slot.status.leave}"
    if slot.spec.availability == "layer" and stopped and layer.spec.capacity.scale_in != "stop":
        yield f"{slot.metadata.name} is kept stopped, and nobody wants that"
