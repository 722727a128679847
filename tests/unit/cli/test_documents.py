"""Files become documents whose every field has its line; what cannot be read is told, and spoils nothing else."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strata.cli.documents import Document, Unreadable, read, read_all
from strata.cli.failures import CliFailure
from strata.cli.yamltext import dump

_TEXT = """\
# a comment
---
kind: Stack
metadata:
  name: todo
---
# nothing but a comment
---
kind: Layer   # line 9
metadata: {name: web, labels: {"a.b/c": x}}
spec:
  capacity:
    always: 2
  subnets:
    - id: one
    - {id: two,
       zone: z}
"""


def _documents(text: str) -> list[Document]:
    found = list(read("f.yaml", text))
    assert all(isinstance(one, Document) for one in found), found
    return [one for one in found if isinstance(one, Document)]


def _only(text: str) -> Any:
    (found,) = _documents(text)
    return found.body


def _refused(text: str) -> Unreadable:
    (found,) = read("f.yaml", text)
    assert isinstance(found, Unreadable)
    return found


def test_every_document_knows_its_file_its_number_and_its_line() -> None:
    stack, layer = _documents(_TEXT)
    assert stack.where == "f.yaml: document 1 (line 3)"
    assert layer.where == "f.yaml: document 3 (line 9)"


@pytest.mark.parametrize(
    ("field", "line"),
    [
        ("spec", 11),
        ("spec.capacity.always", 13),
        ("spec.capacity.alwys", 12),
        ("spec.subnets[0].id", 15),
        ("spec.subnets[1]", 16),
        ("spec.subnets[1].zone", 17),
        ("spec.subnets[1].cidr", 16),
        ("spec.subnets[9].id", 14),
        ('metadata.labels["a.b/c"]', 10),
        ("metadata.labels[a.b/c]", 10),
        ("status", None),
    ],
)
def test_a_wrong_field_is_found_on_its_line_or_on_its_parents(field: str, line: int | None) -> None:
    assert _documents(_TEXT)[1].line_of(field) == line


def test_a_first_document_without_a_separator_is_document_one() -> None:
    found = _documents("kind: A\n---\nkind: B\n")
    assert [(one.number, one.line, one.body["kind"]) for one in found] == [(1, 1, "A"), (2, 3, "B")]


def test_directives_before_the_first_separator_are_no_document() -> None:
    assert [one.number for one in _documents("%YAML 1.2\n---\nkind: A\n")] == [1]


def test_a_broken_document_spoils_no_other() -> None:
    found = list(read("f.yaml", "kind: A\n---\nkind: [\n---\nkind: C\n"))
    assert [type(one) for one in found] == [Document, Unreadable, Document]
    assert "f.yaml: document 2 (line " in str(found[1])


def test_a_key_said_twice_is_refused_with_its_line() -> None:
    refused = _refused("kind: A\nspec:\n  always: 1\n  always: 2\n")
    assert (refused.line, refused.why) == (4, "the key 'always' is said twice")


def test_aliases_are_refused_so_that_no_bomb_can_grow() -> None:
    bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"
    assert _refused(bomb).why == "*a: aliases are not allowed"
    assert _refused(bomb).line == 2


def test_absurd_depth_is_refused_without_overflowing_any_stack() -> None:
    assert "levels deep" in _refused("a: " + "[" * 100_000).why


@pytest.mark.parametrize("text", ["- a\n- b\n", "just words", "42"])
def test_what_is_not_a_mapping_is_refused(text: str) -> None:
    assert "an object is a mapping" in _refused(text).why


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("20:00", "20:00"),
        ("08:00", "08:00"),
        ("no", "no"),
        ("on", "on"),
        ("true", True),
        ("~", None),
        ("", None),
        ("null", None),
        ("2026-12-31", "2026-12-31"),
        ("10", 10),
        ("-3", -3),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ('"10"', "10"),
        ("'true'", "true"),
        ("!!str 10", "10"),
        ("30%", "30%"),
        ("0", 0),
        ("1.2.3", "1.2.3"),
    ],
)
def test_a_value_is_what_it_looks_like(written: str, meant: object) -> None:
    value = _only(f"a: {written}\n")["a"]
    assert value == meant
    assert type(value) is type(meant)


@pytest.mark.parametrize("written", ["010", "0x1f", "0o17", "1_000", ".inf", ".nan", "!!binary aGk=", "!thing x"])
def test_a_value_that_readers_disagree_about_is_refused(written: str) -> None:
    assert _refused(f"a: {written}\n").line == 1


def test_a_key_is_its_text_whatever_it_looks_like() -> None:
    assert _only("on: 1\nyes: 2\n80: 3\n") == {"on": 1, "yes": 2, "80": 3}


def test_json_is_read_also_where_it_is_no_yaml() -> None:
    assert _only('{"a": "\\ud83d\\ude00", "b":\t[1]}') == {"a": "😀", "b": [1]}


def test_json_that_says_a_key_twice_is_refused_too() -> None:
    assert "said twice" in _refused('{"a": "\\ud83d\\ude00", "a": 1}').why


def test_a_list_stands_for_its_items() -> None:
    text = "apiVersion: v1\nkind: List\nitems:\n- kind: A\n  spec:\n    x: 1\n- kind: B\n"
    first, second = _documents(text)
    assert (first.body["kind"], first.line, first.line_of("spec.x")) == ("A", 4, 6)
    assert (second.body["kind"], second.line) == ("B", 7)


def test_a_directory_is_read_in_the_order_of_its_names(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.json", "c.yml", "d.txt", "sub/e.yaml"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f'{{"kind": "{name}"}}')
    kinds = [one.body["kind"] for one in read_all((str(tmp_path),), recursive=False) if isinstance(one, Document)]
    deep = [one.body["kind"] for one in read_all((str(tmp_path),), recursive=True) if isinstance(one, Document)]
    assert kinds == ["a.json", "b.yaml", "c.yml"]
    assert deep == ["a.json", "b.yaml", "c.yml", "sub/e.yaml"]


def test_a_directory_without_any_such_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CliFailure, match=r"no \*\.yaml, \*\.yml, \*\.json"):
        read_all((str(tmp_path),), recursive=True)


def test_a_file_that_cannot_be_read_is_named_and_spoils_no_other(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("kind: A")
    (tmp_path / "b.yaml").write_bytes(b"a: \xff")
    (tmp_path / "c.yaml").write_bytes(b"#" * (16 * 2**20 + 1))
    (tmp_path / "d.yaml").symlink_to(tmp_path / "nowhere")
    (tmp_path / "e.yaml").write_text("kind: E")
    first, *bad, last = read_all((str(tmp_path),), recursive=False)
    assert [one.body["kind"] for one in (first, last) if isinstance(one, Document)] == ["A", "E"]
    assert all(isinstance(one, Unreadable) for one in bad)
    told = [str(one).removeprefix(f"{tmp_path}/").split(" (")[0] for one in bad]
    assert told[0].startswith("b.yaml: not UTF-8 text: ")
    assert told[1:] == ["c.yaml: more than 16 MiB", "d.yaml: No such file or directory"]


def test_a_name_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CliFailure, match=r"x\.yaml: No such file"):
        read_all((str(tmp_path / "x.yaml"),), recursive=False)


_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"], include_characters="\n\t"))
    | st.sampled_from(
        ["1e3", "0o17", "010", "20:00", "no", "y", "0x1f", "1_0", "~", "null", ".5", "+1", "- a", "a: b", "#"]
    )
)
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.dictionaries(st.text("abc01:# -", max_size=4), inner, max_size=3) | st.lists(inner, max_size=3),
)


@given(st.dictionaries(st.sampled_from(["spec", "on", "1"]), _VALUES, min_size=1))
def test_what_we_print_as_yaml_is_read_back_as_the_same(value: dict[str, Any]) -> None:
    assert _only(dump(value)) == value
