"""The drills of docs/day-two.md that need a real etcd, walked with real processes as they are written there.

The others are walked on virtual time, in tests/property/test_day_two.py.
"""

import json
import re
import signal
import urllib.error
import urllib.request
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.kit.cluster import Cluster, Installation, Simulator, get_text, until
from tests.kit.etcd import DEBIAN, Etcd, EtcdOptions, find_binary
from tests.kit.etcd_members import EtcdMembers, etcdctl

pytestmark = [pytest.mark.slow, pytest.mark.etcd]

_LEASE_TTL_S = 5.0
_FLAGS = ("--poll-interval", "1", "--sweep-interval", "5", "--lease-ttl", f"{_LEASE_TTL_S:g}")
_STACK = """
apiVersion: strata.dev/v1alpha1
kind: Stack
metadata: {name: shop}
spec:
  region: us-east-1
  endpoint: sim
  vpcId: vpc-0
  subnets: [{id: subnet-0a, zone: us-east-1a}, {id: subnet-0b, zone: us-east-1b}]
  instance:
    image: {ssmParameter: /aws/service/debian/release/12/latest/amd64}
    types: [t3.small]
---
"""


def _layer(always: int) -> str:
    metadata = {"name": "web", "namespace": "shop"}
    spec = {"capacity": {"always": always}, "shutdown": {"drain": False}}
    return json.dumps({"apiVersion": "strata.dev/v1alpha1", "kind": "Layer", "metadata": metadata, "spec": spec})


def _type(installation: Installation, *arguments: str, stdin: str | None = None) -> str:
    done = installation.strata(*arguments, stdin=stdin)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _online(installation: Installation) -> list[str]:
    rows = installation.objects("instances", "shop")
    return sorted(row["metadata"]["name"] for row in rows if row["status"].get("phase") == "online")


def _condition(installation: Installation, type_: str) -> dict[str, str]:
    (stack,) = installation.objects("stacks")
    found = [one for one in stack["status"]["conditions"] if one["type"] == type_]
    return found[0] if found else {"status": "", "message": "it is not there"}


def _grows_to(installation: Installation, count: int, within_s: float = 40) -> None:
    _type(installation, "apply", "-f", "-", stdin=_STACK + _layer(count))
    until(lambda: len(_online(installation)) == count, within_s=within_s, what=f"{count} are online")


def _lives(simulator: Simulator) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = simulator.ask("lives")["lives"]
    return found


def _live(simulator: Simulator) -> set[str]:
    return {life["instanceId"] for life in _lives(simulator) if life["endedAt_s"] is None}


def _ended_by_us(simulator: Simulator) -> list[str]:
    gone = [life for life in _lives(simulator) if life["endedAt_s"] is not None]
    return [life["instanceId"] for life in gone if life["endedBy"] != "world"]


def _readiness(url: str) -> str:
    """What /readyz says, whether it is red or green."""
    try:
        return get_text(f"{url}/readyz?verbose")
    except urllib.error.HTTPError as error:
        with error:
            return error.read().decode()


def test_a_backup_is_restored_and_what_it_does_not_know_is_held_and_adopted(tmp_path: Path) -> None:
    with Cluster(tmp_path, daemon_flags=_FLAGS) as cluster:
        cluster.start_daemon("a")
        _grows_to(cluster, 4)
        backup = str(tmp_path / "backup.db")
        etcdctl("snapshot", "save", backup, endpoint=cluster.etcd.url)
        _grows_to(cluster, 7)
        before = _live(cluster.ec2)

        cluster.kill_daemon("a")
        cluster.etcd.kill()
        cluster.etcd.data.rename(tmp_path / "lost")
        place = f"{cluster.etcd.name}={cluster.etcd.peer_url}"
        etcdctl(
            "snapshot", "restore", backup, "--data-dir", str(cluster.etcd.data), "--name", cluster.etcd.name,
            "--initial-cluster", place, "--initial-advertise-peer-urls", cluster.etcd.peer_url,
            "--initial-cluster-token", "restored",
        )  # fmt: skip
        cluster.etcd.start()
        cluster.start_daemon("a")
        cluster.pass_time(timedelta(minutes=20))  # younger ones might still be asked for by a launch under way

        until(lambda: _type(cluster, "orphans", "list").count("i-") == 3, within_s=40, what="three are held")
        assert len(_online(cluster)) == 4
        condition = _condition(cluster, "OrphansHeld")
        assert condition["status"] == "True", condition
        assert "`strata orphans list`" in condition["message"]
        held = re.findall(r"i-[0-9a-f]+", _type(cluster, "orphans", "list"))
        _type(cluster, "pause", "stack/shop")
        _type(cluster, "scale", "layer/web", "-n", "shop", "--always", "7")
        _type(cluster, "orphans", "adopt", *held, "--into", "web", "-n", "shop")
        until(lambda: "i-" not in _type(cluster, "orphans", "list"), within_s=40, what="none is held any more")
        _type(cluster, "resume", "stack/shop")
        until(lambda: len(_online(cluster)) == 7, within_s=40, what="all are online again")
        assert _live(cluster.ec2) == before
        assert len(_lives(cluster.ec2)) == 7, "nothing was ended, and nothing was made"


def _fill(etcd: Etcd) -> None:
    """As somebody does who writes the same large value again and again, and never compacts."""
    with suppress(urllib.error.HTTPError):  # how etcd says that there is no room
        for _ in range(200):
            etcd.put("/junk", b"x" * 200_000)


def test_an_etcd_without_room_changes_nothing_and_is_made_to_work_again(tmp_path: Path) -> None:
    options = EtcdOptions(extra=("--quota-backend-bytes", "16000000"))
    etcd, simulator = Etcd(find_binary(DEBIAN), tmp_path, options), Simulator(tmp_path)
    with Installation(tmp_path, simulator, etcd, _FLAGS) as installation:
        installation.start_daemon("a")
        _grows_to(installation, 4)
        _fill(etcd)
        assert "NOSPACE" in etcdctl("alarm", "list", endpoint=etcd.url)
        victim = min(_live(simulator))
        simulator.ask("terminate", {"ids": [victim]})
        url = installation.urls["a"]
        until(lambda: 'reason="NoSpace"' in get_text(f"{url}/metrics"), within_s=30, what="writes are refused")
        refused = installation.strata("scale", "layer/web", "-n", "shop", "--always", "5")
        assert refused.returncode != 0
        assert "space" in refused.stderr
        assert len(_live(simulator)) == 3, "nothing is launched that could not be written down before"
        assert installation.leader() == "a", "a lease needs no room"

        status = json.loads(etcdctl("endpoint", "status", "-w", "json", endpoint=etcd.url))
        etcdctl("compact", str(status[0]["Status"]["header"]["revision"]), endpoint=etcd.url)
        etcdctl("defrag", endpoint=etcd.url)
        etcdctl("alarm", "disarm", endpoint=etcd.url)
        until(lambda: len(_live(simulator)) == 4, within_s=40, what="the lost machine is launched anew")
        until(lambda: len(_online(installation)) == 4, within_s=20, what="all are online")
        assert len(_lives(simulator)) == 5
        assert _ended_by_us(simulator) == []


def test_two_daemons_are_restarted_one_after_the_other_and_nothing_is_made_or_ended(tmp_path: Path) -> None:
    with Cluster(tmp_path, daemon_flags=_FLAGS) as cluster:
        for name in ("a", "b"):
            cluster.start_daemon(name)
        _grows_to(cluster, 4)
        for name in ("a", "b"):
            led = cluster.leader() == name
            daemon, url = cluster.daemons.pop(name), cluster.urls.pop(name)
            daemon.end(signal.SIGTERM)
            took_s = until(cluster.leader, within_s=20, what="one leads")
            assert not led or took_s < _LEASE_TTL_S, "who stops in order gives the lease back"
            cluster.start_daemon(name)
            assert url != cluster.urls[name]
        victim = min(_live(cluster.ec2))
        cluster.sim("terminate", {"ids": [victim]})
        until(lambda: len(_live(cluster.ec2)) == 4 and len(_online(cluster)) == 4, within_s=40, what="it heals still")
        assert len(_lives(cluster.ec2)) == 5
        assert _ended_by_us(cluster.ec2) == []


def test_a_lost_quorum_stops_all_and_its_return_goes_on_and_a_lost_leader_is_a_short_gap(tmp_path: Path) -> None:
    etcd, simulator = EtcdMembers(tmp_path), Simulator(tmp_path)
    with Installation(tmp_path, simulator, etcd, _FLAGS) as installation:
        installation.start_daemon("a")
        _grows_to(installation, 3)

        lost = etcd.leader()
        lost.kill()
        gap_s = until(lambda: _writes(installation, 4), within_s=30, what="a write goes through", every_s=0.05)
        assert gap_s < _LEASE_TTL_S
        until(lambda: len(_online(installation)) == 4, within_s=30, what="the fourth is online")
        assert installation.leader() == "a"

        other = next(member for member in etcd.members if member is not lost)
        other.kill()
        victim = min(_live(simulator))
        simulator.ask("terminate", {"ids": [victim]})
        url = installation.urls["a"]
        until(lambda: "[-]store" in _readiness(url) or "[-]leader" in _readiness(url), within_s=40, what="it is told")
        until(lambda: not installation.leader(), within_s=20, what="nobody leads")
        assert len(_live(simulator)) == 3, "nothing is changed while nobody can write"

        lost.start()
        until(lambda: len(_live(simulator)) == 4, within_s=60, what="the lost machine is launched anew")
        until(lambda: len(_online(installation)) == 4, within_s=20, what="all are online")
        assert len(_lives(simulator)) == 5
        assert _ended_by_us(simulator) == []


def _writes(installation: Installation, always: int) -> bool:
    done = installation.strata("scale", "layer/web", "-n", "shop", "--always", str(always), timeout_s=20)
    return done.returncode == 0
