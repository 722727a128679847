"""A layer's slots by what they count for."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from strata.resources.instance import Instance, Phase


@dataclass(frozen=True, slots=True)
class Roster:
    """`counted`: towards the number, also while the machine is replaced in place; `leaving`: on their way out, but
    running; `warm`: kept stopped. Slots that are being deleted, and hand-made ones, are in none of them."""

    counted: tuple[Instance, ...] = ()
    leaving: tuple[Instance, ...] = ()
    warm: tuple[Instance, ...] = ()
    by_hand: int = 0


@dataclass(slots=True)
class _Sorted:
    counted: list[Instance] = field(default_factory=list)
    leaving: list[Instance] = field(default_factory=list)
    warm: list[Instance] = field(default_factory=list)
    by_hand: int = 0


def call_roll(members: Iterable[Instance]) -> Roster:
    found = _Sorted()
    for member in members:
        if member.metadata.deleting:
            continue
        if member.spec.availability == "manual":
            found.by_hand += 1
        elif member.spec.power == "stopped":
            found.warm.append(member)
        elif leaves(member):
            found.leaving.append(member)
        else:
            found.counted.append(member)
    return Roster(tuple(found.counted), tuple(found.leaving), tuple(found.warm), found.by_hand)


def leaves(member: Instance) -> bool:
    """Whether the slot itself leaves, not only its machine."""
    return member.status.leave is not None and member.status.leave.then != "replace"


def never_online(member: Instance) -> bool:
    """Whether its present machine never did any work: nothing is lost with it."""
    return member.status.phase != Phase.ONLINE and member.status.online_since is None


def has_machine(member: Instance) -> bool:
    return member.status.launch is not None and member.status.ec2 is not None
