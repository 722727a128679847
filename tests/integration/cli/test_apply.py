"""apply and diff against the real API: objects become what files say, and a wrong document is told in full."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.integration.cli.conftest import Shell
from tests.integration.cli.served import Served

STACK = """\
apiVersion: strata.dev/v1alpha1
kind: Stack
metadata: {name: todo}
spec:
  region: us-east-1
  endpoint: null
  vpcId: vpc-0
  subnets: [{id: subnet-0a, zone: us-east-1a}]
"""
LAYER = """\
apiVersion: strata.dev/v1alpha1
kind: Layer
metadata:
  name: web
  namespace: todo
spec:
  capacity:
    always: 2
    max: 5
"""
WRONG = """\
apiVersion: strata.dev/v1alpha1
kind: Layer
metadata:
  name: wrong
  namespace: todo
spec:
  tipe: custom
  capacity:
    always: many
    maxx: 5
"""


def _file(directory: Path, *documents: str, name: str = "todo.yaml") -> str:
    path = directory / name
    path.write_text("---\n".join(documents))
    return str(path)


def _layer(served: Served, name: str = "web") -> dict[str, Any]:
    return served.get(f"namespaces/todo/layers/{name}")


def test_an_apply_makes_then_changes_then_leaves_alone(strata: Shell, served: Served, tmp_path: Path) -> None:
    assert strata.ok("apply", "-f", _file(tmp_path, STACK, LAYER)) == "stack/todo created\nlayer/web created in todo\n"
    changed = _file(tmp_path, STACK, LAYER.replace("always: 2", "always: 3"))
    assert strata.ok("apply", "-f", changed) == "stack/todo unchanged\nlayer/web configured in todo\n"
    before = _layer(served)
    assert before["spec"]["capacity"]["always"] == 3
    assert strata.ok("apply", "-f", changed) == "stack/todo unchanged\nlayer/web unchanged in todo\n"
    assert _layer(served) == before


def test_stacks_come_before_layers_wherever_they_stand(strata: Shell, tmp_path: Path) -> None:
    layers, stack = _file(tmp_path, LAYER, name="a.yaml"), _file(tmp_path, STACK, name="b.yaml")
    assert strata.ok("apply", "-f", layers, "-f", stack) == "stack/todo created\nlayer/web created in todo\n"


def test_what_the_file_no_longer_says_goes_and_what_others_set_stays(
    strata: Shell, served: Served, tmp_path: Path
) -> None:
    strata.ok("apply", "-f", _file(tmp_path, STACK, LAYER))
    strata.ok("scale", "layer/web", "-n", "todo", "--min", "1")
    strata.ok("label", "layer/web", "-n", "todo", "team=a")
    strata.ok("apply", "-f", _file(tmp_path, LAYER.replace("    max: 5\n", "")))
    layer = _layer(served)
    assert layer["spec"]["capacity"].items() >= {"always": 2, "min": 1}.items()
    assert layer["metadata"]["labels"] == {"team": "a"}


def test_applying_what_get_printed_changes_nothing(strata: Shell, served: Served, tmp_path: Path) -> None:
    strata.ok("apply", "-f", _file(tmp_path, STACK, LAYER))
    served.set_status("namespaces/todo/layers/web", desired=2, observedGeneration=1)
    exported = strata.ok("get", "layer/web", "-n", "todo", "-o", "yaml")
    spec = _layer(served)["spec"]
    strata.ok("apply", "-f", "-", stdin=exported)
    assert _layer(served)["spec"] == spec
    everything = strata.ok("get", "stacks,layers", "-A", "-o", "json")
    strata.ok("apply", "-f", "-", stdin=everything)
    assert strata.ok("apply", "-f", "-", stdin=everything) == "stack/todo unchanged\nlayer/web unchanged in todo\n"


def test_a_wrong_document_is_told_with_every_wrong_field_and_its_line_and_stops_no_other(
    strata: Shell, tmp_path: Path
) -> None:
    file = _file(tmp_path, STACK, WRONG, "kind: [\n", LAYER)
    result = strata("apply", "-f", file)
    assert result.exit_code == 1
    assert result.stdout == "stack/todo created\nlayer/web created in todo\n"
    assert f"error: {file}: document 2 (line 10): layer/wrong is invalid:" in result.stderr
    for place in ("line 16: spec.tipe: ", "line 18: spec.capacity.always: ", "line 19: spec.capacity.maxx: "):
        assert place in result.stderr
    assert f"error: {file}: document 3 (line " in result.stderr
    assert strata("get", "layer/wrong", "-n", "todo").exit_code == 1


def test_a_wrong_change_leaves_the_object_as_it_was(strata: Shell, served: Served, tmp_path: Path) -> None:
    strata.ok("apply", "-f", _file(tmp_path, STACK, LAYER))
    before = _layer(served)
    assert strata("apply", "-f", _file(tmp_path, LAYER.replace("always: 2", "always: -1"))).exit_code == 1
    assert _layer(served) == before


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("kind: Layer\nmetadata: {name: web}\n", "apiVersion: a text is required"),
        ("apiVersion: strata.dev/v1\nkind: Layer\nmetadata: {name: web}\n", "it serves Layer in strata.dev/v1alpha1"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: web}\n", 'no kind "Pod"'),
        ("apiVersion: strata.dev/v1alpha1\nkind: Layer\nmetadata: {name: web}\n", "belongs to a stack"),
        ("apiVersion: strata.dev/v1alpha1\nkind: Stack\nmetadata: {name: a, namespace: b}\n", "belongs to no stack"),
        ("apiVersion: strata.dev/v1alpha1\nkind: Stack\nmetadata: {}\n", "metadata.name: a text is required"),
        (
            "apiVersion: strata.dev/v1alpha1\nkind: Stack\nmetadata: {name: a, labels: {b: 1}}\n",
            "line 3: metadata.labels",
        ),
        ("a: &a [x]\nb: *a\n", "aliases are not allowed"),
        ("a: 1\na: 2\n", "the key 'a' is said twice"),
    ],
)
def test_what_is_no_object_of_ours_is_told(strata: Shell, tmp_path: Path, document: str, said: str) -> None:
    result = strata("apply", "-f", _file(tmp_path, document))
    assert result.exit_code == 1
    assert "document 1 (line 1)" in result.stderr or "document 1 (line 2)" in result.stderr
    assert said in result.stderr


def test_a_document_of_another_stack_than_the_chosen_one_is_refused(strata: Shell, tmp_path: Path) -> None:
    result = strata("apply", "-n", "other", "-f", _file(tmp_path, STACK, LAYER))
    assert result.exit_code == 1
    assert result.stdout == "stack/todo created\n"
    assert "metadata.namespace: 'todo' disagrees with -n other" in result.stderr


def test_the_chosen_stack_is_that_of_documents_that_name_none(strata: Shell, served: Served, tmp_path: Path) -> None:
    strata.ok("apply", "-n", "todo", "-f", _file(tmp_path, STACK, LAYER.replace("  namespace: todo\n", "")))
    assert _layer(served)["metadata"]["namespace"] == "todo"


@pytest.mark.parametrize(
    ("flag", "said"),
    [("--dry-run", " (server dry run)"), ("--dry-run=server", " (server dry run)"), ("--dry-run=client", " (dry run)")],
)
def test_a_dry_run_says_what_would_come_and_keeps_nothing(strata: Shell, tmp_path: Path, flag: str, said: str) -> None:
    file = _file(tmp_path, STACK, LAYER)
    assert strata.ok("apply", "-f", file, flag) == f"stack/todo created{said}\nlayer/web created in todo{said}\n"
    assert strata("get", "stacks").stdout == ""
    strata.ok("apply", "-f", file)
    again = strata.ok("apply", flag, "-f", _file(tmp_path, STACK, LAYER.replace("always: 2", "always: 3")))
    assert again == f"stack/todo unchanged{said}\nlayer/web configured in todo{said}\n"


def test_a_dry_run_judges_what_is_wrong(strata: Shell, tmp_path: Path) -> None:
    result = strata("apply", "--dry-run", "-f", _file(tmp_path, STACK, WRONG))
    assert result.exit_code == 1
    assert "spec.capacity.maxx" in result.stderr


def test_a_layer_whose_stack_was_refused_is_refused_too(strata: Shell, tmp_path: Path) -> None:
    file = _file(tmp_path, STACK.replace("region:", "regio:"), LAYER)
    for flag in ("--dry-run=server", "--dry-run=none"):
        result = strata("apply", flag, "-f", file)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "layer/web" in result.stderr


def test_an_object_that_was_not_applied_before_keeps_its_other_fields_with_a_warning(
    strata: Shell, served: Served, tmp_path: Path
) -> None:
    strata.ok("apply", "-f", _file(tmp_path, STACK))
    served.create("Layer", "layers", "web", {"capacity": {"always": 1, "min": 1}}, namespace="todo")
    result = strata("apply", "-f", _file(tmp_path, LAYER))
    assert (result.exit_code, result.stdout) == (0, "layer/web configured in todo\n")
    assert "not made by `strata apply`" in result.stderr
    assert _layer(served)["spec"]["capacity"].items() >= {"always": 2, "min": 1, "max": 5}.items()


@pytest.mark.parametrize("name", ["absent.yaml", "."])
def test_a_file_that_cannot_be_read_ends_the_run_before_anything_is_done(
    strata: Shell, tmp_path: Path, name: str
) -> None:
    good = tmp_path / "good"
    good.mkdir()
    result = strata("apply", "-f", _file(good, STACK), "-f", str(tmp_path / name))
    assert result.exit_code == 1
    assert strata("get", "stacks").stdout == ""


def test_a_file_of_a_directory_that_cannot_be_read_is_told_and_stops_no_other(strata: Shell, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"a: \xff")
    _file(tmp_path, STACK, name="b.yaml")
    result = strata("apply", "-f", str(tmp_path))
    assert (result.exit_code, result.stdout) == (1, "stack/todo created\n")
    assert "a.yaml: not UTF-8 text" in result.stderr


def test_an_apply_can_print_what_came_of_it(strata: Shell, tmp_path: Path) -> None:
    file = _file(tmp_path, STACK)
    assert yaml.safe_load(strata.ok("apply", "-f", file, "-o", "yaml"))["metadata"]["uid"]
    assert strata.ok("apply", "-f", file, "-o", "name") == "stack/todo\n"


def test_a_diff_shows_what_an_apply_would_change_and_nothing_else(
    strata: Shell, served: Served, tmp_path: Path
) -> None:
    file = _file(tmp_path, STACK, LAYER)
    new = strata("diff", "-f", file)
    assert new.exit_code == 1
    assert "+++ applied/layer/web" in new.stdout
    strata.ok("apply", "-f", file)
    before = _layer(served)
    same = strata("diff", "-f", file)
    assert (same.exit_code, same.stdout) == (0, "")
    changed = strata(
        "diff", "-f", _file(tmp_path, STACK, LAYER.replace("always: 2", "always: 3").replace("    max: 5\n", ""))
    )
    assert changed.exit_code == 1
    lines = [line for line in changed.stdout.splitlines() if line[0] in "+-" and line[:3] not in ("+++", "---")]
    assert lines == ["-    always: 2", "-    max: 5", "+    always: 3"]
    assert _layer(served) == before


def test_a_diff_of_a_wrong_document_has_exit_code_2(strata: Shell, tmp_path: Path) -> None:
    assert strata("diff", "-f", _file(tmp_path, STACK, WRONG)).exit_code == 2
    assert strata("diff", "-f", str(tmp_path / "absent")).exit_code == 2


def test_a_memory_of_the_last_apply_that_somebody_broke_fails_that_object_alone(
    strata: Shell, served: Served, tmp_path: Path
) -> None:
    strata.ok("apply", "-f", _file(tmp_path, STACK, LAYER))
    served.patch("namespaces/todo/layers/web", {"metadata": {"annotations": {"strata.dev/last-applied": "{"}}})
    result = strata("apply", "-f", _file(tmp_path, LAYER, LAYER.replace("name: web", "name: db")))
    assert (result.exit_code, result.stdout) == (1, "layer/db created in todo\n")
    assert "strata.dev/last-applied of the live object is not JSON" in result.stderr
