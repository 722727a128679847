"""What every CloudWatch promises: whole answers, points by the end of what they cover, alarms of both sorts."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from tests.contract.cloud import watches
from tests.contract.cloud.watches import SimulatedWatch, WatchWorld, cpu, recent
from tests.contract.cloud.worlds import MotoFacts, refusal

from strata.cloud.lazy_sdk import LazySdk
from strata.errors import CloudErrorKind
from strata_sim.controls import ids
from strata_sim.faults import Fault

SIMULATORS = ["in-process", "http"]


@pytest.fixture(params=[*SIMULATORS, pytest.param("moto", marks=pytest.mark.moto)])
async def world(request: pytest.FixtureRequest, sdk: LazySdk) -> AsyncIterator[WatchWorld]:
    if request.param == "in-process":
        yield watches.in_process()
    elif request.param == "http":
        async with watches.over_http(sdk) as simulated:
            yield simulated
    else:
        moto: MotoFacts = request.getfixturevalue("moto")
        async with watches.at_moto(moto.endpoint, sdk) as foreign:
            yield foreign


@pytest.fixture(params=SIMULATORS)
async def simulated(request: pytest.FixtureRequest, sdk: LazySdk) -> AsyncIterator[SimulatedWatch]:
    if request.param == "in-process":
        yield watches.in_process()
    else:
        async with watches.over_http(sdk) as found:
            yield found


async def test_a_machines_cpu_has_a_point_a_minute_stamped_with_its_end(world: WatchWorld) -> None:
    query = cpu(await world.machine(minutes=10))
    asked = recent(world.clock, 6)
    points = (await world.watch.get_metric_data([query], **asked))[query]
    times = [point.at for point in points]
    first, last = times[0], times[-1]
    assert 4 <= len(points) <= 6
    assert times == [first + timedelta(minutes=n) for n in range(len(times))], "oldest first, none missing"
    assert all(at.second == 0 and at.utcoffset() == timedelta(0) for at in times)
    assert asked["start_at"] <= first - timedelta(minutes=1), "whole periods only"
    assert asked["end_at"] - timedelta(minutes=2) < last <= asked["end_at"]
    assert all(abs(point.value - 50) < 2 for point in points)


async def test_metrics_without_points_are_answered_with_none(world: WatchWorld) -> None:
    known, unknown = cpu(await world.machine(minutes=5)), cpu("i-0fffffffffffffff1")
    answer = await world.watch.get_metric_data([unknown, known, unknown], **recent(world.clock, 5))
    assert answer[unknown] == ()
    assert len(answer[known]) >= 3


async def test_asking_for_nothing_or_for_no_time_is_answered_with_nothing(world: WatchWorld) -> None:
    query = cpu(await world.machine(minutes=5))
    now = world.clock.now()
    assert await world.watch.get_metric_data([], start_at=now, end_at=now) == {}
    assert await world.watch.get_metric_data([query], start_at=now, end_at=now) == {query: ()}
    assert await world.watch.describe_alarms([]) == {}


async def test_more_than_a_call_takes_is_refused(world: WatchWorld) -> None:
    queries = [cpu(f"i-{number:017x}") for number in range(501)]
    error = await refusal(world.watch.get_metric_data(queries, **recent(world.clock, 5)))
    assert error.kind is CloudErrorKind.INVALID
    error = await refusal(world.watch.describe_alarms([f"alarm-{number}" for number in range(101)]))
    assert error.kind is CloudErrorKind.INVALID


@pytest.mark.parametrize("value", ["OK", "ALARM", "INSUFFICIENT_DATA"])
async def test_an_alarm_is_told_with_its_state_and_since_when(world: WatchWorld, value: str) -> None:
    before = world.clock.now() - timedelta(seconds=1)
    name = world.alarm(value)  # type: ignore[arg-type]
    (state,) = (await world.watch.describe_alarms([name])).values()
    assert state.value == value
    assert before <= state.since <= world.clock.now()


async def test_alarms_that_do_not_exist_are_left_out(world: WatchWorld) -> None:
    name = world.alarm("ALARM")
    assert set(await world.watch.describe_alarms(["alarm-that-is-not", name])) == {name}


async def test_composite_alarms_are_told_like_others(simulated: SimulatedWatch) -> None:
    metric, composite = simulated.alarm("OK"), simulated.alarm("ALARM", composite=True)
    found = await simulated.watch.describe_alarms([metric, composite])
    assert {name: state.value for name, state in found.items()} == {metric: "OK", composite: "ALARM"}


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """CloudWatch tells 100,800 points a page; so many take seconds to make up."""
    monkeypatch.setattr("strata_sim.cloudwatch.MAX_POINTS", 70)


@pytest.mark.usefixtures("small_pages")
async def test_an_answer_of_several_pages_is_whole(simulated: SimulatedWatch) -> None:
    queries = [cpu("i-0fffffffffffffff1"), *(cpu(one) for one in await simulated.machines(5, minutes=35))]
    answer = await simulated.watch.get_metric_data(queries, **recent(simulated.clock, 30))
    assert [len(answer[query]) for query in queries] == [0, 30, 30, 30, 30, 30]
    for query in queries[1:]:
        times = [point.at for point in answer[query]]
        assert times == sorted(set(times))
    assert simulated.calls("GetMetricData") == 3


@pytest.mark.usefixtures("small_pages")
async def test_an_answer_that_loses_a_page_is_no_answer(simulated: SimulatedWatch) -> None:
    queries = [cpu(one) for one in await simulated.machines(5, minutes=35)]
    simulated.controls.fault(Fault("refuse", actions=frozenset({"GetMetricData"}), skip=1))
    error = await refusal(simulated.watch.get_metric_data(queries, **recent(simulated.clock, 30)))
    assert error.code == "InternalError"


async def test_without_detailed_monitoring_there_is_a_point_in_five_minutes(simulated: SimulatedWatch) -> None:
    (basic,) = await simulated.machines(1, minutes=31, detailed=False)
    query = cpu(basic, period_s=300)
    points = (await simulated.watch.get_metric_data([query], **recent(simulated.clock, 25)))[query]
    assert [point.at.minute % 5 for point in points] == [0] * 4
    minutely = cpu(basic, period_s=60)
    sparse = (await simulated.watch.get_metric_data([minutely], **recent(simulated.clock, 25)))[minutely]
    assert len(sparse) <= 5, "asking for minutes makes no more of them"


async def test_queries_of_several_periods_go_in_one_call(simulated: SimulatedWatch) -> None:
    (machine,) = await simulated.machines(1, minutes=33)
    fine, coarse = cpu(machine, 60), cpu(machine, 300)
    answer = await simulated.watch.get_metric_data([fine, coarse], **recent(simulated.clock, 21))
    assert len(answer[fine]) >= 20
    assert len(answer[coarse]) in {3, 4}
    assert all(point.at.minute % 5 == 0 for point in answer[coarse])
    assert simulated.calls("GetMetricData") == 1


async def test_a_machine_has_points_for_what_it_ran_through(simulated: SimulatedWatch) -> None:
    machine = await simulated.machine(minutes=10)
    stopped_at = simulated.clock.now()
    simulated.controls.stop(ids(machine))
    simulated.clock.step(600)
    query = cpu(machine)
    points = (await simulated.watch.get_metric_data([query], **recent(simulated.clock, 20)))[query]
    assert points
    assert max(point.at for point in points) <= stopped_at


async def test_a_throttled_read_is_told_as_such(simulated: SimulatedWatch) -> None:
    query = cpu(await simulated.machine(minutes=5))
    simulated.controls.throttle(1.0)
    simulated.controls.drain("GetMetricData")
    error = await refusal(simulated.watch.get_metric_data([query], **recent(simulated.clock, 5)))
    assert error.kind is CloudErrorKind.THROTTLED


@pytest.mark.parametrize("code", ["AccessDenied", "AuthFailure"])
async def test_missing_permission_is_told_as_such(simulated: SimulatedWatch, code: str) -> None:
    simulated.controls.fault(Fault("refuse", code=code, message="as told", actions=frozenset({"DescribeAlarms"})))
    error = await refusal(simulated.watch.describe_alarms(["any"]))
    assert (error.kind, error.code, error.action) == (CloudErrorKind.UNAUTHORIZED, code, "DescribeAlarms")
