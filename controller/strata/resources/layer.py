"""Layer: a server role, its template, its capacity rules and its healing."""

from datetime import datetime
from typing import Literal

import msgspec

from strata.resources.capacity import Capacity
from strata.resources.load import LoadStatus
from strata.resources.meta import Condition, ObjectMeta, Record
from strata.resources.stack import SharedTemplate
from strata.resources.update import RolloutStatus, Shutdown, Update


class Healing(Record, frozen=True, kw_only=True):
    """Durations as text (`5m`); `max_unhealthy` a share (`30%`) or a count (`3`)."""

    enabled: bool = True
    impaired_after: str = "5m"
    start_deadline: str = "10m"
    action: Literal["replace", "restart"] = "replace"
    max_unhealthy: str = "30%"


class LayerSpec(Record, frozen=True, kw_only=True):
    type: str = "custom"
    instance: SharedTemplate = SharedTemplate()
    capacity: Capacity = Capacity()
    healing: Healing = Healing()
    update: Update = Update()
    shutdown: Shutdown = Shutdown()


class Because(Record, frozen=True, kw_only=True):
    """One addend of desired, or the limit that cut it."""

    rule: str
    instances: int
    until: datetime | None = None


class NextChange(Record, frozen=True, kw_only=True):
    """The next moment at which the clock alone changes desired, and the rule that does."""

    at: datetime
    rule: str
    desired: int


class ResolvedImage(Record, frozen=True, kw_only=True):
    """What the layer's image came to, once: frozen until `source` changes."""

    source: str
    id: str
    root_device_name: str
    resolved_at: datetime


class SpotStatus(Record, frozen=True, kw_only=True):
    """Of the layer's slots that stay: how many are to be spot, how many run as spot, and how many run on demand in
    their stead, for want of spot capacity."""

    wanted: int = 0
    running: int = 0
    fallback: int = 0


class LayerStatus(Record, frozen=True, kw_only=True):
    """`selector` and `replicas` are for the scale subresource. `leaving` counts the slots that run on until they go,
    `warm` those that are kept stopped. `protected_below_since` is since when the breaker could close again."""

    observed_generation: int = 0
    desired: int = 0
    replicas: int = 0
    selector: str = ""
    because: tuple[Because, ...] = ()
    next_change: NextChange | None = None
    instances: dict[str, int] = msgspec.field(default_factory=dict)
    leaving: int = 0
    warm: int = 0
    rollout: RolloutStatus | None = None
    load: LoadStatus = LoadStatus()
    spot: SpotStatus | None = None
    image: ResolvedImage | None = None
    protected_below_since: datetime | None = None
    conditions: tuple[Condition, ...] = ()


class Layer(Record, frozen=True, kw_only=True, omit_defaults=False):
    api_version: str
    kind: str
    metadata: ObjectMeta
    spec: LayerSpec
    status: LayerStatus = LayerStatus()
