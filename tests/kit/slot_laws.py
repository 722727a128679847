"""Law 3 of slots: every write of a controller that adds a slot, takes one out, or orders one's end, is judged by what
the store says at that very write. The arithmetic is written down here a second time, on purpose."""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from strata.planner import capacity
from strata.planner.budget import allowance
from strata.resources import reasons
from strata.resources.instance import Instance, Phase
from strata.resources.layer import Layer
from strata.resources.stack import Stack

_NOTICED = (reasons.SPOT_INTERRUPTED, reasons.REBALANCE)
JUST_NOW_S = 60.0  # how old a daemon's view of another slot may be when it decides


class SlotLaws:
    """Told of every slot as it is written, it remembers when each was last online."""

    def __init__(self, now_s: Callable[[], float], breach: Callable[[str], None]) -> None:
        self._now_s = now_s
        self._breach = breach
        self._online_s: dict[str, float] = {}
        self._taken_s: dict[tuple[str, str], list[float]] = {}  # by layer: when people took slots of it

    def see(self, old: Instance | None, new: Instance) -> None:
        if old is not None and old.status.phase == Phase.ONLINE != new.status.phase:
            self._online_s[new.metadata.uid] = self._now_s()

    def taken_by_a_person(self, slot: Instance) -> None:
        """Somebody deleted it, or made it unreadable: a daemon that decides at that moment cannot know."""
        self._taken_s.setdefault(_layer_of(slot), []).append(self._now_s())

    def check(
        self,
        old: Instance | None,
        new: Instance,
        *,
        layer: Layer,
        stack: Stack,
        members: Sequence[Instance],
        hidden: int,
    ) -> None:
        """`members` are those of the layer that are not being deleted, after the write that made `new` of `old`;
        `hidden` is how many nobody can read: each may have a machine, so each counts."""
        wanted = _wanted(layer)
        self._check_repairs(old, new, layer=layer, members=members, wanted=wanted)
        owner = next((one.uid for one in new.metadata.owner_references), "")
        if layer.metadata.deleting or stack.metadata.deleting or owner != layer.metadata.uid:
            return
        surge, missing = _room(layer, wanted)
        slots = sum(counts(one) for one in members)
        before = old is not None and counts(old)
        adopted = old is None and new.status.launch is not None
        name = f"law 3: {new.metadata.name}"
        if counts(new) and not before and not adopted and slots > wanted + surge:
            self._breach(f"{name} is one of {slots} slots, {wanted} are wanted, and {surge} more for a rollout")
        if before and not counts(new) and slots + hidden + self._taken_just_now(new) < wanted:
            self._breach(f"{name} was taken out, {slots} are left, {wanted} are wanted")
        self._check_renewal(old, new, layer=layer, stack=stack)
        if old is not None and _ordered(new) != _ordered(old):
            self._check_working(old, new, members=members, needed=wanted - missing)

    def _check_working(self, old: Instance, new: Instance, *, members: Sequence[Instance], needed: int) -> None:
        """One that works may go, or begin to go, only if enough of the others work. What EC2 takes back, or may take,
        begins to go at once; it is ended like any other."""
        leave = new.status.leave
        if leave is not None and leave.reason in _NOTICED and not new.metadata.deleting:
            return
        others = [one for one in members if one.metadata.uid != new.metadata.uid and _stays(one)]
        working = sum(self._is_online(one) for one in others)
        known = working + self._taken_just_now(new)
        if old.status.phase == Phase.ONLINE and _goes(new) and known < needed:
            self._breach(f"law 3: {new.metadata.name} goes, {working} others work, {needed} must")

    def _check_renewal(self, old: Instance | None, new: Instance, *, layer: Layer, stack: Stack) -> None:
        """Only what is outdated is renewed, or stands in another market than it should."""
        leave, update, rollout = new.status.leave, layer.spec.update, layer.status.rollout
        if (
            leave is None
            or leave.reason != reasons.ROLLING_UPDATE
            or (old is not None and old.status.leave is not None)
        ):
            return
        shares = (layer.spec.instance.spot, stack.spec.instance.spot)
        by_market = new.spec.market == "spot" or any(share is not None for share in shares)
        by_age = update.max_age is not None or update.restarted_at is not None
        template = rollout.template if rollout is not None else ""
        ec2, types = new.status.ec2, layer.spec.instance.types
        by_type = ec2 is not None and types is not None and ec2.type not in types
        if not by_age and not by_type and not by_market and new.status.template == template:
            self._breach(f"law 7: {new.metadata.name} is renewed, and of the present template")

    def _check_repairs(
        self, old: Instance | None, new: Instance, *, layer: Layer, members: Sequence[Instance], wanted: int
    ) -> None:
        marked = new.status.heal is not None and (old is None or old.status.heal is None) and _runs(new)
        counted = [one for one in members if one.spec.availability == "manual" or counts(one)]
        repaired = sum(_is_repaired(one) for one in counted)
        by_hand = sum(one.spec.availability == "manual" for one in members)
        allowed = allowance(layer.spec.healing.max_unhealthy, wanted + by_hand)
        if marked and repaired > allowed:
            self._breach(f"law 3: {repaired} of {layer.metadata.name} are under repair, {allowed} may be")

    def _taken_just_now(self, slot: Instance) -> int:
        return sum(self._now_s() - at_s <= JUST_NOW_S for at_s in self._taken_s.get(_layer_of(slot), ()))

    def _is_online(self, slot: Instance) -> bool:
        just_now = self._now_s() - self._online_s.get(slot.metadata.uid, -math.inf) <= JUST_NOW_S
        return slot.status.phase == Phase.ONLINE or just_now


def counts(slot: Instance) -> bool:
    """Whether it counts towards its layer's number."""
    if slot.spec.availability != "layer" or slot.metadata.deleting or slot.spec.power == "stopped":
        return False
    return slot.status.leave is None or slot.status.leave.then == "replace"


def _is_repaired(slot: Instance) -> bool:
    """One whose machine had stopped anyway uses up no budget."""
    return slot.status.heal is not None and slot.status.heal.reason != reasons.STOPPED_EXTERNALLY


def _layer_of(slot: Instance) -> tuple[str, str]:
    return slot.metadata.namespace, slot.spec.layers[0]


def _stays(slot: Instance) -> bool:
    return counts(slot) and slot.status.leave is None


def _goes(slot: Instance) -> bool:
    return not counts(slot) or slot.status.leave is not None


def _ordered(slot: Instance) -> tuple[Any, ...]:
    """All but when: a mark from a clock that went wrong is dated anew."""
    leave = slot.status.leave
    order = None if leave is None else (leave.reason, leave.then, leave.instance_id, leave.drained)
    return slot.metadata.deleting, slot.spec.power, order


def _wanted(layer: Layer) -> int:
    rules = layer.spec.capacity
    by_rule = bool(rules.schedule) or rules.load is not None  # then the number is what the same write says
    return layer.status.desired if by_rule else capacity.desired(rules, (), 0).count


def _room(layer: Layer, wanted: int) -> tuple[int, int]:
    update = layer.spec.update
    surge = math.ceil(_share(update.max_surge, wanted))
    missing = math.floor(_share(update.max_unavailable, wanted))
    return (0 if update.strategy == "OnDelete" else surge), max(missing, int(surge == 0))


def _share(said: int | str, wanted: int) -> Fraction:
    return Fraction(said) if isinstance(said, int) else Fraction(int(said.rstrip("%")), 100) * wanted


def _runs(slot: Instance) -> bool:
    """The breaker governs the end of machines that still run, not of those that stopped behind our back."""
    return slot.status.heal is not None and slot.status.heal.reason != reasons.STOPPED_EXTERNALLY
