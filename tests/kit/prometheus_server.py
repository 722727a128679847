"""A real Prometheus for tests: Debian's, started by ourselves on a free loopback port, in the test's own directory."""

import json
import shutil
import urllib.parse
from pathlib import Path
from typing import Any, Self

import pytest
from tests.kit.cluster import Process, get_text, until
from tests.kit.etcd import free_ports

_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
_SCRAPE = """
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: simulator
    static_configs: [{{targets: ["{target}"]}}]
"""


def scrape(target: str) -> str:
    """The configuration of one that scrapes this host and port once a second, and does no more."""
    return _SCRAPE.format(target=target)


def find_prometheus() -> str:
    """Skips the test aloud if there is none; in CI it fails."""
    found = shutil.which("prometheus", path=_SYSTEM_PATH)
    if found is None:
        pytest.skip("no prometheus; as root, once: apt-get install -y --no-install-recommends prometheus")
    return found


class PrometheusServer:
    """Use as a context. `configuration` is the text of prometheus.yml."""

    def __init__(self, directory: Path, configuration: str) -> None:
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        config = directory / "prometheus.yml"
        config.write_text(configuration)
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

    def query(self, text: str) -> list[tuple[dict[str, str], float]]:
        """Labels and value of every series that a query gives now."""
        answer = self.ask("query", query=text)
        if answer["resultType"] == "scalar":
            return [({}, float(answer["result"][1]))]
        return [(one["metric"], float(one["value"][1])) for one in answer["result"]]

    def ask(self, path: str, **parameters: str) -> Any:
        """One call of its API; the answer's data."""
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        return json.loads(get_text(url))["data"]

    def _ready(self) -> bool:
        try:
            return "Ready" in get_text(f"{self.url}/-/ready")
        except OSError:
            return False
