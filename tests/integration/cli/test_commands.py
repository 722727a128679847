"""The other commands against the real API."""

import json
import re
import stat
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.integration.cli.conftest import STRATA, Shell, Start, lines_of
from tests.integration.cli.served import Served

Json = dict[str, Any]

_SPEC = {"region": "us-east-1", "vpcId": "vpc-0", "subnets": [{"id": "subnet-0a", "zone": "us-east-1a"}]}
_WEB = "namespaces/todo/layers/web"


@pytest.fixture
def todo(served: Served, strata: Shell) -> Served:
    """Stack todo with layer web and its instance web-1; todo is the chosen stack."""
    strata.environment["STRATA_NAMESPACE"] = "todo"
    served.create("Stack", "stacks", "todo", _SPEC)
    served.create("Layer", "layers", "web", {"capacity": {"always": 2}}, namespace="todo")
    served.create_slot("todo", "web-1", "web")
    return served


def _condition(type_: str, status: str, reason: str, message: str = "", generation: int = 1) -> Json:
    return {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": generation,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }


def _let_go(served: Served, path: str) -> None:
    """What the controller does at the end of a deletion."""
    served.patch(path, {"metadata": {"finalizers": None}})


class TestDelete:
    def test_it_waits_until_the_object_is_gone(self, todo: Served, start: Start) -> None:
        deleting = start("delete", "layer/web", "-n", "todo")
        assert lines_of(deleting, 1) == ["layer/web deleted in todo"]
        assert deleting.poll() is None
        assert todo.get(_WEB)["metadata"]["deletionTimestamp"]
        _let_go(todo, _WEB)
        text, errors = deleting.communicate(timeout=20)
        assert (deleting.returncode, text, errors) == (0, "", "")

    def test_it_gives_up_waiting_in_time_and_says_so(self, todo: Served, strata: Shell) -> None:
        result = strata("delete", "layer", "web", "--timeout=1s")
        assert (result.exit_code, result.stdout) == (1, "layer/web deleted in todo\n")
        assert strata.failure == "timed out waiting for the end of layer/web"
        assert todo.get(_WEB)["metadata"]["deletionTimestamp"]

    def test_it_need_not_wait(self, todo: Served, strata: Shell) -> None:
        assert strata.ok("delete", "layer", "web", "--wait=false") == "layer/web deleted in todo\n"
        assert todo.get(_WEB)["metadata"]["deletionTimestamp"]

    def test_another_object_of_the_same_name_does_not_keep_it_waiting(self, todo: Served, start: Start) -> None:
        deleting = start("delete", "layer/web", "-n", "todo", "--wait")
        assert lines_of(deleting, 1) == ["layer/web deleted in todo"]
        _let_go(todo, _WEB)
        todo.create("Layer", "layers", "web", {}, namespace="todo")
        assert deleting.wait(20) == 0

    def test_files_are_deleted_dependents_first(self, todo: Served, strata: Shell, tmp_path: Path) -> None:
        file = tmp_path / "f.yaml"
        head = "apiVersion: strata.dev/v1alpha1\nmetadata: {name: %s}\nkind: %s\n"
        file.write_text(head % ("todo", "Stack") + "---\n" + head % ("web", "Layer"))
        assert strata.ok("delete", "-f", str(file), "--wait=false") == "layer/web deleted in todo\nstack/todo deleted\n"
        assert todo.get("stacks/todo")["metadata"]["deletionTimestamp"]

    def test_a_selector_or_all_must_be_said(self, todo: Served, strata: Shell) -> None:
        assert strata("delete", "layers").exit_code == 2
        todo.create("Layer", "layers", "db", {}, namespace="todo", labels={"a": "b"})
        assert strata.ok("delete", "layers", "-l", "a=b", "--wait=false") == "layer/db deleted in todo\n"
        assert strata.ok("delete", "layers", "--all", "--wait=false", "--dry-run") == (
            "layer/db deleted in todo (server dry run)\nlayer/web deleted in todo (server dry run)\n"
        )
        assert "deletionTimestamp" not in todo.get(_WEB)["metadata"]

    def test_what_is_not_there_is_told_and_fails_unless_that_is_wanted(self, todo: Served, strata: Shell) -> None:
        result = strata("delete", "layer", "nope", "web", "--wait=false")
        assert (result.exit_code, result.stdout) == (1, "layer/web deleted in todo\n")
        assert '"nope" not found' in result.stderr
        assert strata("delete", "layer", "nope", "--ignore-not-found").exit_code == 0
        assert todo.get(_WEB)["metadata"]["deletionTimestamp"]


class TestWait:
    def test_a_condition_of_the_present_generation_ends_it(self, todo: Served, start: Start) -> None:
        todo.patch(_WEB, {"spec": {"capacity": {"always": 3}}})
        todo.set_status(_WEB, conditions=[_condition("Ready", "True", "Ready", generation=1)])
        waiting = start("wait", "layer/web", "-n", "todo", "--for=condition=Ready", "--timeout=30s")
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(1.5)  # what is true of generation 1 says nothing about generation 2
        todo.set_status(_WEB, conditions=[_condition("Ready", "True", "Ready", generation=2)])
        text, errors = waiting.communicate(timeout=20)
        assert (waiting.returncode, text, errors) == (0, "layer/web condition met\n", "")

    def test_all_of_a_kind_in_all_stacks_are_waited_for(self, todo: Served, strata: Shell) -> None:
        todo.create("Stack", "stacks", "other", _SPEC)
        todo.create("Layer", "layers", "db", {}, namespace="other")
        timer = threading.Timer(0.5, lambda: todo.set_status("namespaces/other/layers/db", desired=5))
        timer.start()
        todo.set_status(_WEB, desired=5)
        text = strata.ok("wait", "layers", "--all", "-A", "--for=jsonpath={.status.desired}=5", "--timeout=20s")
        assert sorted(text.splitlines()) == ["layer/db condition met", "layer/web condition met"]
        timer.join()

    def test_time_that_runs_out_is_exit_code_1(self, todo: Served, strata: Shell) -> None:
        assert strata("wait", "layer/web", "--for=condition=Ready", "--timeout=1s").exit_code == 1
        assert strata.failure == "timed out waiting for condition=Ready on layer/web"
        assert strata("wait", "layer/web", "--for=condition=Ready", "--timeout=0").exit_code == 1
        assert todo.get(_WEB)

    @pytest.mark.parametrize("command", [("wait", "layer/web", "--for=delete"), ("delete", "layer/web")])
    def test_a_time_that_is_none_is_wrong_usage(self, todo: Served, strata: Shell, command: tuple[str, ...]) -> None:
        assert strata(*command, "--timeout", "5x").exit_code == 2
        assert "deletionTimestamp" not in todo.get(_WEB)["metadata"]

    def test_the_end_of_what_is_not_there_needs_no_waiting(self, todo: Served, strata: Shell) -> None:
        assert strata.ok("wait", "layer/nope", "--for=delete") == "layer/nope condition met\n"
        assert strata.ok("wait", "instances", "--all", "-A", "-l", "no=such", "--for=delete") == ""
        assert strata("wait", "layer/nope", "--for=condition=Ready").exit_code == 1
        assert strata("wait", "layers", "--all", "-l", "no=such", "--for=condition=Ready").exit_code == 1
        assert todo.get(_WEB)

    def test_an_object_that_goes_while_it_is_waited_for_is_an_error(self, todo: Served, start: Start) -> None:
        waiting = start("wait", "layer/web", "-n", "todo", "--for=condition=Ready", "--timeout=20s")
        todo.client.delete(f"/apis/strata.dev/v1alpha1/{_WEB}")
        _let_go(todo, _WEB)
        _, errors = waiting.communicate(timeout=20)
        assert waiting.returncode == 1
        assert "not found" in errors

    def test_the_birth_of_an_object_can_be_waited_for(self, todo: Served, start: Start) -> None:
        waiting = start("wait", "layer/db", "-n", "todo", "--for=create", "--timeout=20s")
        todo.create("Layer", "layers", "db", {}, namespace="todo")
        assert waiting.wait(20) == 0


class TestTelling:
    def test_describe_tells_state_conditions_members_and_events(self, todo: Served, strata: Shell) -> None:
        layer = todo.set_status(
            _WEB,
            observedGeneration=1,
            desired=2,
            because=[{"rule": "always", "instances": 2}],
            instances={"online": 1},
            conditions=[_condition("Ready", "False", "Converging", "1 of 2 online")],
        )
        ec2 = {"instanceId": "i-1", "state": "running", "type": "t3.small", "zone": "us-east-1a"}
        todo.set_status("namespaces/todo/instances/web-1", phase="online", ec2=ec2)
        todo.add_event(layer, "ScaledOut", "2 slots added")
        lines = [" ".join(line.split()) for line in strata.ok("describe", "layer", "web").splitlines()]
        assert "Desired: 2 = 2 always" in lines
        assert "Instances: 1 online" in lines
        assert any(line.startswith("Ready False Converging") and line.endswith("1 of 2 online") for line in lines)
        assert any(line.startswith("web-1 online i-1 t3.small us-east-1a <none>") for line in lines)
        assert any(line.startswith("Normal ScaledOut") and line.endswith("2 slots added") for line in lines)
        assert "last-applied" not in "".join(lines)

    def test_describe_and_why_tell_of_the_load(self, todo: Served, strata: Shell) -> None:
        signals = [
            {"name": "queue", "prometheus": {"source": "main", "query": "jobs"}, "up": 60, "down": 5},
            {"name": "backlog", "cloudwatchAlarm": "web-backlog"},
            {"name": "idle", "cloudwatchAlarm": "web-idle", "scales": "down"},
        ]
        load = {"up": {"cpuPercent": 80}, "down": {"cpuPercent": 30}, "signals": signals}
        todo.patch(_WEB, {"spec": {"capacity": {"max": 6, "load": load}}})
        sample = {"at": "2026-11-23T18:53:00Z", "change": 1, "message": "cpuPercent 84.2 >= 80 for 5m: adds 1"}
        todo.set_status(
            _WEB, observedGeneration=2, load={"extra": 1, "lastUpAt": "2026-11-23T18:53:10Z", "sample": sample}
        )
        lines = [" ".join(line.split()) for line in strata.ok("describe", "layer", "web").splitlines()]
        at = lines.index(
            "Load: adds 1 when any of cpuPercent >= 80, queue >= 60, backlog in ALARM for 5m; then waits 5m"
        )
        down = "removes 1 when all of cpuPercent <= 30, queue <= 5, backlog OK, idle in ALARM for 10m; then waits 10m"
        assert lines[at + 1 : at + 3] == [down, "adds 1 now"]
        assert lines[at + 3].startswith("changed last: cpuPercent 84.2 >= 80 for 5m: adds 1, at 2026-11-23T18:53:10Z (")
        assert "by load it adds 1 now" in strata.ok("why", "layer/web")

    def test_describe_tells_of_a_target(self, todo: Served, strata: Shell) -> None:
        signals = [{"name": "queue", "prometheus": {"source": "main", "query": "jobs"}}]
        load = {"signals": signals, "target": {"signal": "queue", "value": 100, "perInstance": True}}
        todo.patch(_WEB, {"spec": {"capacity": {"max": 6, "load": load}}})
        told = strata.ok("describe", "layer", "web")
        assert "holds queue at 100 an instance: adds after 5m, removes after 10m" in told

    def test_empty_texts_and_fractions_of_seconds_are_left_out(self, todo: Served, strata: Shell) -> None:
        todo.patch(_WEB, {"spec": {"instance": {"image": {"id": "ami-0"}}}})
        told = strata.ok("describe", "layer/web")
        shown = strata.ok("get", "layer/web", "-o", "yaml")
        assert "id: ami-0" in told
        assert "id: ami-0" in shown
        assert "''" not in told + shown
        assert re.search(r"Created: +\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \(", told)

    def test_describe_tells_of_stacks_and_instances(self, todo: Served, strata: Shell) -> None:
        todo.add_event(todo.get("stacks/todo"), "Paused", "nothing is changed")
        stack = strata.ok("describe", "stack/todo")
        assert "Layers:\n  NAME" in stack
        assert "nothing is changed" in stack
        assert "Phase:" in strata.ok("describe", "instance/web-1")
        both = strata.ok("describe", "instances", "-A")
        assert "Name:" in both
        assert strata("describe", "layer/nope").exit_code == 1

    def test_why_tells_the_sum_and_what_is_held_back(self, todo: Served, strata: Shell) -> None:
        todo.patch("stacks/todo", {"spec": {"paused": True}})
        todo.set_status(
            _WEB,
            observedGeneration=1,
            desired=3,
            because=[{"rule": "always", "instances": 2}, {"rule": "min", "instances": 1}],
            instances={"online": 1, "start_failed": 1},
            conditions=[_condition("Protected", "True", "TooManyUnhealthy", "2 failing")],
        )
        failures = {"count": 3, "lastAt": "2026-01-01T00:00:00Z", "reason": "LaunchFailed", "message": "no capacity"}
        todo.set_status("namespaces/todo/instances/web-1", phase="start_failed", failures=failures)
        text = strata.ok("why", "layer/web")
        assert "layer/web wants 3 = 2 always + 1 min" in text
        assert "it has 1 online, 1 start_failed" in text
        assert "stack/todo is paused" in text
        assert "Protected is True: TooManyUnhealthy: 2 failing" in text
        assert "instance/web-1: failed 3 times" in text
        assert "LaunchFailed: no capacity" in strata.ok("why", "instance/web-1")

    def test_why_names_the_fault_of_the_stack_that_holds_a_layer_back(self, todo: Served, strata: Shell) -> None:
        faults = [
            _condition("Ready", "False", "SubnetNotFound", "there is no subnet-0a"),
            _condition("CloudReachable", "False", "Unauthorized", "EC2 refuses the credentials"),
        ]
        todo.set_status("stacks/todo", conditions=faults)
        held = strata.ok("why", "layer/web").split("held back:\n")[1]
        assert "EC2 cannot be read: Unauthorized: EC2 refuses the credentials\n" in held
        assert "stack/todo is not ready: SubnetNotFound: there is no subnet-0a\n" in held
        todo.set_status("stacks/todo", conditions=[_condition("Ready", "False", "Converging", "not ready: web")])
        assert "nothing is held back" in strata.ok("why", "layer/web")

    def test_why_calls_no_failure_of_a_slot_that_has_a_machine_again_held_back(
        self, todo: Served, strata: Shell
    ) -> None:
        failures = {"count": 1, "lastAt": "2026-01-01T00:00:00Z", "reason": "LaunchFailed", "message": "No. Ask AWS."}
        path = "namespaces/todo/instances/web-1"
        todo.set_status(path, phase="booting", failures=failures, ec2={"instanceId": "i-1", "state": "running"})
        assert "nothing is held back" in strata.ok("why", "layer/web")
        message = "failed 1 times, next launch at 12:00:00Z: No."
        launched = _condition("Launched", "False", "BackingOff", message)
        todo.set_status(path, phase="start_failed", ec2=None, conditions=[launched])
        text = strata.ok("why", "layer/web")
        assert re.search(r"web-1: failed once, last \w+ ago; next launch at 12:00:00Z: LaunchFailed: No\.\n", text)

    def test_why_tells_a_shortage_in_one_line_with_the_places_that_were_asked(
        self, todo: Served, strata: Shell
    ) -> None:
        text = "We currently do not have sufficient t3.small capacity in us-east-1a. Our system will be working on it."
        launched = _condition("Launched", "False", "InsufficientInstanceCapacity", text)
        todo.set_status("namespaces/todo/instances/web-1", phase="requested", conditions=[launched])
        todo.add_event(todo.get(_WEB), "InsufficientInstanceCapacity", f"1 x t3.small in us-east-1a: Insu: {text}")
        for target in ("layer/web", "instance/web-1"):
            (line,) = [one for one in strata.ok("why", target).splitlines() if "no machine: EC2" in one]
            assert "(asked last: t3.small in us-east-1a); refused places are asked again within five minutes" in line
            assert line.endswith("sufficient t3.small capacity in us-east-1a.")

    def test_why_says_that_hand_made_members_do_not_count(self, todo: Served, strata: Shell) -> None:
        assert "hand-made" not in strata.ok("why", "layer/web")
        todo.create("Instance", "instances", "mine", {"layers": ["web"]}, namespace="todo")
        assert "\n1 hand-made instance does not count\n" in strata.ok("why", "layer/web")
        assert "it is hand-made" in strata.ok("why", "instance/mine")

    def test_why_of_a_stack_tells_the_layers_that_are_not_ready(self, todo: Served, strata: Shell) -> None:
        todo.create("Layer", "layers", "db", {}, namespace="todo")
        todo.set_status(_WEB, desired=3, conditions=[_condition("Ready", "False", "Converging", "1 of 3 online")])
        todo.set_status("namespaces/todo/layers/db", desired=1, conditions=[_condition("Ready", "True", "Ready")])
        todo.set_status("stacks/todo", instances={"online": 2, "booting": 1})
        text = strata.ok("why", "stack/todo")
        assert text.startswith("stack/todo wants 4 in 2 layers\nit has 2 online, 1 booting\nnot ready:\n  layer/web:")
        assert "Converging: 1 of 3 online" in text
        assert "layer/db" not in text

    def test_why_has_an_answer_while_nothing_is_known_yet(self, todo: Served, strata: Shell) -> None:
        assert "not decided yet" in strata.ok("why", "ly", "web")
        assert "it has no machine" in strata.ok("why", "instance/web-1")
        assert "layer/web: not looked at yet" in strata.ok("why", "stack/todo")
        assert strata("why", "events/x").exit_code == 2
        assert todo.get(_WEB)

    def test_events_are_in_the_order_of_time_and_may_be_chosen(self, todo: Served, strata: Shell) -> None:
        layer, stack = todo.get(_WEB), todo.get("stacks/todo")
        todo.add_event(layer, "Second", "b", warning=True, age_s=60)
        todo.add_event(stack, "First", "a", age_s=600)
        todo.add_event(layer, "Third", "c", age_s=1)

        def reasons(*args: str) -> list[str]:
            return [line.split()[2] for line in strata.ok("events", "--no-headers", *args).splitlines()]

        assert reasons() == ["First", "Second", "Third"]
        assert reasons("--types=Warning") == ["Second"]
        assert reasons("--for", "layer/web") == ["Second", "Third"]
        assert reasons("--for", "stack/todo") == ["First"]
        assert [line.split()[0] for line in strata.ok("events", "-A").splitlines()][1:] == ["todo"] * 3
        assert len(json.loads(strata.ok("events", "-o", "json"))["items"]) == 3
        assert "Third" in strata.ok("get", "events")

    def test_events_are_followed(self, todo: Served, start: Start) -> None:
        layer = todo.get(_WEB)
        todo.add_event(layer, "First", "a")
        watching = start("events", "-n", "todo", "-w", "--no-headers")
        assert lines_of(watching, 1)[0].endswith("a")
        todo.add_event(layer, "Second", "b")
        assert lines_of(watching, 1)[0].endswith("b")

    def test_explain_tells_of_fields_and_of_a_field_that_is_none(self, todo: Served, strata: Shell) -> None:
        text = strata.ok("explain", "layer.spec.capacity.always")
        assert "FIELD:    spec.capacity.always <integer>" in text
        assert "Default: 0" in text
        assert "capacity <Object>" in strata.ok("explain", "ly", "--recursive")
        assert "id <string> -required-" in strata.ok("explain", "stacks.spec.subnets")
        assert strata("explain", "layer.spec.nope").exit_code == 1
        assert 'layer.spec has no field "nope"; it has: capacity' in strata.failure
        assert todo.get(_WEB)

    def test_the_kinds_and_versions_are_told(self, todo: Served, strata: Shell) -> None:
        rows = [line.split() for line in strata.ok("api-resources", "--no-headers").splitlines()]
        assert ["layers", "ly", "strata.dev/v1alpha1", "true", "Layer"] in rows
        assert len({row[0] for row in rows}) == len(rows)
        found = json.loads(strata.ok("version", "-o", "json"))
        assert found["serverVersion"]["gitVersion"] == "v0.0-test"
        assert todo.url in strata.ok("version")


class TestChanging:
    def test_scale_sets_what_is_said_and_nothing_else(self, todo: Served, strata: Shell) -> None:
        assert strata.ok("scale", "layer/web", "--always", "7", "--max", "9") == "layer/web scaled 2 -> 7\n"
        assert strata.ok("scale", "layer", "web", "--min", "1") == "layer/web scaled: 7, as before\n"
        assert todo.get(_WEB)["spec"]["capacity"].items() >= {"always": 7, "min": 1, "max": 9}.items()

    def test_scale_says_which_rules_have_a_say_as_well(self, todo: Served, strata: Shell) -> None:
        load = {"up": {"cpuPercent": 80}}
        windows = [{"name": "day", "from": "08:00", "to": "20:00", "instances": 2}]
        todo.patch(_WEB, {"spec": {"capacity": {"max": 9, "load": load, "schedule": windows}}})
        said = "layer/web scaled: 2 always, plus its windows and its load; at least 0, at most 4\n"
        assert strata.ok("scale", "layer/web", "--max", "4") == said

    def test_scale_says_what_min_and_max_make_of_the_number(self, todo: Served, strata: Shell) -> None:
        strata.ok("scale", "layer/web", "--min", "1", "--max", "2")
        said = "layer/web scaled: 2 of the 99 asked for, its max is 2\n"
        assert strata.ok("scale", "layer/web", "--always", "99") == said
        said = "layer/web scaled: 1 instead of the 0 asked for, its min is 1\n"
        assert strata.ok("scale", "layer/web", "--always", "0") == said
        assert todo.get(_WEB)["spec"]["capacity"].items() >= {"always": 0, "min": 1, "max": 2}.items()

    @pytest.mark.parametrize("args", [("stack/todo",), ("stack", "todo")])
    def test_a_stack_cannot_be_scaled_and_is_told_so(self, strata: Shell, args: tuple[str, ...]) -> None:
        assert strata("scale", *args, "--always", "1").exit_code == 1
        assert strata.failure == "a stack cannot be scaled; a layer can: layer/NAME"

    def test_a_number_that_is_none_is_told_plainly(self, strata: Shell) -> None:
        assert "'x' is not a number of machines" in strata("scale", "layer/web", "--always=x").stderr

    @pytest.mark.parametrize("args", [("layer/web",), ("layer/web", "--always=-1"), ("layer/web", "--always=x")])
    def test_scale_without_a_number_is_wrong_usage(self, strata: Shell, args: tuple[str, ...]) -> None:
        assert strata("scale", *args).exit_code == 2

    def test_a_number_that_the_server_refuses_is_told(self, todo: Served, strata: Shell) -> None:
        assert strata("scale", "layer/web", "--always", "999999").exit_code == 1
        assert "spec.capacity.always" in strata.failure
        assert strata("scale", "instance/web-1", "--always", "1").exit_code == 1
        assert todo.get(_WEB)["spec"]["capacity"]["always"] == 2

    def test_a_stack_is_paused_and_resumed(self, todo: Served, strata: Shell) -> None:
        assert strata.ok("pause", "stack/todo") == "stack/todo paused\n"
        assert todo.get("stacks/todo")["spec"]["paused"] is True
        assert strata.ok("pause", "todo") == "stack/todo already paused\n"
        assert strata.ok("resume", "stack", "todo") == "stack/todo resumed\n"
        assert todo.get("stacks/todo")["spec"]["paused"] is False

    def test_labels_and_annotations_are_set_and_removed(self, todo: Served, strata: Shell) -> None:
        assert strata.ok("label", "layer/web", "a=1", "b=2") == "layer/web labeled\n"
        assert strata("label", "layer/web", "a=3").exit_code == 1
        strata.ok("label", "layer", "web", "a=3", "b-", "--overwrite")
        strata.ok("annotate", "layer/web", "note=hello there")
        metadata = todo.get(_WEB)["metadata"]
        assert (metadata["labels"], metadata["annotations"]["note"]) == ({"a": "3"}, "hello there")

    def test_an_edit_changes_what_the_editor_changed(
        self, todo: Served, strata: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("VISUAL", _editor(tmp_path, "s/always: 2/always: 4/"))
        assert strata.ok("edit", "layer/web") == "layer/web edited\n"
        assert todo.get(_WEB)["spec"]["capacity"]["always"] == 4
        assert strata.ok("edit", "layer/web") == "layer/web unchanged\n"

    def test_an_edit_that_the_server_refuses_keeps_the_text(
        self, todo: Served, strata: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("VISUAL", _editor(tmp_path, "s/always: 2/always: many/"))
        assert strata("edit", "layer/web").exit_code == 1
        assert "spec.capacity.always" in strata.failure
        kept = Path(strata.failure.rpartition(" ")[2])
        assert "always: many" in kept.read_text()
        kept.unlink()
        assert todo.get(_WEB)["spec"]["capacity"]["always"] == 2

    def test_orphans_are_listed_adopted_and_deleted(self, todo: Served, strata: Shell) -> None:
        assert strata("orphans", "list").stderr == "No orphans.\n"
        todo.add_orphan("i-1", "todo")
        todo.add_orphan("i-2", "todo")
        assert strata.ok("orphans", "adopt", "i-1", "--into", "layer/web") == "i-1 will be adopted into layer/web\n"
        assert strata.ok("orphans", "delete", "i-2") == "i-2 will be terminated\n"
        decisions = {
            item["instanceId"]: (item["decision"], item["adoptInto"])
            for item in json.loads(strata.ok("orphans", "list", "-o", "json"))["items"]
        }
        assert decisions == {"i-1": ("adopt", "web"), "i-2": ("delete", "")}
        rows = strata.ok("orphans", "list", "--no-headers").splitlines()
        assert ["adopt into web" in row for row in rows] == [True, False]
        assert strata("orphans", "delete", "i-9").exit_code == 1


def _editor(directory: Path, change: str) -> str:
    script = directory / "editor"
    script.write_text(f"#!/bin/sh\nexec sed -i '{change}' \"$1\"\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return str(script)


class TestCompletion:
    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_there_is_a_script_for_every_shell(self, strata: Shell, shell: str) -> None:
        assert "_STRATA_COMPLETE" in strata.ok("completion", shell)

    @pytest.mark.parametrize(
        ("words", "proposed"),
        [
            (["sca"], ["scale"]),
            (["get", "inst"], ["instance", "instances"]),
            (["get", "layers", "-n", "todo", "w"], ["web"]),
            (["-n", "todo", "get", "layer/"], ["layer/web"]),
            (["scale", "-n", "todo", "layer/w"], ["layer/web"]),
            (["pause", "t"], ["todo"]),
            (["-n", "to"], ["todo"]),
            (["get", "layers", "-n", "nowhere", ""], []),
        ],
    )
    def test_commands_kinds_and_names_are_proposed(self, todo: Served, words: list[str], proposed: list[str]) -> None:
        assert _proposed(todo.url, words) == proposed

    def test_without_a_server_there_are_no_proposals_and_no_complaints(self) -> None:
        assert _proposed("http://127.0.0.1:1", ["get", "layers", "-n", "todo", ""]) == []


def _proposed(url: str, words: list[str]) -> list[str]:
    """What the shell is told, by the real console script as the completion script runs it."""
    environment = {
        "STRATA_SERVER": url,
        "HOME": "/nowhere",
        "_STRATA_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(["strata", *words]),
        "COMP_CWORD": str(len(words)),
    }
    done = subprocess.run([STRATA], env=environment, capture_output=True, text=True, check=False, timeout=30)
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]
