"""A daemon that starts before etcd says so, and begins its work when etcd comes; etcd lost later is said as well."""

import urllib.error
import urllib.request
from pathlib import Path

import pytest
from tests.kit.cluster import Cluster, until

pytestmark = pytest.mark.etcd


def _probe(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - loopback
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()
    except OSError:
        return 0, ""


def test_readiness_tells_that_etcd_is_away_before_and_after_it_was_there(tmp_path: Path) -> None:
    with Cluster(tmp_path, daemon_flags=("--lease-ttl", "3")) as cluster:
        cluster.etcd.kill()
        cluster.launch_daemon("a")
        url = cluster.urls["a"]
        until(lambda: _probe(f"{url}/readyz")[0] == 503, within_s=30, what="it says that it is not ready")
        assert "etcd cannot be reached" in _probe(f"{url}/readyz")[1]
        assert _probe(f"{url}/livez") == (200, "ok")

        cluster.etcd.start()
        until(lambda: _probe(f"{url}/readyz") == (200, "ok"), within_s=40, what="it is ready once etcd is there")

        cluster.etcd.freeze()
        until(lambda: _probe(f"{url}/readyz")[0] == 503, within_s=30, what="it says that etcd went away")
        assert _probe(f"{url}/livez")[0] == 200
        cluster.etcd.thaw()
        until(lambda: _probe(f"{url}/readyz") == (200, "ok"), within_s=40, what="it is ready again")
