"""The whole path with real processes: 50 machines in 5 layers over 2 stacks, through the bad days of one afternoon."""

import time
from pathlib import Path

import pytest
from tests.kit.cluster import Cluster, twins, until

pytestmark = [pytest.mark.slow, pytest.mark.etcd]

_STACK = """
apiVersion: strata.dev/v1alpha1
kind: Stack
metadata: {{name: {name}}}
spec:
  region: us-east-1
  endpoint: sim
  vpcId: vpc-0
  subnets:
    - {{id: subnet-0a, zone: us-east-1a}}
    - {{id: subnet-0b, zone: us-east-1b}}
  instance:
    image: {{ssmParameter: /aws/service/debian/release/12/latest/amd64}}
    types: [t3.small]
    securityGroupIds: [sg-0]
"""
_LAYER = """
---
apiVersion: strata.dev/v1alpha1
kind: Layer
metadata: {{name: {name}, namespace: {stack}}}
spec:
  capacity: {{always: {always}}}
"""
_LAYERS = {"shop": {"web": 12, "workers": 8, "search": 10}, "blog": {"web": 15, "cache": 5}}
_DOCUMENTS = "\n---\n".join(
    _STACK.format(name=stack) + "".join(_LAYER.format(name=n, stack=stack, always=c) for n, c in layers.items())
    for stack, layers in _LAYERS.items()
)
_NAMES = sorted(
    f"{stack}/{layer}-{ordinal}"
    for stack, layers in _LAYERS.items()
    for layer, count in layers.items()
    for ordinal in range(1, count + 1)
)


def _online(cluster: Cluster) -> list[str]:
    rows = cluster.get("instances", "-A")
    return sorted(
        f"{row['metadata']['namespace']}/{row['metadata']['name']}"
        for row in rows
        if row["status"]["phase"] == "online"
    )


def _launch_under_way(cluster: Cluster) -> bool:
    return any(call["action"] == "RunInstances" for call in cluster.sim("calls")["calls"])


def test_fifty_machines_survive_a_killed_leader_a_killed_etcd_throttling_and_lost_machines(tmp_path: Path) -> None:
    """Converged, nothing doubled, every name kept, nothing left: by the simulator's own log."""
    flags = ("--poll-interval", "1", "--lease-ttl", "5")
    with Cluster(tmp_path, daemon_flags=flags) as cluster:
        cluster.sim("throttle", {"scale": 1.0})
        cluster.sim("latency", {"seconds": 0.3})  # so that a launch has a middle
        for name in ("a", "b"):
            cluster.start_daemon(name)
        until(cluster.leader, within_s=20, what="one leads")
        first = cluster.leader()
        applied = cluster.strata("apply", "-f", "-", stdin=_DOCUMENTS)
        assert applied.returncode == 0, applied.stderr

        until(lambda: _launch_under_way(cluster), within_s=30, what="a launch is sent", every_s=0.02)
        cluster.kill_daemon(first)
        took_s = until(cluster.leader, within_s=20, what="the other leads")
        assert took_s < 5 + 5, "the other acts within the lease time, and a moment to campaign"

        cluster.etcd.kill()
        time.sleep(2)  # noqa: TID251 - etcd is away for a while, on real time
        cluster.etcd.start()
        cluster.start_daemon(first)
        until(lambda: _online(cluster) == _NAMES, within_s=120, what="all 50 are online")
        assert len(cluster.live()) == len(_NAMES)

        victims = [life["instanceId"] for life in cluster.live()][::11][:5]
        cluster.sim("terminate", {"ids": victims})
        until(lambda: len(cluster.live()) == len(_NAMES), within_s=60, what="five are launched anew")
        until(lambda: _online(cluster) == _NAMES, within_s=60, what="all are online again, under their names")
        assert not set(victims) & {life["instanceId"] for life in cluster.live()}

        lives = cluster.lives()
        assert len(lives) == len(_NAMES) + len(victims), "not one machine more than were asked for"
        assert cluster.sim("lives")["doubled"] == {}
        assert twins(lives) == []
        assert {life["endedBy"] for life in lives if life["endedAt_s"] is not None} == {"world"}

        deleted = cluster.strata("delete", "stack", "shop", "blog", "--timeout", "90s")
        assert deleted.returncode == 0, deleted.stderr
        assert cluster.live() == []
        assert cluster.get("instances", "-A") == []
        assert len(cluster.lives()) == len(lives), "nothing was made while all was deleted"
