"""simulate, without any server: clock and load from files become a table, a plot, data and pictures."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result

from strata.cli.entry import cli
from strata.cli.failures import CliFailure
from strata.cli.session import Session

LAYER = """\
apiVersion: strata.dev/v1alpha1
kind: Layer
metadata: {name: web, namespace: shop}
spec:
  capacity:
    always: 2
    max: 10
    schedule: [{name: noon, from: "12:00", to: "14:00", instances: 2}]
    load: {up: {cpuPercent: 70}, down: {cpuPercent: 20}}
"""


def simulate(*args: str) -> Result:
    result = CliRunner().invoke(cli, ["simulate", *args], obj=Session(environment={"HOME": "/nowhere"}))
    if result.exception and not isinstance(result.exception, SystemExit | CliFailure):
        raise result.exception
    return result


def failed(*args: str) -> str:
    """What the command failed with."""
    result = simulate(*args)
    assert isinstance(result.exception, CliFailure | SystemExit)
    return f"{result.output}{result.exception}"


def data(*args: str) -> list[dict[str, Any]]:
    result = simulate(*args, "-o", "json")
    assert result.exit_code == 0, result.output
    items: list[dict[str, Any]] = json.loads(result.stdout)["items"]
    return items


@pytest.fixture
def policy(tmp_path: Path) -> str:
    path = tmp_path / "web.yaml"
    path.write_text(LAYER)
    return str(path)


@pytest.fixture
def busy(tmp_path: Path) -> str:
    """450 percent of one machine from 10:00 to 16:00, 60 else; a number a minute for a day."""
    path = tmp_path / "cpu.csv"
    lines = (f"2026-11-23T{at // 60:02}:{at % 60:02}:00Z,{450 if 600 <= at < 960 else 60}" for at in range(24 * 60))
    path.write_text("\n".join(["time,value", *lines]) + "\n")
    return str(path)


def test_the_clock_alone_is_replayed_exactly(policy: str) -> None:
    (item,) = data("-f", policy, "--from", "2026-11-23", "--to", "2026-11-25", "--boot", "3m")
    numbers = [(one["at"].partition("T")[2][:8], one["desired"], one["online"]) for one in item["numbers"][:6]]
    assert numbers == [
        ("00:00:00", 2, 0),
        ("00:03:00", 2, 2),
        ("12:00:00", 4, 2),
        ("12:03:00", 4, 4),
        ("14:00:00", 2, 4),
        ("14:02:00", 2, 2),
    ]
    assert item["machineHours"] == pytest.approx(2 * 48 + 2 * 2 * (2 + 2 / 60), abs=0.01)  # with the time to drain
    assert item["missingSignals"] == ["cpuPercent"]


def test_a_total_is_shared_by_the_machines_so_that_scaling_helps(policy: str, busy: str) -> None:
    (shared,) = data("-f", policy, "--signal", f"cpuPercent=total:{busy}")
    before_noon = [one["desired"] for one in shared["numbers"] if one["at"] < "2026-11-23T12"]
    assert max(before_noon) == 7  # 450 / 7 is 64 percent; 450 / 6 is 75
    (plain,) = data("-f", policy, "--signal", f"cpuPercent={busy}")
    assert max(one["desired"] for one in plain["numbers"]) == 10  # nothing helps: up to max
    assert shared["scaledOut"] >= 3
    assert shared["decisions"][0]["change"] == 1
    assert "cpuPercent" in shared["decisions"][0]["message"]
    up = next(one for one in shared["breaches"] if one["direction"] == "up")
    assert 0 < up["minutes"] < 60


def test_policies_stand_side_by_side(policy: str, busy: str, tmp_path: Path) -> None:
    bolder = tmp_path / "bolder.yaml"
    bolder.write_text(LAYER.replace("cpuPercent: 70", "cpuPercent: 70, step: 4"))
    prices = tmp_path / "prices.csv"
    prices.write_text("type,hourly\nt3.small,0.5\n")
    args = ("-f", policy, "--compare", str(bolder), "--signal", f"cpuPercent=total:{busy}", "--prices", str(prices))
    result = simulate(*args)
    assert result.exit_code == 0, result.output
    table = result.stdout.partition("\n\nHOURS")[0].splitlines()[-3:]
    assert table[0].split()[:8] == ["POLICY", "LAYER", "HOURS", "COST", "MEAN", "PEAK", "OUT", "IN"]
    assert [line.split()[0] for line in table[1:]] == ["web", "bolder"]
    assert "█" in result.stdout
    web, bold = data(*args)
    assert bold["scaledOut"] < web["scaledOut"]
    assert web["cost"] == pytest.approx(web["machineHours"] * 0.5, rel=1e-3)


def test_every_action_is_listed_with_its_reason(policy: str) -> None:
    result = simulate("-f", policy, "--from", "2026-11-23", "--to", "2026-11-24", "--actions", "--no-plot")
    assert "wanted: 4 = 2 always + 2 schedule/noon" in result.stdout
    assert "█" not in result.stdout


def test_actions_name_what_justified_them_at_moments_of_utc(policy: str, busy: str) -> None:
    result = simulate("-f", policy, "--signal", f"cpuPercent=total:{busy}", "--actions", "--no-plot")
    rows = [line.split(maxsplit=5) for line in result.stdout.splitlines() if line.startswith("2026-")]
    decided = next(at for at, row in enumerate(rows) if row[3] == "decide")
    assert rows[decided][0].startswith("2026-11-23T10:")
    assert rows[decided][0].endswith("Z")
    assert rows[decided][4] == "+1"
    assert rows[decided][5].startswith("cpuPercent 100 >= 70 for ")
    assert rows[decided + 1][:5] == [rows[decided][0], "web", "web", "make", "1"]


def test_a_picture_and_a_page_are_drawn(policy: str, busy: str, tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg", "a.html"):
        result = simulate("-f", policy, "--signal", f"cpuPercent=total:{busy}", "--plot", str(tmp_path / name))
        assert result.exit_code == 0, result.output
    svg = (tmp_path / "a.svg").read_text()
    assert ET.fromstring(svg).tag.endswith("svg")  # noqa: S314 - our own
    assert (tmp_path / "b.svg").read_text() == svg
    page = (tmp_path / "a.html").read_text()
    assert "POLICY" in page
    assert "<svg" in page


def test_what_is_wrong_is_told(policy: str, busy: str, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(LAYER.replace("12:00", "25:00").replace("max: 10", "maxx: 10"))
    said = failed("-f", str(wrong), "--from", "2026-11-23", "--to", "2026-11-24")
    assert "layer/web is invalid:\n" in said
    assert "  line 8: spec.capacity.schedule[0].from: " in said
    assert 'unknown field "spec.capacity.maxx"' in said
    assert "say --from and --to" in failed("-f", policy)
    assert "--from must be before --to" in failed("-f", policy, "--from", "2026-11-24", "--to", "2026-11-23")
    assert "there is no Layer called db" in failed("-f", policy, "--layer", "db")
    assert "not of the form NAME=FILE.csv" in failed("-f", policy, "--signal", "cpuPercent")
    assert "a query needs --from and --to" in failed("-f", policy, "--signal", "cpuPercent=prometheus:up")
    assert "a plot ends in one of" in failed("-f", policy, "--signal", f"cpuPercent={busy}", "--plot", "x.gif")


def test_a_prometheus_that_does_not_answer_is_told(policy: str) -> None:
    span = ("--from", "2026-11-23", "--to", "2026-11-24")
    said = failed("-f", policy, *span, "--signal", "cpuPercent=prometheus:up@http://127.0.0.1:1")
    assert "--signal cpuPercent: " in said
    assert "http://127.0.0.1:1" in said


def test_signals_that_are_missing_or_of_no_use_are_told(policy: str, busy: str) -> None:
    result = simulate("-f", policy, "--signal", f"queue={busy}", "--no-plot")
    assert result.exit_code == 0
    assert "no layer has a rule for the signal queue" in result.stderr
    assert "no --signal says what it was" in result.stderr


class _Answers(BaseHTTPRequestHandler):
    """A Prometheus whose every series is 90 at each step; it refuses more steps than Prometheus does."""

    asked: ClassVar[list[dict[str, str]]] = []

    def do_POST(self) -> None:
        length = int(self.headers["content-length"])
        query = {name: value[0] for name, value in parse_qs(self.rfile.read(length).decode()).items()}
        self.asked.append(query)
        start, end, step = (float(query[name]) for name in ("start", "end", "step"))
        values = [[start + at * step, "90"] for at in range(int((end - start) / step) + 1)]
        assert len(values) <= 11_000
        answer = {"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {}, "values": values}]}}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def prometheus() -> Iterator[str]:
    _Answers.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as server:
        running = threading.Thread(target=server.serve_forever)
        running.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        running.join()


def test_a_fortnight_is_asked_of_a_prometheus_in_as_few_calls_as_it_allows(policy: str, prometheus: str) -> None:
    span = ("--from", "2026-11-01", "--to", "2026-11-15")
    (item,) = data("-f", policy, *span, "--signal", f"cpuPercent=prometheus:avg(cpu @ end())@{prometheus}")
    assert [asked["query"] for asked in _Answers.asked] == ["avg(cpu @ end())"] * 3  # of 20,161 minutes
    assert item["peakRunning"] == 10  # it is always too busy
    (other,) = data("-f", policy, *span, "--prometheus", prometheus, "--signal", "cpuPercent=total:prometheus:cpu")
    assert other["peakRunning"] == 4  # two machines share 90, and by noon two more
