"""What the Layer pass's plan is made from, and what it says: plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from strata.planner.facts import Known, MachineFact, Note, SignalFact, Unknown
from strata.resources.instance import HealMark, Instance, Leave
from strata.resources.layer import Layer, LayerStatus, ResolvedImage
from strata.resources.machine import Market
from strata.resources.meta import API_GROUP
from strata.resources.revision import LayerRevision, LayerRevisionSpec
from strata.resources.stack import Stack

LAYER_LABEL = f"{API_GROUP}/layer"


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSnapshot:
    """`members` are the Instances whose first layer this is. `image` is what the template's image comes to, read only
    when the status does not have it frozen. `protected` names the stack's other layers whose breaker is open.
    `unreadable` names slots whose objects nobody can decode: they count, for each may have a machine. `signals` are
    what is known of the layer's load, by name. `revisions` are the templates that it had, those that can be read."""

    now: datetime
    layer: Layer
    stack: Stack | None
    members: tuple[Instance, ...]
    facts: Mapping[str, MachineFact]
    image: Known[ResolvedImage] | Unknown
    protected: frozenset[str]
    unreadable: frozenset[str] = frozenset()
    signals: Mapping[str, SignalFact] = field(default_factory=dict)
    revisions: tuple[LayerRevision, ...] = ()


@dataclass(frozen=True, slots=True)
class NewSlot:
    name: str
    zone: str
    market: Market = "on-demand"


@dataclass(frozen=True, slots=True)
class Marked:
    instance: Instance
    mark: HealMark


@dataclass(frozen=True, slots=True)
class Leaving:
    """A slot's status.leave as it is to be."""

    instance: Instance
    leave: Leave


@dataclass(frozen=True, slots=True)
class Powered:
    """A slot's spec.power as it is to be. Its status.leave goes."""

    instance: Instance
    power: Literal["running", "stopped"]


@dataclass(slots=True)
class Moves:
    """What is done to the slots; filled step by step while a plan is made. No slot is in more than one of them.
    `stay`: their status.leave goes."""

    create: list[NewSlot] = field(default_factory=list)
    delete: list[Instance] = field(default_factory=list)
    leave: list[Leaving] = field(default_factory=list)
    stay: list[Instance] = field(default_factory=list)
    power: list[Powered] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    again_at: datetime | None = None

    def sent_off(self) -> set[str]:
        """Names of slots that no longer count: not those whose machine is only replaced."""
        leaving = (one.instance for one in self.leave if one.leave.then != "replace")
        stopped = (one.instance for one in self.power if one.power == "stopped")
        return {member.metadata.name for member in (*self.delete, *leaving, *stopped)}

    def touched(self) -> set[str]:
        """Names of all slots that something is done to."""
        changed = (*(one.instance for one in self.leave), *(one.instance for one in self.power))
        return {member.metadata.name for member in (*self.delete, *self.stay, *changed)}


@dataclass(frozen=True, slots=True)
class Revisions:
    """What is done to the layer's revisions. `number` is the present one's (0: not known); `write` is the present one,
    by its name, where it is not the newest in the store; `forget` are those beyond what is kept."""

    number: int = 0
    write: tuple[str, LayerRevisionSpec] | None = None
    forget: tuple[LayerRevision, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerPlan:
    """All of it is one transaction. `leave`, `stay` and `power`: see Moves. `withdraw`: members whose heal mark no
    longer holds. `finished`: nothing is left of a deleted layer. `again_at`: when time alone may change this plan;
    `more`: the rest did not fit and follows at once."""

    status: LayerStatus
    create: tuple[NewSlot, ...] = ()
    delete: tuple[Instance, ...] = ()
    leave: tuple[Leaving, ...] = ()
    stay: tuple[Instance, ...] = ()
    power: tuple[Powered, ...] = ()
    heal: tuple[Marked, ...] = ()
    withdraw: tuple[Instance, ...] = ()
    revisions: Revisions = Revisions()
    finished: bool = False
    notes: tuple[Note, ...] = ()
    again_at: datetime | None = None
    more: bool = False


def earliest(*times: datetime | None) -> datetime | None:
    return min((time for time in times if time is not None), default=None)
