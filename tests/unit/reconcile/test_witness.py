"""The file that remembers, outside of the store, how far the store was."""

from pathlib import Path

import pytest

from strata.reconcile import identity
from strata.reconcile.identity import FileWitness

TESTIMONY = identity.Testimony("cluster", 2, 500)


def test_what_was_testified_is_recalled(tmp_path: Path) -> None:
    path = tmp_path / "data" / "witness.json"
    FileWitness(path).testify(TESTIMONY)
    assert FileWitness(path).recall() == TESTIMONY
    assert [file.name for file in path.parent.iterdir()] == ["witness.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"cluster_id": "c"}', '{"cluster_id": "c", "surprise": 1}', "\xff"])
def test_what_cannot_be_read_is_no_testimony(tmp_path: Path, text: str) -> None:
    path = tmp_path / "witness.json"
    path.write_bytes(text.encode("latin-1"))
    assert FileWitness(path).recall() is None


def test_a_place_that_cannot_be_read_is_no_testimony_and_one_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    witness = FileWitness(tmp_path / "file" / "witness.json")
    assert witness.recall() is None
    with pytest.raises(OSError, match="file"):
        witness.testify(TESTIMONY)


@pytest.mark.parametrize(
    ("other", "is_before"),
    [
        (identity.Testimony("cluster", 2, 501), True),
        (identity.Testimony("cluster", 3, 1), True),
        (identity.Testimony("cluster", 2, 500), False),
        (identity.Testimony("cluster", 1, 900), False),
    ],
)
def test_a_raised_incarnation_is_further_than_any_revision(other: identity.Testimony, is_before: bool) -> None:  # noqa: FBT001 - a table
    assert TESTIMONY.is_before(other) == is_before
