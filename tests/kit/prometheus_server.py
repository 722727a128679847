"""A real Prometheus for tests: Debian's, started by ourselves on a free loopback port, in the test's own directory."""

import shutil
from pathlib import Path
from typing import Self

import pytest
from tests.kit.cluster import Process, get_text, until
from tests.kit.etcd import free_ports

_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
_CONFIG = """
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: simulator
    static_configs: [{{targets: ["{target}"]}}]
"""


def find_prometheus() -> str:
    """Skips the test aloud if there is none; in CI it fails."""
    found = shutil.which("prometheus", path=_SYSTEM_PATH)
    if found is None:
        pytest.skip("no prometheus; as root, once: apt-get install -y --no-install-recommends prometheus")
    return found


class PrometheusServer:
    """Use as a context. Scrapes `target`, a host and port, once a second."""

    def __init__(self, directory: Path, target: str) -> None:
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        config = directory / "prometheus.yml"
        config.write_text(_CONFIG.format(target=target))
        command = [
            find_prometheus(),
            f"--config.file={config}",
            f"--storage.tsdb.path={directory / 'prometheus'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        ]
        self._process = Process(command, directory / "prometheus.log")

    def __enter__(self) -> Self:
        self._process.start()
        until(self._ready, within_s=60, what="prometheus is ready")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.end()

    def _ready(self) -> bool:
        try:
            return "Ready" in get_text(f"{self.url}/-/ready")
        except OSError:
            return False
