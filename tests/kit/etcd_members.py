"""An etcd of several members, each a process with ports and data of its own, and etcdctl as an operator types it."""

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.kit.etcd import DEBIAN, Etcd, find_binary

_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"


class EtcdMembers:
    """`kill` ends all; one of `members` is ended and started by itself."""

    def __init__(self, directory: Path, count: int = 3) -> None:
        binary = find_binary(DEBIAN)
        self.members = []
        for number in range(count):
            name = f"member-{number}"
            (directory / name).mkdir()
            self.members.append(Etcd(binary, directory / name, name=name))
        together = ",".join(f"{member.name}={member.peer_url}" for member in self.members)
        for member in self.members:
            member.initial_cluster = together

    @property
    def url(self) -> str:
        return ",".join(member.url for member in self.members)

    def start(self) -> None:
        """A member answers only once most of them are there: all begin at the same time."""
        with ThreadPoolExecutor(len(self.members)) as threads:
            for started in [threads.submit(member.start) for member in self.members]:
                started.result()

    def kill(self) -> None:
        for member in self.members:
            member.kill()

    def leader(self) -> Etcd:
        """The member that the others follow."""
        for member in self.members:
            status = member.call("/v3/maintenance/status", {})
            if status["leader"] == status["header"]["member_id"]:
                return member
        raise AssertionError("no member leads")


def etcdctl(*arguments: str, endpoint: str = "") -> str:
    """Type a command; what it said. Skips the test aloud without etcdctl; in CI it fails."""
    program = shutil.which("etcdctl", path=_SYSTEM_PATH)
    if program is None:
        pytest.skip("no etcdctl; as root, once: apt-get install -y --no-install-recommends etcd-client")
    where = ("--endpoints", endpoint) if endpoint else ()
    done = subprocess.run(
        [program, *where, *arguments],
        env={**os.environ, "ETCDCTL_API": "3"}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout
