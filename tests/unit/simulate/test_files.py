"""What `simulate` reads: numbers over time, prices, signals; and what it says of what it cannot read."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.kit.planner_cases import layer

from strata.cli.failures import CliFailure
from strata.planner.forecast.timeline import MachineRun, Timeline
from strata.resources.layer import LayerStatus
from strata.resources.signal import Point
from strata.simulate.csv_file import read_points
from strata.simulate.prices import read_prices
from strata.simulate.signals import SignalOption, parse_signal, record, traces_of, unused

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def file(directory: Path, *lines: str) -> Path:
    path = directory / "numbers.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    "time", ["2026-11-23T12:00:00Z", "2026-11-23 12:00", "2026-11-23T07:00:00-05:00", "1795435200", "1795435200000"]
)
def test_a_time_may_be_written_in_many_ways(tmp_path: Path, time: str) -> None:
    assert read_points(file(tmp_path, "time,value", f"{time},3.5")) == (Point(NOON, 3.5),)


def test_points_come_in_order_and_numbers_that_are_missing_are_missing(tmp_path: Path) -> None:
    path = file(tmp_path, "time,value,note", "2026-11-23T12:01Z,2,x", "", "2026-11-23T12:02Z,,", "2026-11-23T12:00Z,1,")
    assert read_points(path) == (Point(NOON, 1), Point(NOON + timedelta(minutes=1), 2))


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["time,value", "2026-11-23T12:00Z,1", "noon,2"], "line 3: 'noon' is not a time"),
        (["time,value", "2026-11-23T12:00Z,many"], "line 2: 'many' is not a number"),
        (["time,value", "2026-11-23T12:00Z,nan"], "line 2: 'nan' is not a number"),
        (["time,value", "2026-11-23T12:00Z"], "line 2: 2 columns are expected, not 1"),
        (["time,value", "2026-11-23T12:00Z,1", "2026-11-23T12:00Z,2"], "line 3: the time 2026-11-23T12:00:00+00:00"),
        (["time,value"], "there are no numbers in it"),
        (["2026-11-23T12:00Z,1", "2026-11-23T12:01Z,2"], "line 1: a head such as time,value is expected"),
        (["time,value", "1e300,2"], "line 2: '1e300' is not a time"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, lines: list[str], says: str) -> None:
    with pytest.raises(CliFailure, match=says.replace("+", r"\+")):
        read_points(file(tmp_path, *lines))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CliFailure, match="No such file"):
        read_points(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("cpuPercent=cpu.csv", SignalOption("", "cpuPercent", "cpu.csv", total=False)),
        ("web/queue=total:q=1.csv", SignalOption("web", "queue", "q=1.csv", total=True)),
        ("queue=prometheus:sum(x @ end())", SignalOption("", "queue", "prometheus:sum(x @ end())", total=False)),
    ],
)
def test_a_signal_is_a_name_and_its_source(text: str, option: SignalOption) -> None:
    assert parse_signal(text) == option


@pytest.mark.parametrize("text", ["cpuPercent", "=cpu.csv", "queue=", "queue=total:", "queue=prometheus:"])
def test_a_signal_without_name_or_source_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"NAME=FILE\.csv"):
        parse_signal(text)


def test_numbers_of_seconds_become_means_of_minutes(tmp_path: Path) -> None:
    lines = [f"{1795435200 + 15 * at},{at}" for at in range(9)]  # the first stands on the minute
    options = [parse_signal(f"queue={file(tmp_path, 'time,value', *lines)}")]
    (trace,) = traces_of(layer({}), record(options, start=None, end=None, url="")).values()
    assert trace.period_s == 60
    assert [(point.at, point.value) for point in trace.points] == [
        (NOON, 0.0),
        (NOON + timedelta(minutes=1), 2.5),
        (NOON + timedelta(minutes=2), 6.5),
    ]


def test_a_layers_own_signal_goes_before_that_of_all(tmp_path: Path) -> None:
    own = file(tmp_path, "time,value", "2026-11-23T12:00Z,1")
    other = tmp_path / "other.csv"
    other.write_text("time,value\n2026-11-23T12:00Z,2\n")
    options = [parse_signal(f"web/queue={own}"), parse_signal(f"queue={other}"), parse_signal(f"db/queue={other}")]
    recorded = record(options, start=None, end=None, url="")
    assert traces_of(layer({}), recorded)["queue"].points == (Point(NOON, 1),)
    assert unused(recorded, {"web": {"queue"}}) == ["queue"]  # that of db


def test_a_price_is_by_the_hour_and_the_market(tmp_path: Path) -> None:
    prices = read_prices(file(tmp_path, "type,hourly,spot", "t3.small,0.5,0.2", "m5.large,2"))
    timeline = Timeline(NOON, NOON + timedelta(hours=4), LayerStatus())
    timeline.runs = [
        MachineRun("a", "t3.small", "on-demand", NOON - timedelta(hours=1), NOON + timedelta(hours=2)),
        MachineRun("b", "t3.small", "spot", NOON + timedelta(hours=3)),
        MachineRun("c", "m5.large", "spot", NOON, NOON + timedelta(minutes=30)),
    ]
    assert prices.cost(timeline) == pytest.approx(2 * 0.5 + 0.2 + 0.5 * 2)


def test_a_type_without_a_price_is_told(tmp_path: Path) -> None:
    timeline = Timeline(NOON, NOON + timedelta(hours=1), LayerStatus())
    timeline.runs = [MachineRun("a", "x9.huge", "on-demand", NOON)]
    with pytest.raises(CliFailure, match=r"no price of x9\.huge"):
        read_prices(file(tmp_path, "type,hourly", "t3.small,0.5")).cost(timeline)
