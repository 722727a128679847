"""Launches: where a slot's machine is asked for, which slots go out together, and what came of a launch.

All of the launch protocol's decisions are here; the launcher in reconcile/ only carries them out.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec

from strata.errors import CloudErrorKind
from strata.planner.policy import Policy
from strata.resources.digest import canonical
from strata.resources.launch import Assignment, Launch, LaunchStatus, Member
from strata.resources.machine import Machine, Market
from strata.resources.stack import SubnetRef

Refused = Callable[[str, str], bool]  # (type, zone) -> EC2 had none of it a short while ago


def place(
    types: Sequence[str], subnets: Sequence[SubnetRef], preferred_zone: str | None, refused: Refused
) -> tuple[str, SubnetRef] | None:
    """The type and subnet to ask for: every type in the preferred zone first, then the next zones in the stack's
    order. None: all of them were refused lately."""
    order = sorted(subnets, key=lambda subnet: subnet.zone != preferred_zone)  # stable: the stack's order otherwise
    return next(((t, subnet) for subnet in order for t in types if not refused(t, subnet.zone)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """A slot that wants a machine, with everything that EC2 is asked for but the launch tag."""

    member: Member
    stack: str
    region: str
    endpoint: str | None
    type: str
    zone: str
    market: Market
    template: str
    parameters: Mapping[str, Any]
    fingerprint: bytes  # canonical bytes of `parameters`, made once a layer, type and zone


def fingerprint(parameters: Mapping[str, Any]) -> bytes:
    return canonical(parameters)


def group(wants: Iterable[Want], *, members_per_launch: int) -> list[list[Want]]:
    """Slots whose launches are byte-equal, within a stack, in chunks that fit one transaction; in order."""
    groups: dict[tuple[str, str, str | None, bytes], list[Want]] = {}
    for want in wants:
        groups.setdefault((want.stack, want.region, want.endpoint, want.fingerprint), []).append(want)
    return [
        wanted[start : start + members_per_launch]
        for wanted in groups.values()
        for start in range(0, len(wanted), members_per_launch)
    ]


def assign(launch: Launch, machines: Sequence[Machine], living: frozenset[str], now: datetime) -> LaunchStatus:
    """Zip the members with the machines of one complete answer, for ever.

    Members are interchangeable, so the order of (AmiLaunchIndex, id) is as good as any, and everybody who sees the
    same answer zips the same. Members whose object is gone get nothing; machines beyond the living are surplus.
    """
    members = [member for member in launch.spec.members if member.uid in living]
    ordered = sorted(machines, key=lambda machine: (machine.ami_launch_index, machine.instance_id))
    return msgspec.structs.replace(
        launch.status,
        state="assigned",
        resolved_at=now,
        assignments=tuple(
            Assignment(uid=member.uid, instance_id=machine.instance_id)
            for member, machine in zip(members, ordered, strict=False)
        ),
        unfilled=tuple(member.uid for member in members[len(ordered) :]),
        surplus=tuple(machine.instance_id for machine in ordered[len(members) :]),
    )


def dead(launch: Launch, reason: str, message: str, now: datetime) -> LaunchStatus:
    return msgspec.structs.replace(launch.status, state="dead", resolved_at=now, died_because=reason, message=message)


Next = Literal["resend", "resolve by sweeps"]


def next_step(launch: Launch, now: datetime, policy: Policy) -> Next:
    """A sealed launch is sent (again) for twelve hours; after that EC2 may have forgotten its token."""
    age = now - (launch.metadata.creation_timestamp or launch.status.sent_at)
    return "resend" if age < timedelta(seconds=policy.launch_expiry_s) else "resolve by sweeps"


_SAID_BEFORE_THE_TOKEN = frozenset({CloudErrorKind.UNAUTHORIZED, CloudErrorKind.CLOCK_SKEW})


def is_death(kind: CloudErrorKind, unanswered_at: datetime | None, now: datetime, policy: Policy) -> bool:
    """Whether this answer proves that no machine was or will be made under the token.

    A definitive refusal proves it only once no earlier send can still be under way, and only if EC2 looked at the
    token: it asks who we are before. That the token's machines are terminated proves it always.
    """
    if kind is CloudErrorKind.IDEMPOTENT_TERMINATED:
        return True
    if not kind.definitive:
        return False
    if unanswered_at is None:
        return True
    late_enough = now - unanswered_at >= timedelta(seconds=policy.launch_unanswered_s)
    return late_enough and kind not in _SAID_BEFORE_THE_TOKEN


@dataclass(frozen=True, slots=True)
class Sweeps:
    """Times at which complete sweeps began, oldest first, and the machines that the last one showed for a launch."""

    began_at: tuple[datetime, ...]
    machines: tuple[Machine, ...]


def resolve_by_sweeps(launch: Launch, sweeps: Sweeps, policy: Policy) -> tuple[Machine, ...] | None:
    """The launch's machines (none: it is dead) once two complete sweeps late enough agree; None: not yet."""
    late_enough = launch.status.sent_at + timedelta(seconds=policy.launch_sweep_after_s)
    if sum(began >= late_enough for began in sweeps.began_at) < 2:  # noqa: PLR2004 - the protocol's two sweeps
        return None
    return sweeps.machines


def removable(launch: Launch, member_exists: Callable[[Member], bool], now: datetime, policy: Policy) -> bool:
    """Records live until all members are gone or have moved on to a later launch, and a day more."""
    if launch.status.state == "sealed" or launch.status.resolved_at is None:
        return False
    if any(member_exists(member) for member in launch.spec.members):
        return False
    return now - launch.status.resolved_at >= timedelta(seconds=policy.launch_keep_s)
