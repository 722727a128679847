"""Instance: a machine's identity, which outlives the EC2 instances that fill it one after the other."""

import enum
from datetime import datetime
from typing import Literal

from strata.resources.machine import Market
from strata.resources.meta import Condition, ObjectMeta, Record
from strata.resources.stack import InstanceTemplate


class Phase(enum.StrEnum):
    """OpsWorks's states, as far as something makes them (the rest come with the agent)."""

    REQUESTED = "requested"  # wants a machine; none launched yet
    PENDING = "pending"  # launched; EC2 has not started it
    BOOTING = "booting"  # running; status checks not passed yet
    ONLINE = "online"  # running, both status checks passed
    START_FAILED = "start_failed"  # the last launch failed; the next waits for its backoff
    CONNECTION_LOST = "connection_lost"  # running, but its status checks fail
    STOPPING = "stopping"
    STOPPED = "stopped"
    SHUTTING_DOWN = "shutting_down"  # being ended, to be replaced or deleted
    TERMINATED = "terminated"  # gone; the next launch follows, or the object goes


class InstanceSpec(Record, frozen=True, kw_only=True):
    """`zone` is the preferred zone; `market` is where its machines are bought, set at its birth; `availability` manual
    marks a hand-made instance."""

    layers: tuple[str, ...]
    power: Literal["running", "stopped"] = "running"
    zone: str | None = None
    market: Market = "on-demand"
    instance: InstanceTemplate = InstanceTemplate()
    availability: Literal["layer", "manual"] = "manual"


class LaunchRef(Record, frozen=True, kw_only=True):
    """Which Launch record this slot waits for or was filled by, and as which attempt."""

    launch_id: str
    attempt: int


class Ec2Status(Record, frozen=True, kw_only=True):
    """What EC2 last said of this slot's machine. `fallback`: it was bought on demand for want of spot capacity."""

    instance_id: str
    state: str
    type: str = ""
    zone: str = ""
    image_id: str = ""
    lifecycle: str = "on-demand"
    fallback: bool = False
    private_ip: str = ""
    public_ip: str = ""
    launched_at: datetime | None = None


class HealMark(Record, frozen=True, kw_only=True):
    """The Layer pass's order to destroy (or restart) this very machine, within the budget, and the proof that
    justified it. It stays until the slot is online again, and so long it counts against the budget; the Layer pass
    takes it back if the proof is gone while the machine is still there."""

    instance_id: str
    action: Literal["replace", "restart"] = "replace"
    reason: str
    message: str
    marked_at: datetime


class Leave(Record, frozen=True, kw_only=True):
    """The order that this slot, or its present machine, leaves. It no longer counts towards the number, but its
    machine runs on for spec.shutdown.timeout; then the Layer pass deletes it, has it stopped, or sets `drained` and so
    has this very machine replaced under the slot's name (only then is `instance_id` needed)."""

    reason: str
    message: str
    marked_at: datetime
    then: Literal["delete", "stop", "replace"] = "delete"
    instance_id: str = ""
    drained: bool = False


class Failures(Record, frozen=True, kw_only=True):
    """Persisted backoff: consecutive failures of this slot (launch failed, or lost before it was long online)."""

    count: int
    last_at: datetime
    reason: str
    message: str = ""


class InstanceStatus(Record, frozen=True, kw_only=True):
    """`attempt` counts launches, ever. `online_since` is since when the present machine is online. `restarted` is
    the EC2 instance that healing has restarted once already. `stopped_as_wanted` tells a stop that spec.power or
    healing asked for from one behind our back; written before the stop, it holds until the machine starts again."""

    observed_generation: int = 0
    phase: Phase = Phase.REQUESTED
    attempt: int = 0
    launch: LaunchRef | None = None
    template: str = ""
    ec2: Ec2Status | None = None
    heal: HealMark | None = None
    leave: Leave | None = None
    failures: Failures | None = None
    online_since: datetime | None = None
    restarted: str = ""
    stopped_as_wanted: bool = False
    conditions: tuple[Condition, ...] = ()


class Instance(Record, frozen=True, kw_only=True, omit_defaults=False):
    api_version: str
    kind: str
    metadata: ObjectMeta
    spec: InstanceSpec
    status: InstanceStatus = InstanceStatus()
