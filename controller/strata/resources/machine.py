"""What EC2 says of a machine, as the planner sees it: slotted, and interned where values repeat."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

MachineState = Literal["pending", "running", "stopping", "stopped", "shutting-down", "terminated"]
LIVE_STATES: frozenset[MachineState] = frozenset({"pending", "running", "stopping", "stopped"})
GONE_STATES: frozenset[MachineState] = frozenset({"shutting-down", "terminated"})

Market = Literal["on-demand", "spot"]

CheckState = Literal["ok", "impaired", "initializing", "insufficient-data", "not-applicable"]


@dataclass(frozen=True, slots=True)
class Machine:
    """One EC2 instance as one reply of DescribeInstances or RunInstances had it.

    `launched_at` is EC2's LaunchTime (it moves when a stopped machine starts). `state_reason` is EC2's
    StateReason code, "" if none. `lifecycle` is "on-demand" or "spot".
    """

    instance_id: str
    state: MachineState
    type: str
    zone: str
    subnet_id: str
    image_id: str
    launched_at: datetime
    ami_launch_index: int = 0
    client_token: str = ""
    private_ip: str = ""
    public_ip: str = ""
    lifecycle: str = "on-demand"
    state_reason: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def live(self) -> bool:
        """Whether it still is, or can again become, a running machine."""
        return self.state in LIVE_STATES


@dataclass(frozen=True, slots=True)
class MachineHealth:
    """Status checks of one machine: `checks` is the worst of instance, system and attached-EBS.
    `impaired_since` is EC2's own ImpairedSince when it gave one."""

    instance_id: str
    state: MachineState
    checks: CheckState
    impaired_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class SpotRequest:
    """The request that a spot machine came from. `status_code` is EC2's: `fulfilled` while nothing is wrong,
    `marked-for-termination` for the two minutes before EC2 takes the machine back."""

    request_id: str
    instance_id: str
    state: str
    status_code: str
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Image:
    image_id: str
    root_device_name: str
    architecture: str = ""
    state: str = "available"


@dataclass(frozen=True, slots=True)
class Subnet:
    subnet_id: str
    zone: str
    vpc_id: str
