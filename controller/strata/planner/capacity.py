"""How many machines a layer should have, why, under which names and in which zones."""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import chain, count, islice
from operator import itemgetter

from strata.planner.facts import Unknown
from strata.planner.schedule import OpenWindow, Outlook, outlook
from strata.resources.capacity import Capacity
from strata.resources.instance import Instance, Phase
from strata.resources.layer import Because, NextChange
from strata.resources.stack import SubnetRef

_TURNS_AHEAD = 64  # windows may open and close without changing the number; beyond so many none is in sight


@dataclass(frozen=True, slots=True)
class Desired:
    """The number, and the sum behind it."""

    count: int
    because: tuple[Because, ...]


def desired(capacity: Capacity, open_windows: Sequence[OpenWindow], extra: int) -> Desired:
    """clamp(always + open windows + extra, min, max), with each rule that had a part in it. `extra`, what the load
    asks for, counts as far as `max` leaves room."""
    because = [Because(rule="always", instances=capacity.always)]
    because += [Because(rule=f"schedule/{w.name}", instances=w.instances, until=w.until) for w in open_windows]
    total = capacity.always + sum(window.instances for window in open_windows)
    by_load = _by_load(capacity, open_windows, extra)
    if by_load:
        because.append(Because(rule="load", instances=by_load))
        total += by_load
    if total < capacity.min:
        because.append(Because(rule="min", instances=capacity.min - total))
        total = capacity.min
    if capacity.max is not None and total > capacity.max:
        because.append(Because(rule="max", instances=capacity.max - total))
        total = capacity.max
    return Desired(total, tuple(because))


def _by_load(capacity: Capacity, open_windows: Sequence[OpenWindow], extra: int) -> int:
    if capacity.max is None:
        return max(0, extra)
    room = capacity.max - capacity.always - sum(window.instances for window in open_windows)
    return max(0, min(extra, room))


def next_change(capacity: Capacity, extra: int, wanted: Desired, look: Outlook) -> NextChange | None:
    """When the clock alone makes it another number than `wanted`; None if that is not in sight."""
    return None if look.next_at is None else _change_from(capacity, extra, wanted.count, look.next_at)


@lru_cache(maxsize=16_384)  # asked on every pass, and the same until the moment has come
def _change_from(capacity: Capacity, extra: int, count: int, at: datetime) -> NextChange | None:
    for _ in range(_TURNS_AHEAD):
        look = outlook(capacity.schedule, at)
        if isinstance(look, Unknown):
            return None
        then = desired(capacity, look.open, extra)
        if then.count != count:
            rule = _turned(capacity, at, look, opened=then.count > count)
            return NextChange(at=at, rule=f"schedule/{rule}", desired=then.count)
        if look.next_at is None:
            return None
        extra = _by_load(capacity, look.open, extra)  # it never winds up: what a window takes of its room is gone
        at = look.next_at
    return None


def _turned(capacity: Capacity, at: datetime, look: Outlook, *, opened: bool) -> str:
    """The largest window that opened, or closed, at this very moment."""
    before = outlook(capacity.schedule, at - timedelta(microseconds=1))
    was_open = frozenset() if isinstance(before, Unknown) else frozenset(window.name for window in before.open)
    is_open = frozenset(window.name for window in look.open)
    turned = is_open - was_open if opened else was_open - is_open
    largest = max((w for w in capacity.schedule if w.name in turned), key=lambda w: w.instances, default=None)
    return largest.name if largest else ""


def free_ordinals(layer: str, taken: Iterable[str]) -> Iterator[int]:
    """The ordinals whose names are free, lowest first. A name is taken as long as its object exists."""
    names = set(taken)
    return (ordinal for ordinal in count(1) if f"{layer}-{ordinal}" not in names)


def ordinal(instance: Instance) -> int:
    """The number at the end of a slot's name; 0 where there is none."""
    tail = instance.metadata.name.rpartition("-")[2]
    return int(tail) if tail.isdecimal() else 0


def zone_of(instance: Instance) -> str:
    """Where the slot's machine is, or where it is meant to be."""
    placed = instance.status.ec2.zone if instance.status.ec2 else ""
    return placed or instance.spec.zone or ""


def choose_zones(members: Sequence[Instance], subnets: Sequence[SubnetRef], wanted: int) -> list[str]:
    """A zone for each new slot, so that zones differ by one at most; the earlier subnet wins a tie."""
    order = list(dict.fromkeys(subnet.zone for subnet in subnets))
    filled = Counter(zone_of(member) for member in members)
    chosen: list[str] = []
    for _ in range(wanted if order else 0):
        zone = min(order, key=lambda z: (filled[z], order.index(z)))
        filled[zone] += 1
        chosen.append(zone)
    return chosen


def choose_victims(
    members: Sequence[Instance], excess: int, *, unhealthy: frozenset[str], drifted: frozenset[str]
) -> list[Instance]:
    """Whom a scale-in takes: never online, unhealthy, drifted, of the fullest zone, of the highest ordinal.

    `unhealthy` and `drifted` hold names. Zones are counted anew after each choice.
    """
    buckets: defaultdict[tuple[bool, bool, bool], list[Instance]] = defaultdict(list)
    for member in members:
        never_online = member.status.phase != Phase.ONLINE and member.status.online_since is None
        buckets[never_online, member.metadata.name in unhealthy, member.metadata.name in drifted].append(member)
    filled = Counter(zone_of(member) for member in members)
    chosen = chain.from_iterable(_from_fullest(buckets[rank], filled) for rank in sorted(buckets, reverse=True))
    return list(islice(chosen, max(0, excess)))


def _from_fullest(members: Iterable[Instance], filled: Counter[str]) -> Iterator[Instance]:
    """Equals in the order in which they go. Only the head of each zone is compared: a scale-in of thousands stays
    quick. Takes those that go out of `filled`."""
    zones: defaultdict[str, deque[tuple[int, int, Instance]]] = defaultdict(deque)
    ranked = [(ordinal(member), -place, member) for place, member in enumerate(members)]  # of equals the first goes
    for rank in sorted(ranked, key=itemgetter(0, 1), reverse=True):
        zones[zone_of(rank[2])].append(rank)
    while zones:
        zone = max(zones, key=lambda z: (filled[z], *zones[z][0][:2]))
        filled[zone] -= 1
        yield zones[zone].popleft()[2]
        if not zones[zone]:
            del zones[zone]
