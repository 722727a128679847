"""The three programs of a local world, as command lines.

The daemon must never reach the real AWS from here: it gets made-up credentials, and sees neither the user's own
nor the metadata service.
"""

import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from strata.local.etcd_binary import EtcdBinary
from strata.local.ports import HOST, Ports
from strata.local.processes import Program
from strata_sim.catalog import default_catalog
from strata_sim.region import EVENTS_QUEUE

_FOREIGN = ("AWS_", "BOTO_", "ETCD_", "ETCDCTL_", "STRATA_")  # settings of other worlds
_REGION, _ACCOUNT = default_catalog().regions[0].name, default_catalog().account_id
_ETCD_ARCHITECTURES = {"aarch64": "arm64"}  # etcd 3.4 runs there only if told to


@dataclass(frozen=True, slots=True)
class Folders:
    """Where a world keeps its things."""

    root: Path

    @property
    def etcd(self) -> Path:
        return self.root / "etcd"

    @property
    def daemon(self) -> Path:
        return self.root / "daemon"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def clock(self) -> Path:
        """How far ahead wall time is; stays with the data, as what was written since lies in the future otherwise."""
        return self.root / "clock"

    @property
    def kubeconfig(self) -> Path:
        return self.root / "kubeconfig"

    def make(self) -> None:
        """Make all of them, for this user alone."""
        for folder in (self.root, self.etcd, self.daemon, self.logs):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def url(port: int) -> str:
    return f"http://{HOST}:{port}"


def etcd(binary: EtcdBinary, ports: Ports, folders: Folders) -> Program:
    client, peer = url(ports.etcd), url(ports.etcd_peer)
    flags = {
        "name": "strata",
        "data-dir": str(folders.etcd),
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"strata={peer}",
        "auto-compaction-mode": "periodic",
        "auto-compaction-retention": "1h",
        "logger": "zap",
        "log-level": "warn",
    }
    environment = _own_environment()
    if platform.machine() in _ETCD_ARCHITECTURES:
        environment["ETCD_UNSUPPORTED_ARCH"] = _ETCD_ARCHITECTURES[platform.machine()]
    return Program(
        name="etcd",
        command=(binary.path, *(f"--{name}={value}" for name, value in flags.items())),
        log=folders.logs / "etcd.log",
        ready_url=f"{client}/health",
        environment=environment,
    )


def simulator(ports: Ports, folders: Folders) -> Program:
    return Program(
        name="the simulator",
        command=(
            *(sys.executable, "-P", "-m", "strata_sim", "--listen", f"{HOST}:{ports.simulator}"),
            f"--clock-file={folders.clock}",
        ),
        log=folders.logs / "simulator.log",
        ready_url=f"{url(ports.simulator)}/_sim/health",
        environment=_own_environment(),
    )


def daemon(ports: Ports, folders: Folders) -> Program:
    flags = {
        "etcd": url(ports.etcd),
        "listen": f"{HOST}:{ports.api}",
        "endpoint": f"sim={url(ports.simulator)}",
        "events-queue": f"{_REGION}@sim={url(ports.simulator)}/{_ACCOUNT}/{EVENTS_QUEUE}",
        "data-dir": str(folders.daemon),
        "log-format": "json",
        "poll-interval": "1",
        "many-absent-after": "600",  # a simulator that is started anew shows none of its former machines
        "prometheus": f"sim={url(ports.simulator)}",
        "signals-interval": "10",
        "clock-file": str(folders.clock),
    }
    return Program(
        name="the daemon",
        command=(
            *(sys.executable, "-P", "-m", "strata", "server", "--allow-unsafe-etcd"),
            *(f"--{name}={value}" for name, value in flags.items()),
        ),
        log=folders.logs / "daemon.log",
        ready_url=f"{url(ports.api)}/readyz",
        environment={**_own_environment(), **_no_aws()},
        grace_s=10.0,
    )


def _own_environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return {**kept, "NO_PROXY": HOST, "no_proxy": HOST, "PYTHONUNBUFFERED": "1"}


def _no_aws() -> Mapping[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
