"""What the Layer pass's plan is made from, and what it says: plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from strata.planner.facts import Known, MachineFact, Note, SignalFact, Unknown
from strata.resources.instance import HealMark, Instance
from strata.resources.layer import Layer, LayerStatus, ResolvedImage
from strata.resources.meta import API_GROUP
from strata.resources.stack import Stack

LAYER_LABEL = f"{API_GROUP}/layer"


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSnapshot:
    """`members` are the Instances whose first layer this is. `image` is what the template's image comes to, read only
    when the status does not have it frozen. `protected` names the stack's other layers whose breaker is open.
    `unreadable` names slots whose objects nobody can decode: they count, for each may have a machine. `signals` are
    what is known of the layer's load, by name."""

    now: datetime
    layer: Layer
    stack: Stack | None
    members: tuple[Instance, ...]
    facts: Mapping[str, MachineFact]
    image: Known[ResolvedImage] | Unknown
    protected: frozenset[str]
    unreadable: frozenset[str] = frozenset()
    signals: Mapping[str, SignalFact] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NewSlot:
    name: str
    zone: str


@dataclass(frozen=True, slots=True)
class Marked:
    instance: Instance
    mark: HealMark


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerPlan:
    """All of it is one transaction. `withdraw`: members whose mark no longer holds. `finished`: nothing is left of a
    deleted layer. `again_at`: when time alone may change this plan; `more`: the rest did not fit and follows at
    once."""

    status: LayerStatus
    create: tuple[NewSlot, ...] = ()
    delete: tuple[Instance, ...] = ()
    heal: tuple[Marked, ...] = ()
    withdraw: tuple[Instance, ...] = ()
    finished: bool = False
    notes: tuple[Note, ...] = ()
    again_at: datetime | None = None
    more: bool = False


def earliest(*times: datetime | None) -> datetime | None:
    return min((time for time in times if time is not None), default=None)
