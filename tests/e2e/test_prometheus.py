"""A real Prometheus scrapes two real daemons, with the scrape job and the alerts that are shipped, and is asked what
README, docs and manifests tell people to ask them: on a good day, and on a bad one."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.kit.cluster import Cluster, until
from tests.kit.prometheus_server import PrometheusServer
from tests.kit.queries import ROOT, Query, all_queries, in_markdown, in_rules

pytestmark = [pytest.mark.slow, pytest.mark.etcd]

_MANIFESTS = ROOT / "manifests" / "prometheus"
_CASES = ROOT / "tests" / "cases" / "alerts.yml"
_SUFFIX = re.compile(r"_(total|bucket|sum|count|info)$")
_DOCUMENTS = """
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
apiVersion: strata.dev/v1alpha1
kind: Layer
metadata: {name: web, namespace: shop}
spec: {capacity: {always: 8}}
"""
# Alerts that are raised here for real; promtool judges the others on made-up series.
_RAISED_HERE = {"StrataLayerHealsOften", "StrataNotAuthorized", "StrataLayerShort", "StrataDown", "StrataNoLeader"}


def _configuration(cluster: Cluster) -> str:
    """The one that is shipped, pointed at these daemons, and hurried."""
    shipped: dict[str, Any] = yaml.safe_load((_MANIFESTS / "prometheus.yml").read_text())
    shipped["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    shipped["rule_files"] = [str(_MANIFESTS / name) for name in shipped["rule_files"]]
    (job,) = shipped["scrape_configs"]
    (targets,) = job["static_configs"]
    targets["targets"] = [url.removeprefix("http://") for url in cluster.urls.values()]
    return yaml.safe_dump(shipped)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path, daemon_flags=("--poll-interval", "1", "--lease-ttl", "5")) as cluster:
        for name in ("a", "b"):
            cluster.start_daemon(name)
        applied = cluster.strata("apply", "-f", "-", stdin=_DOCUMENTS)
        assert applied.returncode == 0, applied.stderr
        yield cluster


@pytest.fixture
def prometheus(cluster: Cluster, tmp_path: Path) -> Iterator[PrometheusServer]:
    with PrometheusServer(tmp_path, _configuration(cluster)) as prometheus:
        yield prometheus


def _is_well(prometheus: PrometheusServer) -> bool:
    online = prometheus.query('strata_layer_instances{phase="online"}')
    return [value for _, value in online] == [8.0]


def _is_as_said(query: Query, values: list[float]) -> bool:
    if query.good_day == "nothing":
        return not values
    if query.good_day == "something":
        return bool(values)
    if query.good_day.startswith("below "):
        return len(values) == 1 and values[0] < float(query.good_day.removeprefix("below "))
    return not query.good_day or values == [float(query.good_day)]


def _wrong_on_a_good_day(prometheus: PrometheusServer) -> dict[str, list[float]]:
    """What the documents say, and what it is, where the two differ."""
    found = {}
    for query in all_queries():
        values = [value for _, value in prometheus.query(query.text)]
        if not _is_as_said(query, values):
            found[f"{query.where}: {query.text}: {query.good_day}"] = values
    return found


def _exported(prometheus: PrometheusServer) -> set[str]:
    """All that the daemons export, also what has no series yet."""
    return {_SUFFIX.sub("", name) for name in prometheus.ask("metadata")}


def _alerts(prometheus: PrometheusServer) -> dict[str, list[dict[str, str]]]:
    """Which alerts hold now, however short, and the labels that they have."""
    rules = yaml.safe_load((_MANIFESTS / "alerts.yml").read_text())
    named = {query.where.rpartition(" ")[2]: query.text for query in in_rules("", rules)}
    answers = {name: prometheus.query(text) for name, text in named.items()}
    return {name: [labels for labels, _ in series] for name, series in answers.items() if series}


def test_every_query_gives_what_it_should_on_a_good_day_and_on_a_bad_one(
    cluster: Cluster, prometheus: PrometheusServer
) -> None:
    until(lambda: _is_well(prometheus), within_s=60, what="all 8 are online, says Prometheus")
    with contextlib.suppress(AssertionError):  # rates need two samples, and what a launch disturbed has to calm down
        until(lambda: not _wrong_on_a_good_day(prometheus), within_s=20, what="a good day")
    assert _wrong_on_a_good_day(prometheus) == {}
    unknown = {
        name for query in all_queries() for name in query.metrics if _SUFFIX.sub("", name) not in _exported(prometheus)
    }
    assert unknown == set(), "every name in a query is one that the daemons export"
    health = {rule["name"]: rule["health"] for group in prometheus.ask("rules")["groups"] for rule in group["rules"]}
    assert set(health.values()) == {"ok"}
    assert prometheus.ask("alerts")["alerts"] == []

    for zone in ("us-east-1a", "us-east-1b"):
        cluster.sim("capacity", {"type": "t3.small", "zone": zone, "count": 3})
    cluster.sim("terminate", {"ids": [life["instanceId"] for life in cluster.live()][:7]})
    cluster.sim(
        "faults", {"kind": "refuse", "code": "UnauthorizedOperation", "actions": ["DescribeSubnets"], "count": None}
    )
    until(lambda: "StrataLayerHealsOften" in _alerts(prometheus), within_s=30, what="six of a layer were healed")
    cluster.sim("faults", {"kind": "refuse", "code": "UnauthorizedOperation", "count": None})
    until(lambda: "StrataNotAuthorized" in _alerts(prometheus), within_s=30, what="AWS refuses")
    raised = _alerts(prometheus)
    assert raised["StrataLayerHealsOften"] == [{"stack": "shop", "layer": "web"}]
    assert {"action": "DescribeInstances", "code": "UnauthorizedOperation"} in raised["StrataNotAuthorized"]
    assert [(one["stack"], one["layer"]) for one in raised["StrataLayerShort"]] == [("shop", "web")]
    assert {"StrataDown", "StrataNoLeader"}.isdisjoint(raised)

    for name in ("a", "b"):
        cluster.kill_daemon(name)
    until(lambda: "StrataNoLeader" in _alerts(prometheus), within_s=30, what="nobody leads")
    until(lambda: len(_alerts(prometheus).get("StrataDown", ())) == 2, within_s=30, what="both are down")


def test_every_alert_is_raised_here_or_in_a_case_of_promtools() -> None:
    rules = yaml.safe_load((_MANIFESTS / "alerts.yml").read_text())
    alerts = {query.where.rpartition(" ")[2] for query in in_rules("", rules)}
    cases = yaml.safe_load(_CASES.read_text())["tests"]
    in_cases = {one["alertname"] for case in cases for one in case["alert_rule_test"] if one["exp_alerts"]}
    assert alerts - _RAISED_HERE - in_cases == set()
    assert alerts >= _RAISED_HERE


def test_queries_are_found_wherever_they_stand() -> None:
    block = "```promql\n# A. On a good day: 1\nstrata_y\n\n# B. On a good day: nothing\nup\n```\n"
    told = f"A `strata_x > 1` and `strata_sim/`.\n{block}"
    assert [(query.text, query.good_day) for query in in_markdown("", told)] == [
        ("strata_y", "1"),
        ("up", "nothing"),
        ("strata_x > 1", ""),
    ]
    with pytest.raises(AssertionError, match="on a good day"):
        list(in_markdown("", "```promql\nstrata_y\n```\n"))
    files = {query.where.partition(":")[0] for query in all_queries()}
    assert files >= {"docs/day-two.md", "docs/architecture.md", "manifests/prometheus/alerts.yml"}
