"""How many machines of a layer may be missing, or too many, at once: one arithmetic for healing, rollout and scale-in.

A slot serves if its machine is seen to work now. What serves is counted anew on every pass, whatever made it fewer, so
that no two of the three can spend the same machine.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from strata.planner.facts import Known, MachineFact, Unknown
from strata.resources import reasons
from strata.resources.instance import Instance, Phase
from strata.resources.update import Update

_NOBODY_KNOWS = Unknown(reasons.UNKNOWN)
_NO_BAD_NEWS = frozenset({"ok", None})  # checks that were passed once are read again only when EC2 calls them bad


def serves(member: Instance, fact: MachineFact) -> bool:
    """Whether the slot's machine is seen, now, to do its work."""
    ec2 = member.status.ec2
    if member.status.phase != Phase.ONLINE or ec2 is None or not isinstance(fact, Known):
        return False
    machine = fact.value.machine
    seen = machine.instance_id == ec2.instance_id and machine.state == "running"
    return seen and fact.value.checks in _NO_BAD_NEWS


def resolve(said: int | str, desired: int, *, up: bool) -> int:
    """A count, or a share of desired such as `10%`."""
    if isinstance(said, int):
        return said
    hundredths = int(said.removesuffix("%")) * desired
    return -(-hundredths // 100) if up else hundredths // 100


def room_to_update(update: Update, desired: int) -> tuple[int, int]:
    """How many slots a rollout may have beyond desired, and how many of the desired may be missing for it. Shares of
    small layers may both come to nothing: then one may be missing, or nothing would ever be renewed."""
    surge = resolve(update.max_surge, desired, up=True)
    missing = resolve(update.max_unavailable, desired, up=False)
    return surge, missing if surge or missing else 1


def allowance(max_unhealthy: str, desired: int) -> int:
    """How many machines may fail at once before the layer is Protected: max(1, floor(share x desired)), or the count
    that was given."""
    return max(1, resolve(max_unhealthy if max_unhealthy.endswith("%") else int(max_unhealthy), desired, up=False))


@dataclass(slots=True)
class Budget:
    """One pass's account. `serving` are the slots that count, and are not about to be replaced, whose machine serves;
    `changes` is what the pass's one transaction still has room for."""

    desired: int
    surge: int
    unavailable: int
    changes: int
    serving: set[str] = field(default_factory=set)

    def spares(self, name: str, *, missing: int = 0) -> bool:
        """Whether, without this slot, as many serve as are desired, but for `missing`."""
        return len(self.serving) - (name in self.serving) >= self.desired - missing

    def spend(self, name: str) -> None:
        """A change to this slot, after which it is not counted on."""
        self.serving.discard(name)
        self.changes -= 1

    def take_back(self, name: str, *, works: bool) -> None:
        """A change to this slot, after which it counts again."""
        if works:
            self.serving.add(name)
        self.changes -= 1


def open_budget(
    update: Update, desired: int, counted: Iterable[Instance], facts: Mapping[str, MachineFact], *, changes: int
) -> Budget:
    """The account at the beginning of a pass. `counted` are the slots that count towards the number."""
    surge, unavailable = room_to_update(update, desired)
    serving = {
        member.metadata.name
        for member in counted
        if member.status.leave is None and serves(member, facts.get(member.metadata.name, _NOBODY_KNOWS))
    }
    return Budget(desired, surge, unavailable, changes, serving)
