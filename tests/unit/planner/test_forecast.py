"""The modelled fleet: what it takes over from statuses, and what becomes of its slots."""

from datetime import timedelta
from typing import Any

import pytest
from tests.kit.planner_cases import NOW, POLICY, layer, slot, stack

from strata.planner.forecast.fleet import ModelFleet
from strata.planner.forecast.machines import Assumptions
from strata.planner.forecast.run import Forecaster, NoSignals
from strata.planner.forecast.timeline import Timeline
from strata.resources.instance import Phase

HOUR = timedelta(hours=1)


def forecast(said: dict[str, Any], slots: dict[str, Any], *, hours: int = 1, **assumed: timedelta) -> Timeline:
    fleet = ModelFleet(stack(), layer(said), Assumptions(**assumed))
    fleet.settle((slot(name, one) for name, one in slots.items()), NOW)
    return Forecaster(fleet, NoSignals(), POLICY).run(NOW, NOW + hours * HOUR)


def online_after_s(timeline: Timeline, count: int) -> float:
    return next((m.at - NOW).total_seconds() for m in timeline.moments if m.online == count)


def done(timeline: Timeline) -> list[tuple[float, str, tuple[str, ...]]]:
    return [((step.at - NOW).total_seconds(), step.verb, step.instances) for step in timeline.steps]


@pytest.mark.parametrize(
    ("waiting", "online_s"),
    [
        ({"phase": "requested", "machine": "none"}, 120),
        ({"phase": "start_failed", "machine": "none", "failures": 5}, 120),
        ({"phase": "shutting_down"}, 120),
        ({"phase": "stopped"}, 60),  # it is to run
    ],
)
def test_what_a_slot_waits_for_comes_in_its_time(waiting: dict[str, Any], online_s: int) -> None:
    timeline = forecast({"always": 2}, {"web-1": {}, "web-2": waiting})
    assert online_after_s(timeline, 2) == online_s
    assert done(timeline) == []


def test_a_machine_that_fails_is_replaced_and_works() -> None:
    timeline = forecast({"always": 2}, {"web-1": {}, "web-2": {"phase": "connection_lost", "impaired for": "6m"}})
    assert [(verb, names) for _, verb, names in done(timeline)] == [("replace", ("web-2",))]
    assert timeline.moments[-1].online == 2


def test_a_machine_that_boots_longer_than_its_deadline_is_replaced_again_and_again() -> None:
    """A forecast says so: the deadline, and not EC2, is what is wrong."""
    timeline = forecast({"always": 1, "start deadline": "5m"}, {}, boot=timedelta(minutes=7))
    assert max(moment.online for moment in timeline.moments) == 0
    assert [verb for _, verb, _ in done(timeline)].count("replace") > 3


def test_a_slot_that_is_being_deleted_goes_and_gives_its_name_back() -> None:
    timeline = forecast({"always": 2}, {"web-1": {"deleting": True}, "web-2": {}})
    assert done(timeline) == [(0.0, "make", ("web-3",))]
    assert timeline.moments[-1][2:4] == (2, 2)


def test_a_paused_stack_and_one_that_is_missing_do_nothing() -> None:
    for held in (stack(paused=True), None):
        fleet = ModelFleet(held, layer({"always": 3}), Assumptions())
        timeline = Forecaster(fleet, NoSignals(), POLICY).run(NOW, NOW + HOUR)
        assert timeline.steps == []


def test_only_the_last_that_was_asked_of_a_slot_comes() -> None:
    """Started, stopped and started again: it is online a boot after the last start."""
    fleet = ModelFleet(stack(), layer({"always": 1}), Assumptions())
    fleet.settle([slot("web-1", {"phase": "stopped", "power": "stopped", "stopped by us": True})], NOW)
    for second, power in ((0, "running"), (10, "stopped"), (20, "running")):
        fleet._power(fleet.members["web-1"], power, NOW + timedelta(seconds=second))  # type: ignore[arg-type]  # noqa: SLF001 - no plan does it so fast
    phases = []
    for second in (75, 80):
        fleet.advance(NOW + timedelta(seconds=second))
        phases.append(fleet.members["web-1"].status.phase)
    assert phases == [Phase.PENDING, Phase.ONLINE]


def test_machine_time_is_what_lies_within_the_span() -> None:
    timeline = forecast({"always": 2}, {"web-1": {}, "web-2": {}, "web-3": {}}, hours=2)
    drained = timedelta(minutes=2)
    assert timeline.running_for() == 4 * HOUR + drained
    assert timeline.running_for("spot") == timedelta()
