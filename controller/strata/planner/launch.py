"""Launches: where a slot's machine is asked for, which slots go out together, and what came of a launch.

All of the launch protocol's decisions are here; the launcher in reconcile/ only carries them out.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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

_MEMBER_BYTES = 512  # of a slot: its name and uid in the record, its key, what the seal adds to it

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
    size_bytes: int = 0  # of the slot, which is written in the same transaction


def fingerprint(parameters: Mapping[str, Any]) -> bytes:
    return canonical(parameters)


def group(wants: Iterable[Want], *, members_per_launch: int, bytes_per_launch: int) -> list[list[Want]]:
    """Slots whose launches are byte-equal, within a stack, in chunks that fit one transaction; in order. A slot that is
    too large for one stands alone: it fails nobody else."""
    groups: dict[tuple[str, str, str | None, bytes], list[Want]] = {}
    for want in wants:
        groups.setdefault((want.stack, want.region, want.endpoint, want.fingerprint), []).append(want)
    return [chunk for wanted in groups.values() for chunk in _chunks(wanted, members_per_launch, bytes_per_launch)]


def _chunks(wanted: list[Want], most: int, most_bytes: int) -> Iterator[list[Want]]:
    chunk: list[Want] = []
    left_bytes = most_bytes
    for want in wanted:
        size_bytes = want.size_bytes + _MEMBER_BYTES
        if chunk and (len(chunk) == most or size_bytes > left_bytes):
            yield chunk
            chunk, left_bytes = [], most_bytes
        if not chunk:
            left_bytes -= len(want.fingerprint)
        chunk.append(want)
        left_bytes -= size_bytes
    yield chunk


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


UNANSWERED = "Unanswered"  # died_because, when sweeps alone said so
_MAY_HAVE_MACHINES = frozenset({UNANSWERED, CloudErrorKind.IDEMPOTENT_TERMINATED.value})

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
    """Records live until all members are gone or have moved on to a later launch, and a day more: the machines are to
    be known for ours as long as EC2 shows them. A launch that was refused has none to be known."""
    if launch.status.state == "sealed" or launch.status.resolved_at is None:
        return False
    old = now - launch.status.resolved_at >= timedelta(seconds=policy.launch_keep_s)
    if not old and not _was_refused(launch.status):
        return False
    return not any(member_exists(member) for member in launch.spec.members)


def _was_refused(status: LaunchStatus) -> bool:
    """Whether it is dead by EC2's word alone, or was never sent: no send was ever without an answer, so that none can
    still be under way, and no machine was ever made."""
    return status.state == "dead" and status.unanswered_at is None and status.died_because not in _MAY_HAVE_MACHINES
