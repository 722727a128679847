"""In which market a layer's slots are bought: how many as spot, which of them stand in the wrong market, and when one
that was bought on demand in a spot machine's stead is to be tried as spot again.

By count alone: a slot has no number of its own in this. Its market is set at its birth; what converges later does so
by the rollout, slot by slot.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from strata.planner.capacity import choose_victims
from strata.planner.launch import place
from strata.planner.roster import never_online
from strata.resources.instance import Instance
from strata.resources.layer import SpotStatus
from strata.resources.machine import Market
from strata.resources.stack import SpotShare, SubnetRef

_NOBODY: frozenset[str] = frozenset()
Refused = Callable[[str, str, Market], bool]  # (type, zone, market) -> EC2 had none of it a short while ago


def spot_count(share: SpotShare | None, slots: int) -> int:
    """How many of so many slots are spot: a share of those beyond the base, rounded down."""
    if share is None:
        return 0
    return max(0, slots - share.on_demand_base) * share.percentage // 100


def births(share: SpotShare | None, kept: Iterable[Market], count: int) -> list[Market]:
    """The markets of `count` new slots beside those that are kept. Each is spot if spot is short of its share of all
    slots up to it, so that no number of slots is ever above the share because of a birth."""
    markets = list(kept)
    spot = markets.count("spot")
    born: list[Market] = []
    for slots in range(len(markets) + 1, len(markets) + count + 1):
        is_spot = spot < spot_count(share, slots)
        spot += is_spot
        born.append("spot" if is_spot else "on-demand")
    return born


@dataclass(frozen=True, slots=True)
class Balance:
    """How far the slots are from their markets' numbers. `surplus`: more than there are to be, of either market;
    `short`: fewer."""

    surplus: dict[Market, int]
    short: dict[Market, int]


def balance(share: SpotShare | None, slots: Sequence[Instance], wanted: int) -> Balance:
    """Compare the slots with the numbers of so many as there are to be in the end."""
    spot = sum(slot.spec.market == "spot" for slot in slots)
    wanted_spot = spot_count(share, wanted)
    over: dict[Market, int] = {
        "spot": spot - wanted_spot,
        "on-demand": len(slots) - spot - (wanted - wanted_spot),
    }
    return Balance(
        {market: max(0, count) for market, count in over.items()},
        {market: max(0, -count) for market, count in over.items()},
    )


def superfluous(
    share: SpotShare | None, slots: Sequence[Instance], wanted: int, outdated: frozenset[str] = _NOBODY
) -> frozenset[str]:
    """Names of the slots that go first when there are to be `wanted` of them, so that the markets' numbers are right
    afterwards and nothing is to be rolled for it. Of a market those that are `outdated` come first."""
    surplus = balance(share, slots, wanted).surplus
    return frozenset(name for market, count in surplus.items() for name in _first_to_go(slots, market, count, outdated))


def misplaced(
    share: SpotShare | None, slots: Sequence[Instance], wanted: int, outdated: frozenset[str] = _NOBODY
) -> frozenset[str]:
    """Names of the slots that are to be rolled into the other market: too many of one while the other is short. That
    there are more slots than wanted, as while a rollout surges, puts none in the wrong market. A slot that was born to
    make up for it does so once it was online: until then what it replaces stays named."""
    surplus = balance(share, slots, wanted).surplus
    short = balance(share, [slot for slot in slots if not never_online(slot)], wanted).short
    names: list[str] = []
    for market, other in _OTHERS.items():
        names += _first_to_go(slots, market, min(surplus[market], short[other]), outdated)
    return frozenset(names)


_OTHERS: dict[Market, Market] = {"spot": "on-demand", "on-demand": "spot"}


def useless(share: SpotShare | None, slots: Sequence[Instance], wanted: int) -> frozenset[Market]:
    """The markets of which no slot is missing beside these, while one of the other is, or still boots: a slot on its
    way out that is taken back there would only have to be rolled (see misplaced)."""
    short = balance(share, slots, wanted).short
    working = balance(share, [slot for slot in slots if not never_online(slot)], wanted).short
    return frozenset(market for market, other in _OTHERS.items() if not short[market] and working[other])


def _first_to_go(slots: Sequence[Instance], market: Market, count: int, outdated: frozenset[str]) -> list[str]:
    of_market = [slot for slot in slots if slot.spec.market == market]
    return [slot.metadata.name for slot in choose_victims(of_market, count, unhealthy=_NOBODY, drifted=outdated)]


def staying(
    share: SpotShare | None, slots: Sequence[Instance], replaced: int, wanted: int, outdated: frozenset[str]
) -> list[Market]:
    """The markets of the slots without as many outdated ones as are about to be replaced, in the order in which a
    rollout takes them."""
    waiting = [slot for slot in slots if slot.metadata.name in outdated]
    first = superfluous(share, slots, wanted, outdated)
    gone = {slot.metadata.name for slot in choose_victims(waiting, replaced, unhealthy=_NOBODY, drifted=first)}
    return [slot.spec.market for slot in slots if slot.metadata.name not in gone]


@dataclass(frozen=True, slots=True)
class Retries:
    """Names of the fallbacks that are to be tried as spot again, and when time alone makes one such."""

    names: frozenset[str]
    again_at: datetime | None = None


def retries(slots: Sequence[Instance], wanted: int, now: datetime, retry_after_s: float) -> Retries:
    """All fallbacks once a spot launch succeeded after the last one that failed; else the oldest, each time that none
    has failed for `retry_after_s`: without a launch nobody would ever learn that there is capacity again. One that was
    tried in vain still goes, while its successor is one slot too many."""
    fallen: list[tuple[datetime, str]] = []
    spot_at: datetime | None = None
    for slot in slots:
        ec2 = slot.status.ec2
        if ec2 is None or ec2.launched_at is None:
            continue
        if ec2.fallback:
            fallen.append((ec2.launched_at, slot.metadata.name))
        elif ec2.lifecycle == "spot":
            spot_at = max(spot_at or ec2.launched_at, ec2.launched_at)
    if not fallen:
        return Retries(frozenset())
    last_at = max(fallen)[0]
    if spot_at is not None and spot_at > last_at:
        return Retries(frozenset(name for _, name in fallen))
    due = timedelta(seconds=retry_after_s)
    first_at, oldest = min(fallen)
    if now - last_at >= due or (now - first_at >= due and len(slots) > wanted):
        return Retries(frozenset({oldest}))
    return Retries(frozenset(), last_at + due)


class Purchase(NamedTuple):
    """What to ask EC2 for, and where."""

    type: str
    subnet: SubnetRef
    market: Market


def purchase(
    market: Market, types: Sequence[str], subnets: Sequence[SubnetRef], preferred_zone: str | None, refused: Refused
) -> Purchase | None:
    """What a slot of this market asks for now. A spot slot is bought on demand only once every type in every zone was
    refused as spot. None: all was refused lately."""
    markets: tuple[Market, ...] = ("spot", "on-demand") if market == "spot" else ("on-demand",)
    for one in markets:
        placed = place(types, subnets, preferred_zone, _refused_in(one, refused))
        if placed is not None:
            return Purchase(placed[0], placed[1], one)
    return None


def _refused_in(market: Market, refused: Refused) -> Callable[[str, str], bool]:
    return lambda type_, zone: refused(type_, zone, market)


def spot_status(share: SpotShare | None, slots: Sequence[Instance], wanted: int) -> SpotStatus | None:
    """What a layer's status says of its spot machines; None where it neither wants nor has any."""
    running = sum(slot.status.ec2 is not None and slot.status.ec2.lifecycle == "spot" for slot in slots)
    fallback = sum(slot.status.ec2 is not None and slot.status.ec2.fallback for slot in slots)
    status = SpotStatus(wanted=spot_count(share, wanted), running=running, fallback=fallback)
    return None if status == SpotStatus() and share is None else status
