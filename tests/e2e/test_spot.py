"""Spot machines and the queue of EC2's events, over real processes: boto3's own protocols on both."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.kit.cluster import Cluster, get_text, until

pytestmark = [pytest.mark.slow, pytest.mark.etcd]

STACK, LAYER = "shop", "web"
POLL_S = 15  # so slow that what is seen sooner was heard of


def documents() -> str:
    subnets = [{"id": f"subnet-0{zone}", "zone": f"us-east-1{zone}"} for zone in "abc"]
    template = {
        "image": {"ssmParameter": "/aws/service/debian/release/12/latest/amd64"},
        "types": ["t3.small"],
        "securityGroupIds": ["sg-0"],
        "spot": {"percentage": 100},
    }
    stack = {
        "apiVersion": "strata.dev/v1alpha1",
        "kind": "Stack",
        "metadata": {"name": STACK},
        "spec": {"region": "us-east-1", "endpoint": "sim", "vpcId": "vpc-0", "subnets": subnets, "instance": template},
    }
    layer = {
        "apiVersion": "strata.dev/v1alpha1",
        "kind": "Layer",
        "metadata": {"name": LAYER, "namespace": STACK},
        "spec": {"capacity": {"always": 2}},
    }
    return yaml.safe_dump_all([stack, layer])


def online(cluster: Cluster) -> dict[str, str]:
    """EC2 id by name of the slots that are online and stay."""
    slots = [slot for slot in cluster.get("instances", "-n", STACK) if not slot["status"].get("leave")]
    return {
        slot["metadata"]["name"]: slot["status"]["ec2"]["instanceId"]
        for slot in slots
        if slot["status"].get("phase") == "online"
    }


def machines(cluster: Cluster) -> dict[str, dict[str, Any]]:
    """Those that run, by id."""
    return {one["instanceId"]: one for one in cluster.sim("instances?state=running&state=pending")["instances"]}


def succeeded_soon(cluster: Cluster, count: int) -> None:
    """Wait for a machine beyond the `count` that ever were: sooner than the next poll, but for luck."""
    until(lambda: len(cluster.lives()) > count, within_s=POLL_S / 3, what="a successor is launched", every_s=0.1)


def test_notices_recommendations_and_deaths_are_heard_of_at_once(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, daemon_flags=("--poll-interval", str(POLL_S)))
    cluster.daemon_flags += ("--events-queue", f"us-east-1@sim={cluster.sim_url}/123456789012/strata-events")
    with cluster:
        cluster.start_daemon("a")
        assert cluster.strata("apply", "-f", "-", stdin=documents()).returncode == 0
        until(lambda: len(online(cluster)) == 2, within_s=90, what="both are online")
        assert {one["lifecycle"] for one in machines(cluster).values()} == {"spot"}
        layer = json.loads(cluster.strata("get", "layer", LAYER, "-n", STACK, "-o", "json").stdout)
        assert layer["status"]["spot"] == {"wanted": 2, "running": 2, "fallback": 0}

        for verb in ({"rebalance": True}, {"rebalance": False}):
            victim, count = next(iter(online(cluster).values())), len(cluster.lives())
            cluster.sim("interrupt", {"ids": [victim], **verb})
            succeeded_soon(cluster, count)
            assert victim in machines(cluster), "it runs on"
            until(lambda: len(online(cluster)) == 2, within_s=90, what="its successor works")

        victim, count = next(iter(online(cluster).values())), len(cluster.lives())
        cluster.sim("terminate", {"ids": [victim]})
        succeeded_soon(cluster, count)
        metrics = get_text(f"{cluster.urls['a']}/metrics")
        assert 'strata_events_queue_up{region="us-east-1@sim"} 1.0' in metrics
        assert 'strata_layer_spot_notices_total{kind="rebalance",layer="web",stack="shop"} 1.0' in metrics
