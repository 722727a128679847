"""What a thousand layers' signals cost: calls to CloudWatch, and CPU. The numbers are printed (pytest -s)."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from tests.kit.planner_cases import POLICY
from tests.kit.prometheus import FakePrometheus
from tests.kit.virtual_time import VirtualClock, run_virtual

from strata.cloud.port import MetricQuery
from strata.engine.informer import Informer
from strata.planner.facts import Known, Unknown
from strata.planner.layer import LayerSnapshot, plan_layer
from strata.reconcile.cloud_signals import CloudSignals
from strata.reconcile.objects import Objects, decode_entry
from strata.reconcile.signals import Signals, SignalSources
from strata.resources import kinds
from strata.resources.kinds import ObjectKey
from strata.resources.layer import ResolvedImage
from strata.resources.meta import API_VERSION, Record
from strata.resources.signal import AlarmState, Point
from strata.store.memory import MemoryStore
from strata.store.memory_server import MemoryServer
from strata.store.port import Put

LAYERS = 1000
STACKS = 10
MINUTES = 10
WINDOWS = [
    {"name": f"w{n}", "instances": 1, "timeZone": "America/New_York", "from": f"{8 + n:02}:00", "to": f"{12 + n:02}:00"}
    for n in range(5)
]


class CountedCloudWatch:
    """Every machine has 50 percent, each minute."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    async def get_metric_data(
        self, queries: Sequence[MetricQuery], *, start_at: datetime, end_at: datetime
    ) -> Mapping[MetricQuery, tuple[Point, ...]]:
        self.calls.append(len(queries))
        count = int((end_at - start_at).total_seconds()) // 60
        points = tuple(Point(start_at + timedelta(minutes=n + 1), 50.0) for n in range(count))
        return dict.fromkeys(queries, points)

    async def describe_alarms(self, names: Sequence[str]) -> Mapping[str, AlarmState]:
        raise AssertionError(f"nobody asks for {names}")


def _document(kind: str, name: str, namespace: str, spec: Any, status: Any) -> bytes:
    metadata = {"name": name, "namespace": namespace, "uid": f"uid-{kind}-{namespace}-{name}", "generation": 1}
    return msgspec.json.encode(
        {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec, "status": status}
    )


def _load(number: int) -> dict[str, Any]:
    signals = [
        {"name": name, "prometheus": {"source": "main", "query": f"{name}_{number}"}, "up": 60, "down": 5}
        for name in ("queue", "latency")
    ]
    rules = {"for": "30m", "cpuPercent": 80}
    return {"up": rules, "down": {"for": "30m", "cpuPercent": 10, "match": "any"}, "signals": signals}


def _layer(number: int) -> dict[str, Any]:
    capacity = {"always": 1, "max": 9, "schedule": WINDOWS, "load": _load(number)}
    return {"capacity": capacity, "instance": {"detailedMonitoring": True}}


def _fleet(now: datetime) -> list[Put]:
    puts = []
    for stack in range(STACKS):
        name = f"stack-{stack}"
        spec = {"region": "us-east-1", "vpcId": "vpc-0", "subnets": [{"id": "subnet-0", "zone": "a"}]}
        puts.append(Put(kinds.STACK.key(name), _document("Stack", name, "", spec, {})))
    for number in range(LAYERS):
        stack_name, layer = f"stack-{number % STACKS}", f"layer-{number}"
        puts.append(Put(kinds.LAYER.key(layer, stack_name), _document("Layer", layer, stack_name, _layer(number), {})))
        status = {
            "phase": "online",
            "onlineSince": (now - timedelta(days=1)).isoformat(),
            "ec2": {"instanceId": f"i-{number:017}", "state": "running"},
        }
        slot = {"layers": [layer], "availability": "layer"}
        key = kinds.INSTANCE.key(f"{layer}-1", stack_name)
        puts.append(Put(key, _document("Instance", f"{layer}-1", stack_name, slot, status)))
    return puts


class Rig:
    """The collectors of one leadership over a cache of a thousand layers."""

    def __init__(self, clock: VirtualClock, informer: Informer[Record]) -> None:
        self.objects = Objects(informer)
        self.cloudwatch = CountedCloudWatch()
        steady = {f"{name}_{n}": lambda _: 30.0 for name in ("queue", "latency") for n in range(LAYERS)}
        self.prometheus = FakePrometheus(steady)  # type: ignore[arg-type]
        self.queued: list[ObjectKey] = []
        self._clock = clock
        rng = random.Random(1)
        sources = SignalSources(cloudwatch=lambda *_: self.cloudwatch, prometheus=lambda _: self.prometheus)
        self.signals = Signals(
            sources,
            self.objects,
            lambda _: self.cloud,
            queue=self.queued.append,
            every_s=60.0,
            clock=clock,
            rng=rng,
        )
        self.cloud = CloudSignals(
            self.cloudwatch,
            self.objects,
            stacks=self.objects.stacks,
            judge=self.signals.judge,
            every_s=60.0,
            clock=clock,
            rng=rng,
        )

    def plan_all(self) -> int:
        """A pass over each layer; how many of them know all three of their signals."""
        stacks = {stack.object.metadata.name: stack.object for stack in self.objects.stacks()}
        image = ResolvedImage(source="ami-1", id="ami-1", root_device_name="/dev/xvda", resolved_at=self._clock.now())
        known = 0
        for stored in self.objects.layers():
            layer, namespace = stored.object, stored.object.metadata.namespace
            signals = self.signals.facts(layer)
            known += sum(isinstance(fact, Known) for fact in signals.values()) == 3
            members = tuple(one.object for one in self.objects.members(namespace, layer.metadata.name))
            snapshot = LayerSnapshot(
                now=self._clock.now(),
                layer=layer,
                stack=stacks[namespace],
                members=members,
                facts={member.metadata.name: Unknown("Unknown") for member in members},
                image=Known(image),
                protected=frozenset(),
                signals=signals,
            )
            plan_layer(snapshot, POLICY)
        return known


async def _with_rig(measure: Callable[[Rig], Awaitable[None]]) -> None:
    clock, server = VirtualClock(), MemoryServer()
    store = MemoryStore(clock, server)
    puts = _fleet(clock.now())
    for start in range(0, len(puts), 100):
        await store.txn([], puts[start : start + 100])
    informer: Informer[Record] = Informer(store, kinds.OBJECTS, decode_entry, clock=clock, rng=random.Random(1))
    rig = Rig(clock, informer)
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(informer.run())]
        await informer.wait_synced()
        running += [tasks.create_task(rig.cloud.run()), tasks.create_task(rig.signals.prometheus.run())]
        await measure(rig)
        for task in running:
            task.cancel()


def test_signals_of_a_thousand_layers_take_three_calls_a_minute_and_little_cpu() -> None:
    async def measure(rig: Rig) -> None:
        await asyncio.sleep(90)
        rig.cloudwatch.calls.clear()
        began_s = time.process_time()
        await asyncio.sleep(60 * MINUTES)
        cpu_s = (time.process_time() - began_s) / MINUTES
        print(f"{len(rig.cloudwatch.calls) / MINUTES:.1f} calls and {cpu_s:.3f} s of CPU a minute")  # noqa: T201
        assert sum(rig.cloudwatch.calls) == LAYERS * MINUTES
        assert len(rig.cloudwatch.calls) <= 3 * MINUTES
        assert cpu_s < 3.0

    run_virtual(_with_rig(measure))


def test_a_pass_over_a_thousand_layers_takes_less_than_a_second_of_cpu() -> None:
    """Five windows and three signals of half an hour each."""

    async def measure(rig: Rig) -> None:
        await asyncio.sleep(90)
        for passage in ("first", "second"):
            began_s = time.process_time()
            known = rig.plan_all()
            cpu_s = time.process_time() - began_s
            print(f"the {passage} pass over {LAYERS} layers: {cpu_s:.3f} s of CPU")  # noqa: T201
            assert known == LAYERS
        assert cpu_s < 1.0

    run_virtual(_with_rig(measure))
