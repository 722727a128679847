"""A simulated instance: what it was born with, and its views, one for each time that something of it changed.

A view is immutable but for what a face rendered from it. The last view is the truth; an earlier one is what a
Describe that lags still tells.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

from strata.resources.machine import MachineState

Check = Literal["ok", "impaired", "initializing", "not-applicable"]
Part = Literal["instance", "system", "ebs"]  # what a status check looks at
PARTS: tuple[Part, ...] = ("instance", "system", "ebs")

STATE_CODES: dict[MachineState, int] = {
    "pending": 0,
    "running": 16,
    "shutting-down": 32,
    "terminated": 48,
    "stopping": 64,
    "stopped": 80,
}
HISTORY_S = 900.0  # how far back views are kept, so the longest lag that can be set


class Reason(NamedTuple):
    """EC2's StateReason, and the older StateTransitionReason."""

    code: str = ""
    message: str = ""
    transition: str = ""


NO_REASON = Reason()


class Volume(NamedTuple):
    device_name: str
    volume_id: str
    delete_on_termination: bool
    encrypted: bool
    size_gib: int


@dataclass(frozen=True, slots=True)
class Birth:
    """What RunInstances fixed for good. `seq` orders a region's instances by their making."""

    seq: int
    instance_id: str
    reservation_id: str
    client_token: str
    ami_launch_index: int
    type: str
    vcpus: int
    architecture: str
    image_id: str
    root_device_name: str
    zone: str
    subnet_id: str
    vpc_id: str
    owner_id: str
    interface_id: str
    volumes: tuple[Volume, ...]
    security_group_ids: tuple[str, ...]
    key_name: str
    profile_arn: str
    lifecycle: Literal["on-demand", "spot"]
    monitoring: bool
    user_data: str
    shutdown_behavior: str
    metadata_options: Mapping[str, str | int]
    spot_request_id: str = ""


@dataclass(slots=True)
class View:
    """One version. `rendered` and `rendered_status` belong to the HTTP face, which fills them once."""

    at_s: float
    state: MachineState
    reason: Reason
    launched_at: datetime
    private_ip: str
    public_ip: str
    tags: Mapping[str, str]
    checks: tuple[Check, Check, Check] = ("initializing", "initializing", "initializing")
    impaired_since: datetime | None = None
    marked: bool = False  # EC2 has given notice that it takes this spot machine back
    rendered: str = field(default="", compare=False)
    rendered_status: str = field(default="", compare=False)

    @property
    def in_network(self) -> bool:
        """EC2 takes subnet, VPC and addresses out of a terminated machine's record."""
        return self.state != "terminated"


@dataclass(slots=True)
class Life:
    """From the making to the end, for the witness; it outlives the instance."""

    instance_id: str
    client_token: str
    reservation_id: str
    zone: str
    type: str
    made_at_s: float
    made_by: str
    ended_at_s: float | None = None
    ended_by: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Instance:
    """`plan` counts the plans made: an agenda entry of an older plan is void. `ills` are the parts that a world control
    impaired; True: the ill survives a restart. `fate`: how the next boot goes."""

    birth: Birth
    views: list[View]
    life: Life
    protected: bool = False
    plan: int = 0
    ills: dict[Part, bool] = field(default_factory=dict)
    fate: Literal["", "terminated", "stuck"] = ""

    @property
    def id(self) -> str:
        return self.birth.instance_id

    @property
    def view(self) -> View:
        return self.views[-1]

    def seen_at(self, at_s: float) -> View | None:
        """What was to be seen at that time; None before it was made."""
        if self.views[-1].at_s <= at_s:
            return self.views[-1]
        found = bisect_right(self.views, at_s, key=_at)
        return self.views[found - 1] if found else None

    def push(self, view: View) -> None:
        """Make this the truth, and forget what no lag can show any more."""
        if self.views[-1].at_s == view.at_s:
            self.views[-1] = view
        else:
            self.views.append(view)
        keep = bisect_right(self.views, view.at_s - HISTORY_S, key=_at) - 1
        if keep > 0:
            del self.views[:keep]


class Seen(NamedTuple):
    """An instance as one reply has it."""

    instance: Instance
    view: View


def _at(view: View) -> float:
    return view.at_s
