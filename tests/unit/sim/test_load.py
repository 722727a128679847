"""What the load of a layer makes of its machines' CPU and of its queue."""

from datetime import timedelta

import pytest
from tests.unit.sim.kit import REGION, Sim, tags

from strata_sim import actions
from strata_sim.cloudwatch import MetricPage
from strata_sim.controls import ControlError, ids
from strata_sim.load import KEPT_S, LayerKey, LayerLoad, Load

WEB, OTHER = LayerKey("shop", "web"), LayerKey("blog", "web")


def launch(sim: Sim, count: int, layer: LayerKey = WEB) -> list[str]:
    labels = tags(**{"strata.dev/stack": layer.stack, "strata.dev/layer": layer.layer})
    launched = sim.launch(count, TagSpecifications=labels, Monitoring={"Enabled": True})
    sim.clock.advance(60)
    return launched


def cpu(sim: Sim, instance_id: str, minutes: int = 10) -> list[float]:
    metric = {
        "Namespace": "AWS/EC2",
        "MetricName": "CPUUtilization",
        "Dimensions": [{"Name": "InstanceId", "Value": instance_id}],
    }
    now = sim.clock.now()
    page: MetricPage = sim.call(
        actions.GET_METRIC_DATA,
        MetricDataQueries=[{"Id": "m", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Average"}}],
        StartTime=now - timedelta(minutes=minutes),
        EndTime=now,
        ScanBy="TimestampAscending",
    )
    return [value for _, value in page.results[0].points]


def load(sim: Sim, key: LayerKey = WEB) -> LayerLoad:
    return sim.world.region(REGION).telemetry.loads[key]


@pytest.mark.parametrize(("total", "each"), [(120, 40), (300, 100), (900, 100), (0, 0)])
def test_machines_share_the_load_and_none_has_more_than_all_of_itself(sim: Sim, total: float, each: float) -> None:
    machines = launch(sim, 3)
    sim.controls.load(WEB, Load(mean=total))
    sim.clock.advance(600)
    for machine in machines:
        values = cpu(sim, machine, minutes=5)
        assert len(values) == 5
        assert all(abs(value - each) <= 3 and value <= 100 for value in values)


def test_whoever_asks_is_told_the_same_and_no_two_machines_quite_the_same(sim: Sim) -> None:
    one, two = launch(sim, 2)
    sim.controls.load(WEB, Load(mean=100))
    sim.clock.advance(600)
    assert cpu(sim, one) == cpu(sim, one)
    assert cpu(sim, one) != cpu(sim, two)


def test_machines_of_a_layer_without_load_idle(sim: Sim) -> None:
    (other,) = launch(sim, 1, OTHER)
    launch(sim, 2)
    sim.controls.load(WEB, Load(mean=200))
    sim.clock.advance(600)
    assert all(value < 3 for value in cpu(sim, other))


def test_more_machines_have_less_each(sim: Sim) -> None:
    (first,) = launch(sim, 1)
    sim.controls.load(WEB, Load(mean=80))
    sim.clock.advance(600)
    assert min(cpu(sim, first, minutes=5)) > 75
    launch(sim, 3)
    sim.clock.advance(600)
    assert max(cpu(sim, first, minutes=5)) < 25


def test_a_wave_begins_at_its_mean_rises_falls_and_is_never_negative() -> None:
    wave = Load(mean=100, amplitude=150, period_s=3600)
    assert [round(wave.total(quarter * 900)) for quarter in range(5)] == [100, 250, 100, 0, 100]


def test_the_queue_grows_by_what_the_machines_cannot_do_and_shrinks_by_what_they_can(sim: Sim) -> None:
    launch(sim, 2)
    sim.controls.load(WEB, Load(mean=350))
    sim.clock.advance(100)
    grown = load(sim).queue
    assert grown == pytest.approx(150, abs=20), "one and a half jobs a second too many"
    launch(sim, 3)
    sim.clock.advance(30)
    assert load(sim).queue < grown + 90
    sim.clock.advance(600)
    assert load(sim).queue == 0


def test_a_queue_outlives_a_change_of_the_load(sim: Sim) -> None:
    sim.controls.load(WEB, Load(mean=100))
    sim.clock.advance(100)
    before = load(sim).queue
    assert before > 0
    sim.controls.load(WEB, Load(mean=0))
    assert load(sim).queue == before


def test_hours_that_people_skip_have_their_points(sim: Sim) -> None:
    (machine,) = launch(sim, 1)
    sim.controls.load(WEB, Load(mean=60))
    sim.clock.advance(30)
    sim.clock.ahead_s += 3 * 3600
    values = cpu(sim, machine, minutes=170)
    assert len(values) == 169, "the whole minutes of them"
    assert all(55 < value < 65 for value in values)


def test_a_skip_of_years_costs_no_more_than_what_is_kept(sim: Sim) -> None:
    launch(sim, 1)
    sim.controls.load(WEB, Load(mean=150))
    sim.clock.ahead_s += 3 * 365 * 86_400
    assert len(load(sim).ticks) == KEPT_S // 10
    assert load(sim).queue == pytest.approx(KEPT_S / 2, rel=0.01)


def test_a_machine_that_stops_has_no_points_while_it_stands(sim: Sim) -> None:
    (machine,) = launch(sim, 1)
    sim.controls.load(WEB, Load(mean=50))
    sim.clock.advance(600)
    sim.controls.stop(ids(machine))
    sim.clock.advance(600)
    assert cpu(sim, machine, minutes=9) == []
    sim.controls.start(ids(machine))
    sim.clock.advance(300)
    assert 2 <= len(cpu(sim, machine, minutes=9)) <= 4


def test_a_load_that_is_none_is_refused(sim: Sim) -> None:
    for nonsense in (Load(mean=-1), Load(mean=1, amplitude=-1), Load(mean=1, period_s=0), Load(mean=float("inf"))):
        with pytest.raises(ControlError):
            sim.controls.load(WEB, nonsense)


def test_an_alarm_keeps_its_time_while_it_stays_as_it_is(sim: Sim) -> None:
    sim.controls.alarm("backlog", "ALARM")
    since = sim.clock.now()
    sim.clock.advance(60)
    sim.controls.alarm("backlog", "ALARM")
    (row,) = sim.call(actions.DESCRIBE_ALARMS, AlarmNames=["backlog"]).rows
    assert row.alarm.since == since
    sim.controls.alarm("backlog", "OK")
    (row,) = sim.call(actions.DESCRIBE_ALARMS, AlarmNames=["backlog"]).rows
    assert row.alarm.since == sim.clock.now()
