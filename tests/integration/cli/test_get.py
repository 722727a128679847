"""get against the real API: tables, whole objects, watches; as a kubectl user expects them."""

import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest
import yaml
from tests.integration.cli.conftest import STRATA, Shell, Start, lines_of
from tests.integration.cli.served import Served

_SPEC = {"region": "us-east-1", "vpcId": "vpc-0", "subnets": [{"id": "subnet-0a", "zone": "us-east-1a"}]}


@pytest.fixture
def layers(served: Served) -> Served:
    """Stack todo with layers web (always 10, labelled) and db (always 9), stack other with layer web."""
    for stack in ("todo", "other"):
        served.create("Stack", "stacks", stack, _SPEC)
    served.create("Layer", "layers", "web", {"capacity": {"always": 10}}, namespace="todo", labels={"tier": "front"})
    served.create("Layer", "layers", "db", {"capacity": {"always": 9}}, namespace="todo")
    served.create("Layer", "layers", "web", {}, namespace="other")
    return served


def _table(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


@pytest.mark.usefixtures("layers")
class TestTables:
    def test_a_list_is_the_servers_table(self, strata: Shell) -> None:
        head, *rows = _table(strata.ok("get", "layers", "-n", "todo"))
        assert head == ["NAME", "DESIRED", "ONLINE", "READY", "PROTECTED", "AGE"]
        assert [row[0] for row in rows] == ["db", "web"]

    def test_wide_has_more_columns(self, strata: Shell) -> None:
        assert "ALWAYS" in strata.ok("get", "layers", "-n", "todo", "-o", "wide")

    def test_all_stacks_have_a_column_of_their_own(self, strata: Shell) -> None:
        rows = _table(strata.ok("get", "ly", "-A", "--no-headers"))
        assert [row[:2] for row in rows] == [["other", "web"], ["todo", "db"], ["todo", "web"]]

    def test_names_are_shown_and_one_that_is_missing_is_told_and_spoils_no_other(self, strata: Shell) -> None:
        result = strata("get", "layer", "web", "nope", "db", "-n", "todo")
        assert result.exit_code == 1
        assert [row[0] for row in _table(result.stdout)] == ["NAME", "web", "db"]
        assert 'Error from server (NotFound): layers.strata.dev "nope" not found' in result.stderr

    def test_several_kinds_are_several_tables_with_the_kind_before_the_name(self, strata: Shell) -> None:
        text = strata.ok("get", "stacks,layers", "-n", "todo")
        assert [line.split()[0] for line in text.split("\n") if line] == [
            *("NAME", "stack/other", "stack/todo"),
            *("NAME", "layer/db", "layer/web"),
        ]

    def test_all_of_a_stack_are_that_stack_and_what_is_in_it(self, strata: Shell) -> None:
        text = strata.ok("get", "all", "-n", "todo")
        names = [line.split()[0] for line in text.split("\n") if line]
        assert names == ["NAME", "stack/todo", "NAME", "layer/db", "layer/web"]
        assert "stack/other" in strata.ok("get", "all", "-A")

    def test_labels_choose_and_can_be_shown(self, strata: Shell) -> None:
        rows = _table(strata.ok("get", "layers", "-n", "todo", "-l", "tier=front", "--show-labels", "--no-headers"))
        assert [(row[0], row[-1]) for row in rows] == [("web", "tier=front")]

    def test_sorting_is_by_value(self, strata: Shell) -> None:
        rows = _table(strata.ok("get", "layers", "-n", "todo", "--sort-by", ".spec.capacity.always", "--no-headers"))
        assert [row[0] for row in rows] == ["db", "web"]
        rows = _table(strata.ok("get", "layers", "-n", "todo", "--sort-by={.metadata.labels.tier}", "--no-headers"))
        assert [row[0] for row in rows] == ["db", "web"]

    def test_nothing_is_told_on_standard_error_and_is_no_failure(self, strata: Shell) -> None:
        result = strata("get", "instances", "-n", "todo")
        assert (result.exit_code, result.stdout, result.stderr) == (0, "", "No resources found in stack todo.\n")

    def test_the_environment_may_choose_the_stack(self, strata: Shell) -> None:
        strata.environment["STRATA_NAMESPACE"] = "other"
        assert "web" in strata.ok("get", "layers")

    def test_without_a_stack_the_error_says_how_to_name_one(self, strata: Shell) -> None:
        assert strata("get", "layers").exit_code == 1
        assert "-n STACK" in strata.failure

    @pytest.mark.parametrize(
        "args",
        [
            ("layer", "web", "-A"),
            ("layer/web", "-n", "todo", "-l", "a=b"),
            ("layers", "-n", "todo", "-o", "nope"),
            ("layers,stacks", "-A", "-w"),
        ],
    )
    def test_what_makes_no_sense_is_wrong_usage(self, strata: Shell, args: tuple[str, ...]) -> None:
        assert strata("get", *args).exit_code == 2


@pytest.mark.usefixtures("layers")
class TestObjects:
    def test_one_object_is_itself_and_several_are_a_list(self, strata: Shell) -> None:
        one = yaml.safe_load(strata.ok("get", "layer/web", "-n", "todo", "-o", "yaml"))
        assert (one["kind"], one["metadata"]["name"]) == ("Layer", "web")
        several = json.loads(strata.ok("get", "layers", "-n", "todo", "-o", "json"))
        assert several["kind"] == "List"
        assert [(item["kind"], item["metadata"]["name"]) for item in several["items"]] == [
            ("Layer", "db"),
            ("Layer", "web"),
        ]

    def test_an_empty_list_is_a_list_too(self, strata: Shell) -> None:
        assert json.loads(strata.ok("get", "instances", "-n", "todo", "-o", "json"))["items"] == []

    def test_names_are_kind_and_name(self, strata: Shell) -> None:
        assert strata.ok("get", "layers,stacks", "-A", "-o", "name").split() == [
            *("layer/web", "layer/db", "layer/web", "stack/other", "stack/todo")
        ]

    def test_a_template_prints_what_it_says(self, strata: Shell) -> None:
        template = '{range .items[*]}{.metadata.namespace}/{.metadata.name}{"\\n"}{end}'
        assert strata.ok("get", "layers", "-A", "-o", f"jsonpath={template}") == "other/web\ntodo/db\ntodo/web\n"

    def test_a_name_that_is_missing_prints_nothing_but_the_error(self, strata: Shell) -> None:
        result = strata("get", "layer/nope", "-n", "todo", "-o", "yaml")
        assert (result.exit_code, result.stdout) == (1, "")


class TestWatching:
    def test_a_watch_shows_what_is_there_and_every_change_until_ctrl_c(self, layers: Served, start: Start) -> None:
        watching = start("get", "layers", "-n", "todo", "-w", "--output-watch-events")
        first = [line.split()[:2] for line in lines_of(watching, 3)]
        assert first == [["EVENT", "NAME"], ["ADDED", "db"], ["ADDED", "web"]]
        layers.set_status("namespaces/todo/layers/web", desired=7)
        layers.create("Layer", "layers", "new", {}, namespace="todo")
        layers.create("Layer", "layers", "new", {}, namespace="other")
        layers.client.delete("/apis/strata.dev/v1alpha1/namespaces/todo/layers/new")
        layers.patch("namespaces/todo/layers/new", {"metadata": {"finalizers": None}})
        told = [line.split()[:3] for line in lines_of(watching, 4)]
        assert told == [
            ["MODIFIED", "web", "7"],
            ["ADDED", "new", "0"],
            ["MODIFIED", "new", "0"],
            ["DELETED", "new", "0"],
        ]
        watching.send_signal(signal.SIGINT)
        rest, errors = watching.communicate(timeout=20)
        assert (watching.returncode, rest, errors) == (130, "", "")

    def test_one_object_is_watched_as_whole_objects(self, layers: Served, start: Start) -> None:
        watching = start("get", "layer/web", "-n", "todo", "-w", "-o", "jsonpath={.metadata.name} {.status.desired}\n")
        assert lines_of(watching, 1) == ["web 0"]
        layers.set_status("namespaces/todo/layers/db", desired=1)
        layers.set_status("namespaces/todo/layers/web", desired=8)
        assert lines_of(watching, 1) == ["web 8"]

    def test_a_watch_of_a_name_that_is_missing_fails(self, layers: Served, strata: Shell) -> None:
        assert strata("get", "layer/nope", "-n", "todo", "-w").exit_code == 1
        assert layers.get("stacks")["items"]


class TestTheProcess:
    def test_output_into_a_closed_pipe_ends_quietly(self, layers: Served) -> None:
        for number in range(300):
            layers.create("Layer", "layers", f"layer-{number}", {}, namespace="todo")
        command = f"'{STRATA}' --server {layers.url} get layers -n todo -o yaml | head -n 1; echo ${{PIPESTATUS[0]}}"
        # PYTHONUNBUFFERED would let Python take a write that the pipe's end cut short for a whole one.
        plain = {"HOME": "/nowhere", "PATH": os.environ["PATH"]}
        done = subprocess.run(
            ["bash", "-c", command], env=plain, capture_output=True, text=True, check=True, timeout=60
        )
        assert done.stdout.splitlines() == ["apiVersion: v1", "141"]
        assert done.stderr == ""

    def test_a_watch_into_a_closed_pipe_ends_at_the_next_change(self, layers: Served, start: Start) -> None:
        watching = start("get", "layers", "-n", "todo", "-w")
        assert len(lines_of(watching, 1)) == 1
        assert watching.stdout is not None
        watching.stdout.close()
        for number in range(20):
            layers.create("Layer", "layers", f"layer-{number}", {}, namespace="todo")
        assert watching.wait(20) == 141
        assert watching.stderr is not None
        assert watching.stderr.read() == ""

    def test_a_pipe_gets_no_colours(self, layers: Served, start: Start) -> None:
        layers.set_status("namespaces/todo/layers/web", conditions=[_ready("True")])
        text, _ = start("get", "layers", "-n", "todo").communicate(timeout=20)
        assert "True" in text
        assert "\x1b" not in text

    def test_a_terminal_gets_colours_unless_they_are_refused(self, layers: Served) -> None:
        layers.set_status("namespaces/todo/layers/web", conditions=[_ready("True")])
        green = "\x1b[32mTrue"
        assert green in _on_a_terminal("--server", layers.url, "get", "layers", "-n", "todo")
        assert "\x1b" not in _on_a_terminal("--server", layers.url, "get", "layers", "-n", "todo", "--no-color")

    def test_no_server_is_told_with_exit_code_1(self, start: Start) -> None:
        process = start("get", "layers", "-n", "todo", "--server", "http://127.0.0.1:1")
        text, errors = process.communicate(timeout=20)
        assert (process.returncode, text) == (1, "")
        assert errors.startswith(
            "error: no Strata server answers at http://127.0.0.1:1 (from --server): connection refused"
        )
        assert "strata up" in errors


def _ready(status: str) -> dict[str, Any]:
    return {"type": "Ready", "status": status, "reason": "Ready", "lastTransitionTime": "2026-01-01T00:00:00Z"}


def _on_a_terminal(*args: str) -> str:
    """What the command prints when its standard output is a terminal."""
    code = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]))"
    environment = {"TERM": "xterm", "HOME": "/nowhere", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", code, STRATA, *args],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return done.stdout
