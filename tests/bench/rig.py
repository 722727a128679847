"""What is measured and with what: real processes on loopback, and meters that read the kernel, etcd and the simulator.

CPU and memory are those that the kernel counted for the daemon's process alone; calls are those that the simulator
logged; writes are those that etcd counted.
"""

import json
import os
import re
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.kit.cluster import Cluster, get_text, until

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_API = "/apis/strata.dev/v1alpha1"
_TIMEOUT_S = 900
_QUIET_S = 6.0  # longer than a poll
_PAGE = 10_000  # calls that the simulator gives at once

NO_BUCKETS = ("--ec2-rate", "100000")
STACK = """
apiVersion: strata.dev/v1alpha1
kind: Stack
metadata: {{name: {name}}}
spec:
  region: us-east-1
  endpoint: sim
  vpcId: vpc-0
  subnets:  # three, for the simulator gives each some 4,000 addresses
    - {{id: subnet-0a, zone: us-east-1a}}
    - {{id: subnet-0b, zone: us-east-1b}}
    - {{id: subnet-0c, zone: us-east-1c}}
  instance:
    image: {{ssmParameter: /aws/service/debian/release/12/latest/amd64}}
    types: [t3.small]
    securityGroupIds: [sg-0]
"""
LAYER = """
---
apiVersion: strata.dev/v1alpha1
kind: Layer
metadata: {{name: {name}, namespace: {stack}}}
spec: {{capacity: {{always: {always}}}}}
"""


@dataclass(frozen=True, slots=True)
class Size:
    """A fleet: layers, machines a layer, and the stacks that the layers are divided among."""

    layers: int
    each: int
    stacks: int

    @property
    def machines(self) -> int:
        return self.layers * self.each

    @property
    def name(self) -> str:
        return f"{self.layers}x{self.each}"

    def documents(self) -> str:
        return "\n---\n".join(
            STACK.format(name=f"s{stack}")
            + "".join(
                LAYER.format(name=f"l{layer}", stack=f"s{stack}", always=self.each)
                for layer in range(stack, self.layers, self.stacks)
            )
            for stack in range(self.stacks)
        )


@dataclass(slots=True)
class Reading:
    """What one scenario cost. `cpu_s` is the daemon's (or the peer's); `puts` are etcd's."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    calls: Counter[str] = field(default_factory=Counter)
    throttled: int = 0
    puts: int = 0
    log: list[dict[str, Any]] = field(default_factory=list)


class Rig:
    """A cluster with one daemon under measurement, at first without any token bucket. Use as a context."""

    def __init__(self, directory: Path) -> None:
        self.cluster = Cluster(directory)

    def __enter__(self) -> Self:
        self.cluster.__enter__()
        self.cluster.sim("throttle", {"off": True})
        self.cluster.sim("delays", {"pending_s": 1.0, "status_ok_s": 1.0, "shutting_down_s": 1.0})
        self.start_daemon("converging", *NO_BUCKETS)
        return self

    def __exit__(self, *_: object) -> None:
        self.cluster.__exit__()

    # -- the daemon ------------------------------------------------------------------------------------------

    def start_daemon(self, name: str, *flags: str) -> None:
        self.cluster.daemon_flags = flags
        self.cluster.start_daemon(name)
        until(self.cluster.leader, within_s=60, what="a daemon leads")

    def restart_daemon(self, name: str, *flags: str) -> None:
        for running in list(self.cluster.daemons):
            self.cluster.kill_daemon(running)
        self.start_daemon(name, *flags)

    @property
    def url(self) -> str:
        return next(iter(self.cluster.urls.values()))

    def pid(self) -> int:
        running = next(iter(self.cluster.daemons.values())).running
        assert running is not None
        return running.pid

    def peak_mib(self) -> float:
        """The most memory that the daemon ever had."""
        status = Path(f"/proc/{self.pid()}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) / 1024

    def online(self) -> int:
        stacks = json.loads(get_text(f"{self.url}{_API}/stacks"))["items"]
        return sum(stack.get("status", {}).get("instances", {}).get("online", 0) for stack in stacks)

    def wait_online(self, count: int) -> None:
        until(lambda: self.online() == count, within_s=_TIMEOUT_S, what=f"{count} online", every_s=0.5)

    def wait_tagged(self) -> None:
        """Wait until names, which follow the machines at their own pace, are all set."""
        until(self._tags_rest, within_s=_TIMEOUT_S, what="no more tags are set", every_s=0.1)

    def _tags_rest(self) -> bool:
        first = self.cluster.sim("health")["calls"]
        wait_s(_QUIET_S)
        return all(call["action"] != "CreateTags" for call in self._calls_since(first))

    def patch_always(self, stack: str, layer: str, always: int) -> None:
        body = json.dumps({"spec": {"capacity": {"always": always}}}).encode()
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{self.url}{_API}/namespaces/{stack}/layers/{layer}",
            data=body,
            method="PATCH",
            headers={"Content-Type": "application/merge-patch+json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
            answer.read()

    def stalls_over_50_ms(self) -> int:
        """How often the daemon's event loop was more than 50 ms late."""
        page = get_text(f"{self.url}/metrics")
        found = dict(re.findall(r'strata_event_loop_stall_seconds_bucket\{le="([^"]+)"\} ([0-9.e+]+)', page))
        return int(float(found["+Inf"]) - float(found["0.05"]))

    # -- meters ----------------------------------------------------------------------------------------------

    @contextmanager
    def measured(self) -> Iterator[Reading]:
        """Meter what happens in this block."""
        reading = Reading()
        first = self.cluster.sim("health")["calls"]
        puts, cpu_s, began_s = self._puts(), cpu_of(self.pid()), now_s()
        yield reading
        reading.wall_s = now_s() - began_s
        reading.cpu_s = cpu_of(self.pid()) - cpu_s
        reading.puts = self._puts() - puts
        reading.log = list(self._calls_since(first))
        reading.calls = Counter(call["action"] for call in reading.log)
        reading.throttled = sum(call["code"] == "RequestLimitExceeded" for call in reading.log)

    def _calls_since(self, number: int) -> Iterator[dict[str, Any]]:
        while True:
            calls = self.cluster.sim(f"calls?since={number}")["calls"]
            yield from (call for call in calls if call["caller"] != "world")
            if len(calls) < _PAGE:
                return
            number = calls[-1]["number"]

    def _puts(self) -> int:
        page = get_text(f"{self.cluster.etcd.url}/metrics")
        found = re.search(r"^etcd_debugging_mvcc_put_total ([0-9.e+]+)", page, re.MULTILINE)
        assert found is not None
        return int(float(found[1]))


def cpu_of(pid: int) -> float:
    """CPU seconds of a process and its threads, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def now_s() -> float:
    return time.monotonic()  # noqa: TID251 - real processes run on real time


def wait_s(seconds: float) -> None:
    time.sleep(seconds)  # noqa: TID251 - likewise
