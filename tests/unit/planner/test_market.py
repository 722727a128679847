"""In which market slots are bought: by count, never above the share, back from on-demand once there is capacity."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strata.planner import market
from strata.resources.instance import Ec2Status, Instance, InstanceSpec, InstanceStatus, Phase
from strata.resources.layer import SpotStatus
from strata.resources.machine import Market
from strata.resources.meta import API_VERSION, ObjectMeta
from strata.resources.stack import SpotShare, SubnetRef

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
HOUR_S = 3600.0
SUBNETS = (SubnetRef(id="subnet-a", zone="a"), SubnetRef(id="subnet-b", zone="b"))
SHARES = st.builds(SpotShare, on_demand_base=st.integers(0, 20), percentage=st.integers(0, 100))
MARKETS = st.lists(st.sampled_from(["spot", "on-demand"]), max_size=40)


def slot(
    number: int, bought: Market, *, lifecycle: Market | None = None, age_s: float = 0, online: bool = True
) -> Instance:
    """A slot of this market with a machine of this lifecycle, launched so long ago."""
    ec2 = lifecycle and Ec2Status(
        instance_id=f"i-{number}",
        state="running",
        lifecycle=lifecycle,
        fallback=bought != lifecycle,
        launched_at=NOW - timedelta(seconds=age_s),
    )
    return Instance(
        api_version=API_VERSION,
        kind="Instance",
        metadata=ObjectMeta(name=f"web-{number}", namespace="shop", uid=f"uid-{number}"),
        spec=InstanceSpec(layers=("web",), market=bought, availability="layer"),
        status=InstanceStatus(phase=Phase.ONLINE if online else Phase.BOOTING, ec2=ec2 or None),
    )


def slots(spot: int, on_demand: int) -> list[Instance]:
    bought: list[Market] = ["spot"] * spot + ["on-demand"] * on_demand  # type: ignore[assignment]
    return [slot(number, one) for number, one in enumerate(bought, 1)]


@pytest.mark.parametrize(
    ("base", "percentage", "count", "spot"),
    [(0, 100, 3, 3), (2, 100, 3, 1), (2, 50, 2, 0), (2, 50, 3, 0), (2, 50, 4, 1), (0, 33, 10, 3), (9, 100, 3, 0)],
)
def test_spot_is_the_share_beyond_the_base_rounded_down(base: int, percentage: int, count: int, spot: int) -> None:
    assert market.spot_count(SpotShare(on_demand_base=base, percentage=percentage), count) == spot


def test_without_a_share_all_is_on_demand() -> None:
    assert market.spot_count(None, 100) == 0
    assert market.births(None, ["spot"], 2) == ["on-demand", "on-demand"]


@given(share=SHARES, count=st.integers(0, 60))
def test_slots_born_one_after_the_other_keep_the_share_exactly_at_every_number(share: SpotShare, count: int) -> None:
    born: list[Market] = []
    for total in range(1, count + 1):
        born += market.births(share, born, 1)
        assert born.count("spot") == market.spot_count(share, total)
    assert market.births(share, [], count) == born


@given(share=SHARES, kept=MARKETS, count=st.integers(0, 40))
def test_a_birth_never_brings_spot_above_its_share(share: SpotShare, kept: list[Market], count: int) -> None:
    born = market.births(share, kept, count)
    assert len(born) == count
    for made in range(1, count + 1):
        spot = kept.count("spot") + born[:made].count("spot")
        assert born[made - 1] == "on-demand" or spot <= market.spot_count(share, len(kept) + made)


@given(share=SHARES, spot=st.integers(0, 20), on_demand=st.integers(0, 20), wanted=st.integers(0, 40))
def test_what_is_rolled_and_born_anew_leaves_the_numbers_right(
    share: SpotShare, spot: int, on_demand: int, wanted: int
) -> None:
    """Scale in by the superfluous first, roll the misplaced, let the missing be born: then nothing is misplaced."""
    there = slots(spot, on_demand)
    first = market.superfluous(share, there, wanted)
    excess = max(0, len(there) - wanted)
    victims = sorted(there, key=lambda s: s.metadata.name not in first)[:excess]
    left = [one for one in there if one not in victims]
    wrong = market.misplaced(share, left, wanted)
    kept = [one.spec.market for one in left if one.metadata.name not in wrong]
    born = market.births(share, kept, wanted - len(kept))
    total = [*kept, *born]
    assert len(total) == wanted
    assert total.count("spot") == market.spot_count(share, wanted)


@given(share=SHARES, wanted=st.integers(1, 40), step=st.integers(0, 40))
def test_a_scale_in_that_takes_the_superfluous_first_leaves_nothing_to_roll(
    share: SpotShare, wanted: int, step: int
) -> None:
    born = market.births(share, [], wanted + step)
    there = slots(born.count("spot"), born.count("on-demand"))
    first = market.superfluous(share, there, wanted)
    assert len(first) == step
    assert market.misplaced(share, [one for one in there if one.metadata.name not in first], wanted) == frozenset()


@given(share=SHARES, wanted=st.integers(1, 40), surge=st.integers(1, 5))
def test_slots_beyond_the_number_put_none_in_the_wrong_market(share: SpotShare, wanted: int, surge: int) -> None:
    born = market.births(share, [], wanted + surge)
    assert market.misplaced(share, slots(born.count("spot"), born.count("on-demand")), wanted) == frozenset()


def test_other_numbers_name_as_many_slots_as_must_change_and_the_last_of_them() -> None:
    share = SpotShare(on_demand_base=2, percentage=50)
    assert market.misplaced(share, slots(0, 6), 6) == {"web-5", "web-6"}
    assert market.misplaced(SpotShare(percentage=0), slots(2, 4), 6) == {"web-1", "web-2"}
    assert market.misplaced(None, slots(1, 2), 3) == {"web-1"}


def test_what_is_rolled_into_another_market_stays_named_until_its_successor_was_online() -> None:
    share, there = SpotShare(percentage=50), slots(1, 3)
    assert market.misplaced(share, there, 4) == {"web-4"}
    there.append(slot(5, "spot", online=False))
    assert market.misplaced(share, there, 4) == {"web-4"}
    there[-1] = slot(5, "spot")
    assert market.misplaced(share, there, 4) == frozenset()
    assert market.superfluous(share, there, 4) == {"web-4"}


# -- fallback and back ------------------------------------------------------------------------------------------------


def test_a_fallback_stays_while_no_spot_launch_succeeded_after_it() -> None:
    there = [slot(1, "spot", lifecycle="on-demand", age_s=60), slot(2, "spot", lifecycle="spot", age_s=90)]
    found = market.retries(there, len(there), NOW, HOUR_S)
    assert found.names == frozenset()
    assert found.again_at == NOW + timedelta(seconds=HOUR_S - 60)


def test_all_fallbacks_go_once_a_spot_launch_succeeded_after_the_last_of_them() -> None:
    there = [
        slot(1, "spot", lifecycle="on-demand", age_s=90),
        slot(2, "spot", lifecycle="on-demand", age_s=60),
        slot(3, "spot", lifecycle="spot", age_s=30),
    ]
    assert market.retries(there, len(there), NOW, HOUR_S).names == {"web-1", "web-2"}


def test_a_spot_launch_between_two_that_failed_brings_none_back() -> None:
    there = [
        slot(1, "spot", lifecycle="on-demand", age_s=90),
        slot(2, "spot", lifecycle="spot", age_s=60),
        slot(3, "spot", lifecycle="on-demand", age_s=30),
    ]
    assert market.retries(there, len(there), NOW, HOUR_S).names == frozenset()


def test_one_fallback_is_tried_after_an_hour_without_a_failed_launch() -> None:
    there = [slot(n, "spot", lifecycle="on-demand", age_s=HOUR_S + n) for n in (1, 2, 3)]
    assert market.retries(there, len(there), NOW, HOUR_S).names == {"web-3"}
    there.append(slot(4, "spot", lifecycle="on-demand", age_s=5))  # the one that was tried fell back again
    assert market.retries(there, 3, NOW, HOUR_S).names == {"web-3"}, "it takes the place of the one that was tried"
    there = [one for one in there if one.metadata.name != "web-3"]
    assert market.retries(there, 3, NOW, HOUR_S).names == frozenset()


def test_slots_that_were_meant_for_on_demand_are_no_fallbacks() -> None:
    there = [slot(1, "on-demand", lifecycle="on-demand", age_s=HOUR_S * 9), slot(2, "spot", lifecycle="spot")]
    assert market.retries(there, len(there), NOW, HOUR_S) == market.Retries(frozenset())


# -- what a slot asks for ---------------------------------------------------------------------------------------------


def test_a_spot_slot_is_bought_on_demand_only_once_all_was_refused_as_spot() -> None:
    refused: set[tuple[str, str, Market]] = set()

    def buy(wanted: Market) -> tuple[str, str, Market] | None:
        found = market.purchase(wanted, ("big", "small"), SUBNETS, "b", lambda *place: place in refused)
        return found and (found.type, found.subnet.zone, found.market)

    asked = []
    while (place := buy("spot")) is not None:
        asked.append(place)
        refused.add(place)
    in_order = [("big", "b"), ("small", "b"), ("big", "a"), ("small", "a")]
    assert asked == [(*where, "spot") for where in in_order] + [(*where, "on-demand") for where in in_order]
    refused.clear()
    assert buy("on-demand") == ("big", "b", "on-demand")


def test_an_on_demand_slot_never_becomes_spot() -> None:
    all_of_it = market.purchase("on-demand", ("big",), SUBNETS, None, lambda _t, _z, bought: bought == "on-demand")
    assert all_of_it is None


def test_a_layers_status_counts_its_spot_machines_and_what_stands_in_for_them() -> None:
    share = SpotShare(percentage=100)
    there = [slot(1, "spot", lifecycle="spot"), slot(2, "spot", lifecycle="on-demand"), slot(3, "spot")]
    assert market.spot_status(share, there, 3) == SpotStatus(wanted=3, running=1, fallback=1)
    assert market.spot_status(None, slots(0, 2), 2) is None
    assert market.spot_status(None, there, 3) == SpotStatus(wanted=0, running=1, fallback=1)
