"""The rules with real processes: a layer follows the clock, CloudWatch, and a real Prometheus.

Where production waits for minutes, the wall time of daemon and simulator is set forward together: what they decide by
is the same, only sooner.
"""

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from tests.kit.cluster import Cluster, until
from tests.kit.prometheus_server import PrometheusServer, scrape

pytestmark = [pytest.mark.slow, pytest.mark.etcd]

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
STACK = "shop"
FLAGS = ("--poll-interval", "1", "--signals-interval", "2")
WITHIN_S = 30


def stack() -> dict[str, Any]:
    spec = {
        "region": "us-east-1",
        "endpoint": "sim",
        "vpcId": "vpc-0",
        "subnets": [{"id": "subnet-0a", "zone": "us-east-1a"}, {"id": "subnet-0b", "zone": "us-east-1b"}],
        "instance": {
            "image": {"ssmParameter": "/aws/service/debian/release/12/latest/amd64"},
            "types": ["t3.small"],
            "securityGroupIds": ["sg-0"],
            "detailedMonitoring": True,
        },
    }
    return {"apiVersion": "strata.dev/v1alpha1", "kind": "Stack", "metadata": {"name": STACK}, "spec": spec}


def layer(name: str, **capacity: Any) -> dict[str, Any]:
    spec = {"capacity": capacity, "shutdown": {"drain": False}}
    metadata = {"name": name, "namespace": STACK}
    return {"apiVersion": "strata.dev/v1alpha1", "kind": "Layer", "metadata": metadata, "spec": spec}


class Shop:
    """One stack of a cluster, and what a person sees of its layers."""

    def __init__(self, cluster: Cluster, *layers: dict[str, Any]) -> None:
        self.cluster = cluster
        cluster.start_daemon("a")
        applied = cluster.strata("apply", "-f", "-", stdin=yaml.safe_dump_all([stack(), *layers]))
        assert applied.returncode == 0, applied.stderr

    def status(self, name: str) -> dict[str, Any]:
        (found,) = (one for one in self.cluster.get("layers", "-n", STACK) if one["metadata"]["name"] == name)
        status: dict[str, Any] = found.get("status", {})
        return status

    def machines(self, name: str) -> int:
        """How many run, by the simulator's own truth."""
        query = f"instances?state=running&tag=strata.dev/stack={STACK}&tag=strata.dev/layer={name}"
        return len(self.cluster.sim(query)["instances"])

    def has(self, name: str, count: int, *, within_s: float = WITHIN_S) -> None:
        """Wait until the layer wants so many, and so many run and are online."""

        def so() -> bool:
            status = self.status(name)
            online = status.get("instances", {}).get("online", 0)
            return (status.get("desired"), online, self.machines(name)) == (count, count, count)

        until(so, within_s=within_s, what=f"{name} has {count} machines", every_s=0.5)

    def condition(self, name: str, kind: str) -> tuple[str, str, str]:
        found = [one for one in self.status(name).get("conditions", []) if one["type"] == kind]
        return (found[0]["status"], found[0]["reason"], found[0].get("message", "")) if found else ("", "", "")

    def why(self, name: str) -> str:
        told = self.cluster.strata("why", f"layer/{name}", "-n", STACK)
        assert told.returncode == 0, told.stderr
        return told.stdout

    def load(self, name: str, percent: float) -> None:
        self.cluster.sim("load", {"stack": STACK, "layer": name, "load": {"mean": percent}})


def next_monday(now: datetime) -> date:
    here = now.astimezone(NEW_YORK).date()
    return here + timedelta(days=7 - here.weekday())


def next_spring_change(now: datetime) -> datetime:
    """The instant at which Berlin skips the hour from two to three."""
    moment = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    winter, summer = timedelta(hours=1), timedelta(hours=2)
    for _ in range(2 * 366 * 24):
        before, after = moment - timedelta(hours=1), moment
        if (before.astimezone(BERLIN).utcoffset(), after.astimezone(BERLIN).utcoffset()) == (winter, summer):
            return moment
        moment += timedelta(hours=1)
    raise AssertionError("Berlin has no summer time any more: take another zone")


def test_a_layer_follows_the_clock_over_office_hours_and_the_hour_that_a_spring_night_lacks(tmp_path: Path) -> None:
    """The clock of daemon and simulator is set forward; each time the number is that of the wall clock of the zone."""
    office = {
        "name": "office",
        "timeZone": "America/New_York",
        "days": ["mon", "tue", "wed", "thu", "fri"],
        "from": "08:00",
        "to": "18:00",
        "instances": 2,
    }
    night = {"name": "night", "timeZone": "Europe/Berlin", "from": "02:30", "to": "05:00", "instances": 3}
    with Cluster(tmp_path, daemon_flags=FLAGS) as cluster:
        monday = next_monday(cluster.now())
        cluster.set_clock(datetime.combine(monday, time(7, 58), NEW_YORK))
        shop = Shop(cluster, layer("web", always=1, schedule=[office]), layer("batch", always=0, schedule=[night]))
        shop.has("web", 1)
        assert "from" in shop.why("web")
        assert shop.status("web")["nextChange"]["desired"] == 3

        cluster.set_clock(datetime.combine(monday, time(8, 0, 1), NEW_YORK))
        shop.has("web", 3)
        cluster.set_clock(datetime.combine(monday, time(17, 59), NEW_YORK))
        shop.has("web", 3)
        cluster.set_clock(datetime.combine(monday, time(18, 0, 1), NEW_YORK))
        shop.has("web", 1)

        change = next_spring_change(cluster.now())
        cluster.set_clock(change - timedelta(seconds=45))  # 01:59:15 in Berlin; it is never half past two
        shop.has("batch", 0)
        cluster.set_clock(change + timedelta(seconds=1))
        shop.has("batch", 3)
        assert "schedule/night" in shop.why("batch")
        cluster.set_clock(change + timedelta(hours=2, seconds=1))  # 05:00:01 in Berlin
        shop.has("batch", 0)


def test_a_layer_follows_cloudwatchs_numbers_and_alarms_up_and_down(tmp_path: Path) -> None:
    by_cpu = {
        "up": {"cpuPercent": 70, "for": "3m", "cooldown": "1m", "step": 2},
        "down": {"cpuPercent": 30, "for": "5m", "cooldown": "1m"},
    }
    by_alarm = {
        "up": {"for": "2m", "cooldown": "1m"},
        "down": {"for": "2m", "cooldown": "1m"},
        "signals": [{"name": "backlog", "cloudwatchAlarm": "jobs-backlog"}],
    }
    with Cluster(tmp_path, daemon_flags=FLAGS) as cluster:
        cluster.sim("alarm", {"name": "jobs-backlog", "state": "INSUFFICIENT_DATA"})
        shop = Shop(cluster, layer("web", always=2, max=6, load=by_cpu), layer("jobs", always=1, max=2, load=by_alarm))
        shop.has("web", 2)
        shop.has("jobs", 1)
        assert shop.condition("jobs", "ScalingActive")[0] == "Unknown"

        shop.load("web", 180)  # 90 % each
        cluster.sim("alarm", {"name": "jobs-backlog", "state": "ALARM"})
        cluster.pass_time(timedelta(minutes=6))
        shop.has("web", 4)
        shop.has("jobs", 2)
        assert "cpuPercent" in shop.status("web")["load"]["sample"]["message"]
        assert "load" in shop.why("web")

        cluster.pass_time(timedelta(minutes=8))  # 45 % each: between the thresholds
        until(lambda: shop.condition("web", "ScalingActive")[0] == "True", within_s=WITHIN_S, what="the CPU is read")
        shop.has("web", 4)

        shop.load("web", 60)
        cluster.sim("alarm", {"name": "jobs-backlog", "state": "OK"})
        cluster.pass_time(timedelta(minutes=7))
        shop.has("web", 3)
        shop.has("jobs", 1)
        cluster.pass_time(timedelta(minutes=7))
        shop.has("web", 2)
        calls = [call["action"] for call in cluster.sim("calls")["calls"]]
        assert "GetMetricData" in calls
        assert "DescribeAlarms" in calls


def test_a_layer_follows_a_queue_that_a_real_prometheus_scrapes(tmp_path: Path) -> None:
    query = f'sum(strata_sim_queue_length{{stack="{STACK}",layer="workers"}})'

    def rule(text: str) -> dict[str, Any]:
        signal = {"name": "queue", "prometheus": {"source": "main", "query": text}, "up": 20, "down": 1}
        return {"up": {"for": "1m", "cooldown": "1m", "step": 3}, "signals": [signal]}

    cluster = Cluster(tmp_path, daemon_flags=FLAGS)
    prometheus = PrometheusServer(tmp_path, scrape(cluster.sim_url.removeprefix("http://")))
    with cluster, prometheus:
        cluster.daemon_flags += ("--prometheus", f"main={prometheus.url}")
        workers = layer("workers", always=1, max=4, load=rule(query))
        several = layer("several", always=1, max=2, load=rule('{__name__=~"strata_sim_.+"}'))
        refused = layer("refused", always=1, max=2, load=rule("sum("))
        shop = Shop(cluster, workers, several, refused)
        shop.load("workers", 1000)  # nine jobs a second more than one machine does
        shop.has("workers", 1)

        until(
            lambda: "several series" in shop.condition("several", "ScalingActive")[2],
            within_s=WITHIN_S,
            what="the query of several series is told to be one",
        )
        until(
            lambda: "refuses the query: " in shop.condition("refused", "ScalingActive")[2],
            within_s=WITHIN_S,
            what="the broken query is told in Prometheus's words",
        )
        shop.has("workers", 4, within_s=120)
        sample = shop.status("workers")["load"]["sample"]
        assert sample["change"] == 3
        assert sample["values"][0]["signal"] == "queue"
        assert sample["values"][0]["value"] >= 20
        shop.has("several", 1)
        shop.has("refused", 1)
