"""A rollout with real processes: it stops within its budget at a machine that never comes up, says why, is undone."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.kit.cluster import Cluster, get_text, until

pytestmark = [pytest.mark.slow, pytest.mark.etcd]

STACK, MACHINES, SURGE = "shop", 20, 2
_INSTANCES = f"apis/strata.dev/v1alpha1/namespaces/{STACK}/instances"


def documents(**template: Any) -> str:
    stack = {
        "region": "us-east-1",
        "endpoint": "sim",
        "vpcId": "vpc-0",
        "subnets": [{"id": "subnet-0a", "zone": "us-east-1a"}, {"id": "subnet-0b", "zone": "us-east-1b"}],
        "instance": {
            "image": {"ssmParameter": "/aws/service/debian/release/12/latest/amd64"},
            "types": ["t3.small"],
            "securityGroupIds": ["sg-0"],
        },
    }
    layer = {
        "capacity": {"always": MACHINES},
        "healing": {"startDeadline": "15s"},
        "update": {"maxSurge": SURGE, "maxUnavailable": 0},
        "shutdown": {"timeout": "3s"},
        "instance": template,
    }
    version = "strata.dev/v1alpha1"
    return yaml.safe_dump_all(
        [
            {"apiVersion": version, "kind": "Stack", "metadata": {"name": STACK}, "spec": stack},
            {"apiVersion": version, "kind": "Layer", "metadata": {"name": "web", "namespace": STACK}, "spec": layer},
        ]
    )


class Budget:
    """Looks at the layer's slots as often as it is asked, and remembers the worst that it saw."""

    def __init__(self, cluster: Cluster) -> None:
        self._url = f"{cluster.urls['a']}/{_INSTANCES}"
        self.most, self.fewest_online = 0, MACHINES

    def look(self) -> list[dict[str, Any]]:
        """The slots that count."""
        items = json.loads(get_text(self._url))["items"]
        counted = [
            one for one in items if not one["metadata"].get("deletionTimestamp") and not one["status"].get("leave")
        ]
        online = sum(one["status"]["phase"] == "online" for one in counted)
        self.most, self.fewest_online = max(self.most, len(counted)), min(self.fewest_online, online)
        return counted


def layer_status(cluster: Cluster) -> dict[str, Any]:
    (layer,) = cluster.get("layers", "-n", STACK)
    status: dict[str, Any] = layer.get("status", {})
    return status


def apply(cluster: Cluster, **template: Any) -> None:
    applied = cluster.strata("apply", "-f", "-", stdin=documents(**template))
    assert applied.returncode == 0, applied.stderr


def test_a_rollout_stops_at_a_machine_that_never_comes_up_says_why_and_is_undone(tmp_path: Path) -> None:
    with Cluster(tmp_path, daemon_flags=("--poll-interval", "1")) as cluster:
        cluster.start_daemon("a")
        apply(cluster)
        done = cluster.strata("rollout", "status", "layer/web", "-n", STACK, "--timeout", "60s")
        assert done.returncode == 0, done.stderr
        first = {life["instanceId"] for life in cluster.live()}
        assert len(first) == MACHINES

        budget = Budget(cluster)
        apply(cluster, detailedMonitoring=True)
        until(
            lambda: budget.look() and layer_status(cluster)["rollout"]["updated"] >= 2 * SURGE,
            within_s=60,
            what="some are renewed",
        )
        cluster.sim("boots", {"fate": "stuck", "count": SURGE + 2})

        stalled = cluster.strata("rollout", "status", "layer/web", "-n", STACK, "--timeout", "90s")
        assert stalled.returncode == 1, stalled.stdout
        assert "does not come up: i-" in stalled.stderr
        assert "is not online 15s after its launch" in stalled.stderr
        status = layer_status(cluster)
        progressing = next(one for one in status["conditions"] if one["type"] == "Progressing")
        assert (progressing["status"], progressing["reason"]) == ("False", "RolloutStalled")
        assert progressing["message"] == status["rollout"]["message"]
        budget.look()
        told = cluster.strata("events", "-n", STACK, "--for", "layer/web")
        assert "the rollout stands still" in told.stdout, told.stderr

        undone = cluster.strata("rollout", "undo", "layer/web", "-n", STACK)
        assert undone.stdout == "layer/web goes back to revision 1: spec.instance.detailedMonitoring\n", undone.stderr

        def settled() -> bool:
            slots = budget.look()
            return len(slots) == MACHINES == len(cluster.live()) and layer_status(cluster)["rollout"]["outdated"] == 0

        until(settled, within_s=180, what="all are of the first template again", every_s=0.5)
        done = cluster.strata("rollout", "status", "layer/web", "-n", STACK, "--timeout", "60s")
        assert done.returncode == 0, done.stderr
        templates = {slot["status"]["template"] for slot in budget.look()}
        assert templates == {layer_status(cluster)["rollout"]["template"]}
        assert (budget.fewest_online, budget.most) == (MACHINES, MACHINES + SURGE)
        kept = first & {life["instanceId"] for life in cluster.live()}
        assert len(kept) >= MACHINES // 2, "what had not been renewed was left alone"
        history = cluster.strata("rollout", "history", "layer/web", "-n", STACK).stdout.splitlines()
        assert [line.split()[0] for line in history] == ["REVISION", "2", "3"]
        assert history[-1].endswith("yes")
