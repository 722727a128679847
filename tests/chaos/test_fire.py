"""Real processes under fire: the leading daemon and etcd are killed at random moments, while layers scale, heal, roll.

Rounds of known work make a ledger: after each of them the simulator's own log must hold exactly the machines that the
work made and ended, none doubled, none lost, none without a reason. KILLS and ETCD_KILLS say how many; SEED, which.
"""

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.kit.cluster import Cluster, twins, until

KILLS = int(os.environ.get("KILLS", "10"))
ETCD_KILLS = int(os.environ.get("ETCD_KILLS", str(max(4, KILLS // 4))))
SEED = int(os.environ.get("SEED", "0"))
_STACK = "shop"
_FLAGS = ("--poll-interval", "1", "--lease-ttl", "5", "--sweep-interval", "20")
_WITHIN_S = 150.0  # a round's work, however often somebody died
_KILLS_A_ROUND = 6
_STABLE = timedelta(minutes=11)  # what works for so long is launched at once when it fails again

pytestmark = [pytest.mark.slow, pytest.mark.etcd, pytest.mark.timeout(300 + 20 * (KILLS + ETCD_KILLS))]


class Wanted:
    """What the person wants: the number and the template of each layer."""

    def __init__(self) -> None:
        self.always = {"steady": 4, "swinging": 3, "rolling": 4}
        self.template = 0

    def documents(self) -> str:
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
        documents = [_document("Stack", {"name": _STACK}, stack)]
        for name, always in self.always.items():
            layer = {
                "capacity": {"always": always},
                "healing": {"impairedAfter": "3s", "maxUnhealthy": "50%"},
                "shutdown": {"drain": False},
                "update": {"maxSurge": 2, "maxUnavailable": 1},
            }
            if name == "rolling":
                layer["instance"] = {"userData": f"# {self.template}"}
            documents.append(_document("Layer", {"name": name, "namespace": _STACK}, layer))
        return yaml.safe_dump_all(documents)


def _document(kind: str, metadata: dict[str, str], spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "strata.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


class Fire:
    """Kills, and has what it killed started again."""

    def __init__(self, cluster: Cluster, rng: random.Random) -> None:
        self._cluster = cluster
        self._rng = rng
        self.daemons = self.etcds = 0

    def rages_on(self) -> bool:
        return self.daemons < KILLS or self.etcds < ETCD_KILLS

    def rage(self) -> None:
        """A few deaths at random moments."""
        for _ in range(_KILLS_A_ROUND):
            _sleep(self._rng.uniform(0.0, 2.5))
            if self.etcds * max(KILLS, 1) < self.daemons * ETCD_KILLS or self.daemons >= KILLS:
                self._kill_etcd()
            else:
                self._kill_leader()

    def _kill_leader(self) -> None:
        until(self._cluster.leader, within_s=40, what="one leads", every_s=0.05)
        _sleep(self._rng.uniform(0.0, 1.0))
        name = self._cluster.leader()
        if name:
            self._cluster.kill_daemon(name)
            self._cluster.launch_daemon(name)
            self.daemons += 1

    def _kill_etcd(self) -> None:
        if self.etcds < ETCD_KILLS:
            self._cluster.etcd.kill()
            _sleep(self._rng.uniform(0.0, 2.0))
            self._cluster.etcd.start()
            self.etcds += 1


class Ledger:
    """What the machines of each layer are, and what a round's work should make of them."""

    def __init__(self, cluster: Cluster, wanted: Wanted, rng: random.Random) -> None:
        self._cluster = cluster
        self._wanted = wanted
        self._rng = rng
        self._made: set[str] = set()
        self._ended: set[str] = set()

    def settle(self) -> dict[str, set[str]]:
        """Wait until all is as wanted; the live machines of each layer."""
        until(self._is_settled, within_s=_WITHIN_S, what=f"{self._wanted.always} are online", every_s=0.5)
        lives = self._cluster.lives()
        self._made = {life["instanceId"] for life in lives}
        self._ended = _ended_by_us(lives)
        return self._held()

    def round(self, before: dict[str, set[str]]) -> Callable[[], dict[str, set[str]]]:
        """Begin a round's work; what is returned judges it when the fire is over."""
        lost, ill = self._rng.sample(sorted(before["steady"]), 2)
        swing = self._rng.choice([one for one in (1, 2, 3, 4, 5) if one != self._wanted.always["swinging"]])
        grown = swing - self._wanted.always["swinging"]
        self._wanted.always["swinging"] = swing
        self._wanted.template += 1
        self.apply()
        self._cluster.sim("terminate", {"ids": [lost]})
        self._cluster.sim("impair", {"ids": [ill], "lasting": True})
        made, ended = self._made, self._ended

        def judge() -> dict[str, set[str]]:
            after = self.settle()
            taken = self._ended - ended - before["rolling"] - {ill}
            assert taken <= before["swinging"], f"ended without a reason: {sorted(taken - before['swinging'])}"
            assert len(taken) == max(0, -grown), "as many as were taken out"
            assert before["rolling"] | {ill} <= self._ended, "what was old or ill is gone"
            assert len(self._made - made) == len(before["rolling"]) + 2 + max(0, grown), "as many as were needed"
            self._judge_lives(after)
            return after

        return judge

    def apply(self) -> None:
        until(self._applied, within_s=60, what="what is wanted is written")

    def _applied(self) -> bool:
        return self._cluster.strata("apply", "-f", "-", stdin=self._wanted.documents()).returncode == 0

    def _judge_lives(self, held: dict[str, set[str]]) -> None:
        lives = self._cluster.lives()
        assert self._cluster.sim("lives")["doubled"] == {}
        assert twins(lives) == []
        live = {life["instanceId"] for life in lives if life["endedAt_s"] is None}
        assert live == set().union(*held.values()), "each live machine is some slot's"

    def _is_settled(self) -> bool:
        with suppress(OSError):
            slots = self._cluster.objects("instances", _STACK)
            layers = self._cluster.objects("layers", _STACK)
            online = all(slot["status"].get("phase") == "online" and not slot["status"].get("leave") for slot in slots)
            rolled = all(_is_rolled(layer) for layer in layers)
            counts = {name: sum(slot["spec"]["layers"] == [name] for slot in slots) for name in self._wanted.always}
            live = len(self._cluster.live())
            return online and rolled and counts == self._wanted.always and live == sum(counts.values())
        return False

    def _held(self) -> dict[str, set[str]]:
        held: dict[str, set[str]] = {name: set() for name in self._wanted.always}
        for slot in self._cluster.objects("instances", _STACK):
            held[slot["spec"]["layers"][0]].add(slot["status"]["ec2"]["instanceId"])
        return held


def _is_rolled(layer: dict[str, Any]) -> bool:
    rollout = layer["status"].get("rollout")
    seen = layer["status"].get("observedGeneration") == layer["metadata"]["generation"]
    return seen and rollout is not None and not rollout.get("outdated")


def _ended_by_us(lives: list[dict[str, Any]]) -> set[str]:
    return {life["instanceId"] for life in lives if life["endedAt_s"] is not None and life["endedBy"] != "world"}


def _sleep(duration_s: float) -> None:
    time.sleep(duration_s)  # noqa: TID251 - real processes run on real time


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path, daemon_flags=_FLAGS) as cluster:
        cluster.sim("throttle", {"off": True})
        cluster.sim("latency", {"seconds": 0.2})  # so that a call has a middle
        for name in ("a", "b"):
            cluster.start_daemon(name)
        yield cluster


def test_no_machine_is_doubled_lost_or_ended_without_a_reason(
    cluster: Cluster, record_property: Callable[[str, object], None]
) -> None:
    rng = random.Random(SEED)
    wanted, fire = Wanted(), Fire(cluster, rng)
    ledger = Ledger(cluster, wanted, rng)
    ledger.apply()
    held, rounds = ledger.settle(), 0
    while fire.rages_on():
        judge = ledger.round(held)
        fire.rage()
        held = judge()
        cluster.pass_time(_STABLE)
        rounds += 1
        print(f"round {rounds}: {fire.daemons} daemons and {fire.etcds} etcds killed", flush=True)  # noqa: T201 - it lasts
    made = len(cluster.lives())
    record_property("fire", f"{fire.daemons} daemons, {fire.etcds} etcds killed in {rounds} rounds, {made} machines")

    deleted = cluster.strata("delete", "stack", _STACK, "--timeout", "90s")
    assert deleted.returncode == 0, deleted.stderr
    assert cluster.live() == []
    assert len(cluster.lives()) == made, "nothing was made while all was deleted"
