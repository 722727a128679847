"""plan against the real API: what would become of machines, as a table and as data, and nothing is written."""

import json
from pathlib import Path

from tests.integration.cli.conftest import Shell
from tests.integration.cli.served import Served

STACK = """\
apiVersion: strata.dev/v1alpha1
kind: Stack
metadata: {name: todo}
spec:
  region: us-east-1
  vpcId: vpc-0
  subnets: [{id: subnet-0a, zone: us-east-1a}]
  instance: {image: {id: ami-1}, types: [t3.small]}
"""
LAYER = """\
apiVersion: strata.dev/v1alpha1
kind: Layer
metadata: {name: web, namespace: todo}
spec:
  capacity:
    always: 2
    max: 9
    schedule: [{name: hourly, cron: "0 * * * *", duration: 30m, instances: 3}]
"""


def _file(directory: Path, *documents: str) -> str:
    path = directory / "todo.yaml"
    path.write_text("---\n".join(documents))
    return str(path)


def test_a_plan_is_a_table_of_what_is_done_when_and_why(strata: Shell, tmp_path: Path) -> None:
    said = strata.ok("plan", "-f", _file(tmp_path, STACK, LAYER), "--hours", "2")
    lines = said.splitlines()
    assert lines[0].startswith("layer/web in todo wants ")
    assert lines[0].endswith("(new)")
    assert lines[1].startswith("  then ")
    assert lines[2].split() == ["WHEN", "WHAT", "COUNT", "INSTANCES", "WHY"]
    assert lines[3].split()[:2] == ["now", "make"]
    assert "schedule/hourly" in said
    assert "every launch succeeds, and no machine fails" in lines[-1]
    assert max(map(len, lines[-4:])) <= 80


def test_apply_plans_as_well(strata: Shell, tmp_path: Path) -> None:
    said = strata.ok("apply", "-f", _file(tmp_path, STACK, LAYER), "--dry-run=plan")
    assert "layer/web in todo wants" in said


def test_nothing_is_written(strata: Shell, served: Served, tmp_path: Path) -> None:
    strata.ok("plan", "-f", _file(tmp_path, STACK, LAYER))
    assert served.get("stacks")["items"] == []
    strata.ok("apply", "-f", _file(tmp_path, STACK, LAYER))
    before = served.get("namespaces/todo/layers/web")
    strata.ok("plan", "-f", _file(tmp_path, STACK, LAYER.replace("always: 2", "always: 5")))
    assert served.get("namespaces/todo/layers/web") == before


def test_a_plan_is_data_for_programs(strata: Shell, tmp_path: Path) -> None:
    strata.ok("apply", "-f", _file(tmp_path, STACK, LAYER))
    wanted = _file(tmp_path, LAYER.replace("always: 2", "always: 5").replace("instances: 3", "instances: 0"))
    answer = json.loads(strata.ok("plan", "-f", wanted, "-o", "json"))
    (layer,) = answer["layers"]
    assert (layer["stack"], layer["name"], layer["new"], layer["desired"]) == ("todo", "web", False, 5)
    assert [(step["verb"], step["why"]) for step in layer["steps"]] == [("make", "wanted: 5 = 5 always")]
    assert "sum: 5 = 5 always" in strata.ok("plan", "-f", wanted, "-o", "yaml")


def test_a_refused_document_is_told_and_fails_the_plan(strata: Shell, tmp_path: Path) -> None:
    wrong = LAYER.replace("30m", "30d").replace("cron", "corn")
    result = strata("plan", "-f", _file(tmp_path, STACK, wrong))
    assert result.exit_code == 1
    assert "corn" in result.stderr
    assert "No machine is concerned." in result.stdout


def test_what_changes_nothing_does_nothing(strata: Shell, tmp_path: Path) -> None:
    quiet = LAYER.replace("always: 2", "always: 0").replace("instances: 3", "instances: 0")
    said = strata.ok("plan", "-f", _file(tmp_path, STACK, quiet))
    assert "  nothing is done\n" in said
