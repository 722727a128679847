"""`strata sim …` against a simulator that runs."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from strata.cli.entry import run


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    clock = tmp_path_factory.mktemp("clock") / "clock"
    command = (sys.executable, "-m", "strata_sim", "--seed", "1", "--clock-file", str(clock))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["endpoint"]
        process.terminate()


@pytest.fixture
def sim(simulator: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> "Sim":
    monkeypatch.setenv("STRATA_SIMULATOR", simulator)
    return Sim(capsys)


class Sim:
    """Types `strata sim …`; gives what was printed, on both outputs."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str, code: int = 0) -> str:
        assert run(["sim", *arguments]) == code
        printed = self._capsys.readouterr()
        return printed.out + printed.err


def test_delays_are_set_one_by_one_and_shown(sim: Sim) -> None:
    sim("delays", "--pending", "7")
    shown = dict(line.split() for line in sim("delays", "--stopping", "3").splitlines()[1:])
    assert (shown["pending"], shown["stopping"]) == ("7", "3")


def test_capacity_is_a_count_or_any(sim: Sim) -> None:
    assert sim("capacity", "t3.small", "0", "--zone", "us-east-1a") == "0 more t3.small in us-east-1a\n"
    assert sim("capacity", "t3.small", "any") == "any more t3.small in each zone\n"
    assert "a number, or `any`" in sim("capacity", "t3.small", "few", code=2)


def test_what_the_simulator_refuses_is_told_in_its_own_words(sim: Sim) -> None:
    assert "the simulator refuses: no such type: t9.huge" in sim("capacity", "t9.huge", "1", code=1)
    assert "the simulator refuses: no such instance: i-1" in sim("terminate", "i-1", code=1)


def test_throttling_is_said_in_exactly_one_way(sim: Sim) -> None:
    assert "0.5" in sim("throttle", "0.5")
    sim("throttle", "--drain", "RunInstances")
    sim("throttle", "--off")
    assert "say one of" in sim("throttle", code=2)
    assert "say one of" in sim("throttle", "0.5", "--off", code=2)


def test_every_control_stands_in_the_calls(sim: Sim) -> None:
    sim("lag", "2", "--uneven")
    rows = [line.split() for line in sim("calls", "--action", "lag").splitlines()]
    assert rows[0][:4] == ["NUMBER", "AT", "CALLER", "ACTION"]
    assert rows[-1][2:5] == ["world", "lag", "ok"]
    number = rows[-1][0]
    assert sim("calls", "--since", number) == ""


def test_names_need_a_stack(sim: Sim, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRATA_SERVER", "http://127.0.0.1:9")
    assert "say which with -n STACK" in sim("stop", "instance/web-1", code=1)


def test_without_a_world_the_way_to_one_is_told(
    sim: Sim, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.delenv("STRATA_SIMULATOR")
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    assert "start one with `strata up`" in sim("instances", code=1)


def test_a_load_is_a_level_or_a_wave_and_is_shown(sim: Sim) -> None:
    told = sim("load", "layer/web", "-n", "shop", "--total", "450")
    assert told == "layer/web has a load of 450 %\nwarning: layer/web in shop has no machine yet\n"
    assert "300 ± 200 % in waves of 20 min" in sim("load", "workers", "-n", "shop", "--wave", "300,200,20m")
    rows = [line.split("   ") for line in sim("load").splitlines()]
    assert [row[0].strip() for row in rows] == ["STACK", "shop", "shop"]
    assert "workers" not in sim("load", "web", "-n", "shop")
    sim("load", "web", "-n", "shop", "--off")
    assert "web" not in sim("load")


@pytest.mark.parametrize("wave", ["300", "300,200", "a,b,5m", "300,200,soon", "1,2,3m,4"])
def test_what_is_no_wave_is_refused(sim: Sim, wave: str) -> None:
    assert "is not MEAN,AMPLITUDE,PERIOD" in sim("load", "web", "-n", "shop", "--wave", wave, code=2)


def test_a_load_needs_a_layer_and_one_way_of_saying_it(sim: Sim) -> None:
    assert "say one of --total, --wave and --off" in sim("load", "--total", "1", code=2)
    assert "say one of --total, --wave and --off" in sim("load", "web", "-n", "shop", "--off", "--total", "1", code=2)
    assert "say which with -n STACK" in sim("load", "web", "--total", "1", code=1)


def test_an_alarm_is_set(sim: Sim) -> None:
    assert sim("alarm", "backlog", "alarm") == "alarm backlog is ALARM\n"
    assert sim("alarm", "backlog", "insufficient") == "alarm backlog is INSUFFICIENT_DATA\n"


def test_the_clock_is_set_forward_and_never_back(sim: Sim) -> None:
    before = datetime.fromisoformat(sim("clock").strip())
    after = datetime.fromisoformat(sim("clock", "+3h").strip())
    assert timedelta(hours=3) <= after - before < timedelta(hours=3, minutes=2)
    assert "only set forward" in sim("clock", before.isoformat(), code=1)
    assert sim("clock", "2051-03-29T00:55+01:00").startswith("2051-03-28T23:55:")


@pytest.mark.parametrize(("to", "said", "code"), [("3h", "neither +DURATION", 2), ("2051-03-29T00:55", "say where", 1)])
def test_a_time_is_said_so_that_it_is_one(sim: Sim, to: str, said: str, code: int) -> None:
    assert said in sim("clock", to, code=code)
