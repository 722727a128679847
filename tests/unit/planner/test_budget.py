"""How many machines may be missing, or too many, at once."""

import pytest

from strata.planner.budget import Budget, allowance, room_to_update
from strata.resources.update import Update


@pytest.mark.parametrize(
    ("surge", "missing", "desired", "room"),
    [
        (1, 0, 20, (1, 0)),
        (3, 2, 0, (3, 2)),
        ("10%", "10%", 20, (2, 2)),
        ("10%", "10%", 5, (1, 0)),
        ("0%", "10%", 5, (0, 1)),
        ("0%", "10%", 25, (0, 2)),
        ("1%", 0, 1, (1, 0)),
        ("100%", "100%", 7, (7, 7)),
        (0, "1%", 0, (0, 1)),
    ],
)
def test_a_surge_is_rounded_up_a_lack_down_and_one_of_them_is_never_nothing(
    surge: int | str, missing: int | str, desired: int, room: tuple[int, int]
) -> None:
    assert room_to_update(Update(max_surge=surge, max_unavailable=missing), desired) == room


@pytest.mark.parametrize(
    ("said", "desired", "allowed"), [("30%", 20, 6), ("30%", 1, 1), ("0", 9, 1), ("3", 1, 3), ("100%", 4, 4)]
)
def test_at_least_one_may_be_repaired(said: str, desired: int, allowed: int) -> None:
    assert allowance(said, desired) == allowed


def test_nobody_spends_what_another_has_spent() -> None:
    budget = Budget(desired=3, surge=0, unavailable=1, changes=9, serving={"a", "b", "c", "d"})
    assert budget.spares("a")
    budget.spend("a")
    assert not budget.spares("b")
    assert budget.spares("b", missing=1)
    assert budget.spares("one that does not serve")
    budget.spend("b")
    assert not budget.spares("c", missing=1)
    budget.take_back("b", works=True)
    assert budget.spares("c", missing=1)
    assert budget.changes == 6
