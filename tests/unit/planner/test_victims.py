"""Whom a scale-in takes: the quick choice against the plain one, and how long the quick one takes."""

import time
from collections import Counter
from collections.abc import Sequence

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from tests.kit.planner_cases import slot

from strata.planner.capacity import choose_victims, ordinal, zone_of
from strata.resources.instance import Instance, Phase


def plainly(
    members: Sequence[Instance], excess: int, unhealthy: frozenset[str], drifted: frozenset[str]
) -> list[Instance]:
    """As the rule is written: one after the other, all that are left compared anew each time."""
    left = list(members)
    victims: list[Instance] = []
    while left and len(victims) < excess:
        filled = Counter(zone_of(member) for member in left)
        ranks = [
            (
                member.status.phase != Phase.ONLINE and member.status.online_since is None,
                member.metadata.name in unhealthy,
                member.metadata.name in drifted,
                filled[zone_of(member)],
                ordinal(member),
            )
            for member in left
        ]
        victims.append(left.pop(ranks.index(max(ranks))))
    return victims


slots = st.tuples(st.integers(1, 12), st.sampled_from("abc"), st.booleans(), st.booleans(), st.booleans())


@given(st.lists(slots, max_size=12), st.integers(-1, 13))
def test_the_quick_choice_is_the_plain_one(said: list[tuple[int, str, bool, bool, bool]], excess: int) -> None:
    members, unhealthy, drifted = [], set(), set()
    for place, (number, zone, online, failing, old) in enumerate(said):
        name = f"web{place}-{number}"  # ordinals may be equal: slots that were adopted, or made by hand
        members.append(slot(name, {"zone": zone, "phase": "online" if online else "booting"}))
        unhealthy |= {name} if failing else set()
        drifted |= {name} if old else set()
    wanted = plainly(members, excess, frozenset(unhealthy), frozenset(drifted))
    assert choose_victims(members, excess, unhealthy=frozenset(unhealthy), drifted=frozenset(drifted)) == wanted


def test_a_scale_in_of_ten_thousand_is_planned_in_a_moment() -> None:
    one = slot("web-1", {"zone": "a"})
    members = [
        msgspec.structs.replace(
            one,
            metadata=msgspec.structs.replace(one.metadata, name=f"web-{number}"),
            spec=msgspec.structs.replace(one.spec, zone="abc"[number % 3]),
        )
        for number in range(10_000)
    ]
    began_s = time.process_time()
    victims = choose_victims(members, 10_000, unhealthy=frozenset(), drifted=frozenset())
    assert len(victims) == len(members)
    assert time.process_time() - began_s < 1.0  # 0.1 s; the plain way takes minutes
