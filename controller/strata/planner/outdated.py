"""Which machines of a layer are outdated, and why: made from another template, or older than they may be."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from strata.planner.facts import Known
from strata.planner.layer_plan import LayerSnapshot, earliest
from strata.planner.template import effective, template_digest
from strata.resources import reasons
from strata.resources.duration import parse_duration
from strata.resources.instance import Ec2Status, Instance, Phase
from strata.resources.update import Update


@dataclass(frozen=True, slots=True)
class Why:
    """`whole_slot`: a new slot must take its place, not only another machine."""

    reason: str
    message: str
    whole_slot: bool = False


@dataclass(frozen=True, slots=True)
class Outdated:
    """`why` by the slot's name. `template` is the digest of the present template, "" where nobody can tell: then no
    machine is called outdated for it. `next_at`: when the next one gets too old."""

    why: Mapping[str, Why]
    template: str = ""
    next_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Present:
    """What a machine must be made from."""

    digest: str
    types: tuple[str, ...]


def find_outdated(snapshot: LayerSnapshot) -> Outdated:
    """Judge the machines of the layer's own slots, of those as well that are kept stopped."""
    present, update = _present(snapshot), snapshot.layer.spec.update
    why: dict[str, Why] = {}
    ahead = update.restarted_at is not None and update.restarted_at > snapshot.now
    next_at = update.restarted_at if ahead else None
    for member in snapshot.members:
        ec2 = member.status.ec2
        if member.spec.availability != "layer" or ec2 is None:
            continue
        found = next(_reasons(member, ec2, present, update, snapshot.now), None)
        if found is not None:
            why[member.metadata.name] = found
        elif update.max_age is not None and ec2.launched_at is not None and not _starts(member):
            next_at = earliest(next_at, _works_since(member, ec2.launched_at) + parse_duration(update.max_age))
    return Outdated(why, present.digest if present else "", next_at)


def _present(snapshot: LayerSnapshot) -> _Present | None:
    if snapshot.stack is None or not isinstance(snapshot.image, Known):
        return None
    template = effective(snapshot.stack, snapshot.layer)
    return _Present(template_digest(template, snapshot.image.value), template.types or ())


def _reasons(
    member: Instance, ec2: Ec2Status, present: _Present | None, update: Update, now: datetime
) -> Iterator[Why]:
    if present is not None:
        yield from _drift(member, ec2, present)
    if ec2.launched_at is None:
        return
    if update.restarted_at is not None and ec2.launched_at < update.restarted_at <= now:
        yield Why(reasons.RESTART_REQUESTED, "launched before the restart that was asked for")
    since = _works_since(member, ec2.launched_at)
    if update.max_age is not None and not _starts(member) and now - since >= parse_duration(update.max_age):
        yield Why(reasons.TOO_OLD, f"older than {update.max_age}")


def _starts(member: Instance) -> bool:
    """Whether it is on its way to be online. It has no age yet: were it too old before it ever works, nothing would be
    renewed where that takes longer than maxAge."""
    return member.status.online_since is None and member.status.phase in {Phase.PENDING, Phase.BOOTING}


def _works_since(member: Instance, launched_at: datetime) -> datetime:
    """From when on its age counts: by our clock as well. By EC2's alone every new machine would be too old at once
    while ours is ahead, and renewing them would never end."""
    return max(launched_at, member.status.online_since or launched_at)


def _drift(member: Instance, ec2: Ec2Status, present: _Present) -> Iterator[Why]:
    made_from = member.status.template
    # A digest of another version says nothing of the template: an upgrade of ours rolls no machine.
    comparable = made_from.partition("-")[0] == present.digest.partition("-")[0]
    if made_from and comparable and made_from != present.digest:
        yield Why(reasons.TEMPLATE_DRIFT, "made from an older template")
    if made_from and ec2.type and ec2.type not in present.types:
        yield Why(reasons.TEMPLATE_DRIFT, f"of the type {ec2.type}, which is no longer named")
