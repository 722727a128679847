"""Launch: the record that says which EC2 instance belongs to which slot. Internal, not served to clients.

    sealed --complete answer--> assigned      members and machines are zipped, once, for ever
    sealed --proof of nothing--> dead         no machine was or will be made under this token

A member that got no machine (a partial fill) is in `unfilled`; machines beyond the members are `surplus`.
"""

from datetime import datetime
from typing import Any, Literal

from strata.resources.machine import Market
from strata.resources.meta import ObjectMeta, Record


class Member(Record, frozen=True, kw_only=True):
    """A slot that wants a machine: its Instance's name, uid and the attempt that this launch is. `fallback`: it wanted
    a spot machine, and nowhere was one to be had."""

    name: str
    uid: str
    attempt: int
    layer: str = ""
    fallback: bool = False


class Assignment(Record, frozen=True, kw_only=True):
    uid: str
    instance_id: str


class LaunchSpec(Record, frozen=True, kw_only=True):
    """`parameters` are run_instances' keyword arguments, all but ClientToken, MinCount and MaxCount."""

    region: str
    endpoint: str | None
    type: str
    zone: str
    market: Market = "on-demand"
    template: str
    parameters: dict[str, Any]
    members: tuple[Member, ...]


class LaunchStatus(Record, frozen=True, kw_only=True):
    """`sent_at` is the last send that may have reached EC2 (the seal's time stands for the first);
    `unanswered_at` is the last send that got no usable answer; `died_because` is set on dead ones."""

    state: Literal["sealed", "assigned", "dead"] = "sealed"
    sent_at: datetime
    unanswered_at: datetime | None = None
    resolved_at: datetime | None = None
    assignments: tuple[Assignment, ...] = ()
    unfilled: tuple[str, ...] = ()
    surplus: tuple[str, ...] = ()
    died_because: str = ""
    message: str = ""


class Launch(Record, frozen=True, kw_only=True, omit_defaults=False):
    """metadata.name is the launch id: the ClientToken, and the value of the launch tag."""

    api_version: str
    kind: str
    metadata: ObjectMeta
    spec: LaunchSpec
    status: LaunchStatus
