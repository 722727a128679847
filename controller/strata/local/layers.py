"""The layers of a world as its progress shows them, read from the API."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from strata.cli.client import Client

_LAYERS = "/apis/strata.dev/v1alpha1/layers"
_STACKS = "/apis/strata.dev/v1alpha1/stacks"
_STARTING = ("requested", "pending", "booting")


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerView:
    """One layer, as its status last said. `reason` is why it is not ready."""

    stack: str
    name: str
    desired: int
    online: int
    starting: int
    other: int
    ready: bool
    reason: str

    @property
    def path(self) -> str:
        return f"{self.stack}/{self.name}"


def read_layers(client: Client) -> list[LayerView]:
    """All layers of all stacks, by name."""
    items = client.list(_LAYERS)["items"]
    return sorted((view(item) for item in items), key=lambda layer: (layer.stack, layer.name))


def has_stacks(client: Client) -> bool:
    return bool(client.list(_STACKS)["items"])


def view(item: Mapping[str, Any]) -> LayerView:
    """One layer of the API's JSON. What the controller has not seen yet is not ready."""
    metadata, status = item["metadata"], item.get("status", {})
    instances: dict[str, int] = status.get("instances", {})
    online, starting = instances.get("online", 0), sum(instances.get(phase, 0) for phase in _STARTING)
    ready: Mapping[str, str] = next((c for c in status.get("conditions", ()) if c["type"] == "Ready"), {})
    seen = status.get("observedGeneration", 0) >= metadata.get("generation", 1)
    return LayerView(
        stack=metadata["namespace"],
        name=metadata["name"],
        desired=status.get("desired", 0) if seen else item["spec"].get("capacity", {}).get("always", 0),
        online=online,
        starting=starting,
        other=sum(instances.values()) - online - starting,
        ready=seen and ready.get("status") == "True",
        reason=ready.get("message") or ready.get("reason", "") if seen else "",
    )
