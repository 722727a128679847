"""Real processes under fire: the leading daemon and etcd are killed at random moments, while a layer grows, heals,
rolls and shrinks, again and again. The simulator's own account of every machine says that none was doubled, lost or
ended without need: after each step exactly as many were made and ended as that step asked for.

STRATA_FIRE_DAEMON and STRATA_FIRE_ETCD say how often each is killed; `make soak` says more. STRATA_FIRE_SEED repeats a
run's choices, not its timing.
"""

import json
import os
import random
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.kit.cluster import Cluster, twins, until

pytestmark = [pytest.mark.slow, pytest.mark.etcd, pytest.mark.timeout(0)]

DAEMON_KILLS = int(os.environ.get("STRATA_FIRE_DAEMON", "5"))
ETCD_KILLS = int(os.environ.get("STRATA_FIRE_ETCD", "2"))
SEED = int(os.environ.get("STRATA_FIRE_SEED", "1"))
_FLAGS = ("--poll-interval", "0.5", "--lease-ttl", "3", "--ec2-rate", "100")
_SETTLES_WITHIN_S = 240
_LONGEST_PAUSE_S = 5  # a leader that never lives for more than a moment gets nothing done
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


@dataclass(slots=True)
class Fire:
    """Kills with SIGKILL, and starts again what it killed."""

    cluster: Cluster
    rng: random.Random
    daemon_kills: int
    etcd_kills: int
    over: threading.Event = field(default_factory=threading.Event)
    failure: list[BaseException] = field(default_factory=list)

    @contextmanager
    def burning(self) -> Iterator[None]:
        thread = threading.Thread(target=self._burn, name="fire")
        thread.start()
        try:
            yield
        finally:
            self.over.set()
            thread.join()
        if self.failure:
            raise self.failure[0]

    def _burn(self) -> None:
        try:
            while not self.over.is_set() and self.daemon_kills + self.etcd_kills > 0:
                self.over.wait(self.rng.uniform(0, _LONGEST_PAUSE_S))
                self._kill_one()
        except BaseException as error:  # noqa: BLE001 - it is raised in the test's own thread
            self.failure.append(error)
        finally:
            self.over.set()

    def _kill_one(self) -> None:
        if self.rng.randrange(self.daemon_kills + self.etcd_kills) < self.etcd_kills:
            self.etcd_kills -= 1
            self.cluster.etcd.kill()
            time.sleep(self.rng.uniform(0, 1))  # noqa: TID251 - real processes run on real time
            self.cluster.etcd.start()
            return
        leader = self.cluster.leader()
        if leader:  # else nobody leads yet: a kill of a daemon that waits is none
            self.daemon_kills -= 1
            daemon = self.cluster.daemons[leader]
            daemon.end()
            daemon.start()


@dataclass(slots=True)
class Shop:
    """One layer, what is wanted of it, and what must have been made and ended for it."""

    cluster: Cluster
    wanted: int = 0
    template: int = 0
    made: int = 0
    ended: int = 0
    died: int = 0

    def wants(self, count: int, *, rolled: bool = False) -> None:
        """Apply, again and again if need be, until it is written."""
        self.made += max(0, count - self.wanted) + (count if rolled else 0)
        self.ended += max(0, self.wanted - count) + (count if rolled else 0)
        self.wanted, self.template = count, self.template + rolled
        layer = {
            "apiVersion": "strata.dev/v1alpha1",
            "kind": "Layer",
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {
                "capacity": {"always": count},
                "instance": {"userData": f"#!/bin/sh\n# {self.template}\n"},
                "shutdown": {"drain": False},
                "update": {"maxSurge": 4},
                "healing": {"maxUnhealthy": "100%"},
            },
        }
        until(lambda: self._applied(_STACK + json.dumps(layer)), within_s=_SETTLES_WITHIN_S, what="it is written")

    def loses(self, count: int) -> None:
        """So many machines die."""
        victims = [life["instanceId"] for life in self.cluster.live()][:count]
        self.cluster.sim("terminate", {"ids": victims})
        self.made += count
        self.died += count

    def settles(self) -> None:
        until(
            self._is_as_wanted, within_s=_SETTLES_WITHIN_S, what=f"{self.wanted} of template {self.template} are online"
        )
        lives = self.cluster.lives()
        by_us = [life for life in lives if life["endedAt_s"] is not None and life["endedBy"] != "world"]
        assert (len(lives), len(by_us)) == (self.made, self.ended), "made and ended as was asked for, and no more"
        assert len(lives) - len(by_us) - self.died == self.wanted
        assert self.cluster.sim("lives")["doubled"] == {}
        assert twins(lives) == []

    def _applied(self, documents: str) -> bool:
        with suppress(OSError, subprocess.TimeoutExpired):
            return self.cluster.strata("apply", "-f", "-", stdin=documents, timeout_s=30).returncode == 0
        return False

    def _is_as_wanted(self) -> bool:
        """The slots and EC2 agree, and all is done: nothing leaves, nothing is outdated."""
        try:
            slots, (layer,) = self._read("instances"), self._read("layers")
        except (OSError, ValueError):  # whoever is asked may be dead just now
            return False
        machines = {slot["status"].get("ec2", {}).get("instanceId") for slot in slots}
        conditions = {one["type"]: one["status"] for one in layer["status"].get("conditions", ())}
        return (
            len(slots) == self.wanted
            and machines == {life["instanceId"] for life in self.cluster.live()}
            and layer["status"].get("observedGeneration") == layer["metadata"]["generation"]
            and conditions.get("Ready") == conditions.get("UpToDate") == "True"
        )

    def _read(self, plural: str) -> list[dict[str, Any]]:
        return self.cluster.objects(plural, "shop")


def _steps(shop: Shop, rng: random.Random) -> list[Callable[[], None]]:
    """One round."""
    return [
        lambda: shop.wants(rng.randint(7, 10)),
        lambda: shop.loses(rng.randint(1, 3)),
        lambda: shop.wants(shop.wanted, rolled=True),
        lambda: shop.wants(rng.randint(3, 6)),
    ]


def test_nothing_is_doubled_lost_or_ended_without_need_however_often_the_leader_and_etcd_are_killed(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    rng = random.Random(SEED)
    with Cluster(tmp_path, daemon_flags=_FLAGS) as cluster:
        cluster.sim("latency", {"seconds": 0.2})  # so that every call has a middle
        for name in ("a", "b"):
            cluster.start_daemon(name)
        shop, fire, rounds = Shop(cluster), Fire(cluster, random.Random(SEED + 1), DAEMON_KILLS, ETCD_KILLS), 0
        with fire.burning():
            while rounds == 0 or not fire.over.is_set():
                rounds += 1
                for step in _steps(shop, rng):
                    step()
                    shop.settles()
        assert (fire.daemon_kills, fire.etcd_kills) == (0, 0)
        shop.settles()
        deleted = cluster.strata("delete", "stack", "shop", "--timeout", "90s")
        assert deleted.returncode == 0, deleted.stderr
        assert cluster.live() == []
        assert len(cluster.lives()) == shop.made
    record_property(
        "fire", f"{DAEMON_KILLS} daemons and {ETCD_KILLS} etcds killed in {rounds} rounds, {shop.made} machines"
    )
