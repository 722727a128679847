"""What makes a checkout ready: the locks, the bootstrap, the packages of the tests."""

import contextlib
import importlib.machinery
import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]


def script(name: str) -> ModuleType:
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), str(ROOT / "scripts" / name))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def normal(requirement: str) -> str:
    """The package's name in `Some_Thing[extra]>=1; marker`."""
    return re.split(r"[\s\[<>=!~;]", requirement)[0].lower().replace("_", "-")


def locked(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text().splitlines()
    pins = (re.match(r"^([\w.-]+)==([^\s;\\]+)", line) for line in lines)
    return {pin[1]: pin[2] for pin in pins if pin}


PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUNTIME = {normal(one) for one in PROJECT["project"]["dependencies"]}
EMBEDDED = {normal(one) for one in PROJECT["project"]["optional-dependencies"]["embedded"]}
GROUPS = PROJECT["dependency-groups"]
BUILD = {normal(one) for one in GROUPS["build"]}
DEV = {normal(one) for one in GROUPS["dev"] if isinstance(one, str)}


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        ("requirements.lock", RUNTIME),
        ("requirements-local.lock", RUNTIME | EMBEDDED | BUILD),
        ("requirements-dev.lock", RUNTIME | EMBEDDED | BUILD | DEV),
    ],
)
def test_every_lock_has_what_the_project_asks_for_and_a_hash_of_each(lock: str, wanted: set[str]) -> None:
    """Where this fails: make lock."""
    pins = locked(lock)
    assert wanted - set(pins) == set()
    assert (ROOT / lock).read_text().count("==") <= (ROOT / lock).read_text().count("--hash=sha256:")


def test_what_is_tested_is_what_runs() -> None:
    """Where this fails: make lock."""
    small, middle, large = map(locked, ("requirements.lock", "requirements-local.lock", "requirements-dev.lock"))
    assert small.items() <= middle.items() <= large.items()


def test_the_image_has_neither_the_embedded_etcd_nor_anything_that_builds() -> None:
    assert set(locked("requirements.lock")) & (EMBEDDED | BUILD) == set()


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-local.lock", "requirements-dev.lock"])
def test_no_lock_names_a_place_to_get_packages_from(lock: str) -> None:
    assert not re.search(r"://|--index|--find-links", (ROOT / lock).read_text())


@pytest.fixture
def bootstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The bootstrap of a small checkout of its own."""
    module = script("bootstrap")
    (tmp_path / "scripts").mkdir()
    for name in ("requirements-local.lock", "requirements-dev.lock", "pyproject.toml", "scripts/bootstrap"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(module, "STAMP", tmp_path / ".venv" / "stamp")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").touch()
    return module


def test_the_tests_environment_serves_the_rest_as_well_but_not_the_other_way(bootstrap: ModuleType) -> None:
    made_from = bootstrap.fingerprint("3.11")
    bootstrap.STAMP.write_text(f"dev {made_from}\n")
    assert bootstrap.is_made("dev", made_from)
    assert bootstrap.is_made("local", made_from)
    bootstrap.STAMP.write_text(f"local {made_from}\n")
    assert not bootstrap.is_made("dev", made_from)


@pytest.mark.parametrize("stamp", ["", "dev", "dev one two"])
def test_a_torn_stamp_is_none(bootstrap: ModuleType, stamp: str) -> None:
    bootstrap.STAMP.write_text(stamp)
    assert not bootstrap.is_made("dev", bootstrap.fingerprint("3.11"))


@pytest.mark.parametrize("changed", ["requirements-local.lock", "requirements-dev.lock", "pyproject.toml"])
def test_a_changed_lock_or_project_makes_it_anew(bootstrap: ModuleType, changed: str) -> None:
    before = bootstrap.fingerprint("3.11")
    with (bootstrap.ROOT / changed).open("a") as file:
        file.write("# more\n")
    assert bootstrap.fingerprint("3.11") != before
    assert bootstrap.fingerprint("3.12") != bootstrap.fingerprint("3.11")


def test_the_first_pip_is_checked_against_its_hash_too(bootstrap: ModuleType) -> None:
    lines = bootstrap.pip_lock().read_text().splitlines()
    assert lines[0].startswith("pip==")
    assert all(line.strip().startswith(("--hash=sha256:", "#")) for line in lines[1:])
    assert "--hash" in lines[1]


def test_installing_a_package_starts_no_service_and_puts_back_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = script("test-packages")
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(packages, "POLICY", policy)
    with packages.no_service_starts():
        assert "exit 101" in policy.read_text()
        assert policy.stat().st_mode & 0o111
    assert list(tmp_path.iterdir()) == []

    policy.write_text("theirs")
    during = []
    with contextlib.suppress(RuntimeError), packages.no_service_starts():
        during.append(policy.read_text())
        raise RuntimeError
    assert "exit 101" in during[0]
    assert [file.read_text() for file in tmp_path.iterdir()] == ["theirs"]
