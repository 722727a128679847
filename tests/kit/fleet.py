"""A whole Strata on virtual time: daemons on one in-memory store and one simulated EC2, and a person who applies."""

import asyncio
import errno
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from tests.kit.virtual_time import VirtualClock

from strata.clock import Clock
from strata.cloud.event_queue import EventQueue
from strata.cloud.port import Cloud, CloudWatch
from strata.errors import CloudError, CloudErrorKind, SignalError
from strata.metrics import DaemonMetrics
from strata.reconcile.controller import Controller
from strata.reconcile.identity import Testimony
from strata.reconcile.objects import timestamp
from strata.reconcile.signals import SignalSources
from strata.resources import kinds
from strata.resources.codec import decode_object
from strata.resources.instance import Instance, Phase
from strata.resources.kinds import Kind
from strata.resources.layer import Layer
from strata.resources.meta import API_VERSION, FINALIZER
from strata.resources.stack import Stack
from strata.settings import ControllerSettings
from strata.signals.port import Prometheus
from strata.store.memory import MemoryStore
from strata.store.memory_server import MemoryServer
from strata.store.port import Delete, KeyValue, ModRevisionIs, Put, Store
from strata_sim.controls import Controls
from strata_sim.inprocess import SimulatedCloud
from strata_sim.inprocess_cloudwatch import SimulatedCloudWatch
from strata_sim.inprocess_queue import SimulatedQueue
from strata_sim.witness import live
from strata_sim.world import World

REGION = "us-east-1"
IMAGE = {"ssmParameter": "/aws/service/debian/release/12/latest/amd64"}
SETTINGS = ControllerSettings(resync_s=120.0)


def stack_spec(**changes: Any) -> dict[str, Any]:
    spec = {
        "region": REGION,
        "vpcId": "vpc-0",
        "subnets": [
            {"id": "subnet-0a", "zone": "us-east-1a"},
            {"id": "subnet-0b", "zone": "us-east-1b"},
            {"id": "subnet-0c", "zone": "us-east-1c"},
        ],
        "instance": {"image": IMAGE, "types": ["t3.small"], "securityGroupIds": ["sg-0"]},
    }
    return spec | changes


def layer_spec(always: int, **changes: Any) -> dict[str, Any]:
    """Machines go at once, without running on, where a test does not say otherwise."""
    return {"capacity": {"always": always}, "shutdown": {"drain": False}} | changes


class MemoryWitness:
    """What the daemon's data directory would hold; survives the daemon."""

    def __init__(self) -> None:
        self.testimony: Testimony | None = None
        self.full = False

    def recall(self) -> Testimony | None:
        return self.testimony

    def testify(self, testimony: Testimony) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.testimony = testimony


class Person:
    """Writes and reads objects as the API server would, without one."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._uids = 0

    async def apply(self, kind: Kind, name: str, spec: dict[str, Any], namespace: str = "") -> None:
        key = kind.key(name, namespace)
        while True:
            kv = await self._store.get(key)
            document = self._changed(kv, spec) if kv else self._new(kind, name, namespace, spec)
            value = msgspec.json.encode(document)
            if (await self._store.txn([ModRevisionIs(key, kv.mod_revision if kv else 0)], [Put(key, value)])).succeeded:
                return

    async def stack(self, name: str, **changes: Any) -> None:
        await self.apply(kinds.STACK, name, stack_spec(**changes))

    async def layer(self, stack: str, name: str, always: int, **changes: Any) -> None:
        await self.apply(kinds.LAYER, name, layer_spec(always, **changes), stack)

    async def delete(self, kind: Kind, name: str, namespace: str = "") -> None:
        key = kind.key(name, namespace)
        while True:
            kv = await self._store.get(key)
            if kv is None:
                return
            document = msgspec.json.decode(kv.value)
            if not document["metadata"].get("finalizers"):
                operation: Put | Delete = Delete(key)
            else:
                document["metadata"]["deletionTimestamp"] = timestamp(self._clock.now())
                operation = Put(key, msgspec.json.encode(document))
            if (await self._store.txn([ModRevisionIs(key, kv.mod_revision)], [operation])).succeeded:
                return

    async def read(self, kind: Kind, name: str, namespace: str = "") -> Any:
        kv = await self._store.get(kind.key(name, namespace))
        return None if kv is None else decode_object(kind, kv.value, mod_revision=kv.mod_revision)

    async def all(self, kind: Kind, namespace: str = "") -> list[Any]:
        listing = await self._store.list(kind.prefix(namespace))
        return [decode_object(kind, kv.value, mod_revision=kv.mod_revision) for kv in listing.items]

    def _new(self, kind: Kind, name: str, namespace: str, spec: dict[str, Any]) -> dict[str, Any]:
        self._uids += 1
        metadata: dict[str, Any] = {
            "name": name,
            "uid": f"uid-{kind.plural}-{name}-{self._uids}",
            "generation": 1,
            "creationTimestamp": timestamp(self._clock.now()),
            "finalizers": [FINALIZER],
        }
        if namespace:
            metadata["namespace"] = namespace
        return {"apiVersion": API_VERSION, "kind": kind.kind, "metadata": metadata, "spec": spec}

    def _changed(self, kv: KeyValue, spec: dict[str, Any]) -> dict[str, Any]:
        document: dict[str, Any] = msgspec.json.decode(kv.value)
        if document["spec"] != spec:
            document["spec"] = spec
            document["metadata"]["generation"] += 1
        return document


@dataclass(slots=True)
class Daemon:
    """One process: its controller, and the task that runs it."""

    name: str
    controller: Controller
    task: asyncio.Task[None]
    metrics: DaemonMetrics
    clock: VirtualClock


@dataclass(slots=True)
class Fleet:
    """The whole world of one test. Make it inside a virtual-time loop."""

    seed: int = 0
    settings: ControllerSettings = SETTINGS
    clock: VirtualClock = field(default_factory=VirtualClock)
    server: MemoryServer = field(default_factory=MemoryServer)
    wrap_store: Callable[[str, Store], Store] = lambda _name, store: store
    wrap_cloud: Callable[[str, Cloud], Cloud] = lambda _name, cloud: cloud
    wrap_cloudwatch: Callable[[str, CloudWatch], CloudWatch] = lambda _name, watch: watch
    wrap_prometheus: Callable[[str, Prometheus], Prometheus] = lambda _name, source: source
    prometheus: dict[str, Prometheus] = field(default_factory=dict)  # by the name in the settings
    with_queue: bool = False  # of EventBridge's events
    wrap_queue: Callable[[str, SimulatedQueue], EventQueue] = lambda _name, queue: queue
    daemons: dict[str, Daemon] = field(default_factory=dict)
    rng: random.Random = field(init=False)
    world: World = field(init=False)
    controls: Controls = field(init=False)
    person: Person = field(init=False)
    store: MemoryStore = field(init=False)
    unknown_endpoints: set[str] = field(default_factory=set)
    wall_offset_s: dict[str, float] = field(default_factory=dict)  # by daemon: how wrong its wall clock is
    _started: int = 0

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.world = World(self.clock, random.Random(self.seed + 1))
        self.controls = Controls(self.world, REGION)
        self.store = MemoryStore(self.clock, self.server)
        self.person = Person(self.store, self.clock)
        self.witness = MemoryWitness()

    witness: MemoryWitness = field(init=False)

    def start(self, name: str = "a") -> Daemon:
        """Start a daemon. A name that ran before is another process on the same machine."""
        self._started += 1
        store: Store = self.wrap_store(name, MemoryStore(self.clock, self.server))
        metrics = DaemonMetrics("test")
        clock = VirtualClock(offset_s=self.wall_offset_s.get(name, 0.0))
        controller = Controller(
            identity=f"{name}-{self._started}",
            address=f"http://{name}.example:7443",
            store=store,
            clouds=lambda region, endpoint: self._cloud(name, region, endpoint),
            queues=lambda region, _endpoint: self._queue(name, region),
            sources=SignalSources(
                cloudwatch=lambda region, _endpoint: self.wrap_cloudwatch(
                    name, SimulatedCloudWatch(self.world, region, caller=name)
                ),
                prometheus=lambda source: self.wrap_prometheus(name, self._prometheus(source)),
            ),
            clock=clock,
            rng=random.Random(self.rng.getrandbits(64)),
            settings=self.settings,
            metrics=metrics,
            witness=self.witness,
        )
        task = asyncio.get_running_loop().create_task(controller.run(), name=f"daemon {name}")
        daemon = self.daemons[name] = Daemon(name, controller, task, metrics, clock)
        return daemon

    def _queue(self, name: str, region: str) -> EventQueue | None:
        return self.wrap_queue(name, SimulatedQueue(self.world, region, caller=name)) if self.with_queue else None

    def _cloud(self, name: str, region: str, endpoint: str | None) -> Cloud:
        """As the daemon's factory: an endpoint that the settings do not name is refused."""
        if endpoint in self.unknown_endpoints:
            raise CloudError(CloudErrorKind.INVALID, "UnknownEndpoint", f"no EC2 endpoint {endpoint!r}")
        return self.wrap_cloud(name, SimulatedCloud(self.world, region, caller=name))

    def _prometheus(self, source: str) -> Prometheus:
        if source not in self.prometheus:
            raise SignalError("UnknownSource", f"the daemon's settings have no Prometheus named {source}")
        return self.prometheus[source]

    async def stop(self, name: str = "a") -> None:
        """Stop a daemon as SIGTERM does."""
        daemon = self.daemons.pop(name)
        daemon.task.cancel()
        await asyncio.gather(daemon.task, return_exceptions=True)

    async def close(self) -> None:
        for name in list(self.daemons):
            await self.stop(name)
        await self.store.close()

    # -- asking ----------------------------------------------------------------------------------------------

    def machines(self) -> list[str]:
        """Ids of all live machines."""
        return [instance.id for instance in live(self.world)]

    async def instances(self, stack: str) -> list[Instance]:
        found: list[Instance] = await self.person.all(kinds.INSTANCE, stack)
        return found

    async def get_layer(self, stack: str, name: str) -> Layer:
        layer: Layer = await self.person.read(kinds.LAYER, name, stack)
        return layer

    async def get_stack(self, name: str) -> Stack | None:
        stack: Stack | None = await self.person.read(kinds.STACK, name)
        return stack

    async def until(self, holds: Callable[[], Any], *, within_s: float, every_s: float = 0.5) -> float:
        """Wait until `holds()` (sync or async) is true; how long it took. Raises AssertionError after `within_s`."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        while True:
            answer = holds()
            if asyncio.iscoroutine(answer):
                answer = await answer
            if answer:
                return loop.time() - began_s
            if loop.time() - began_s > within_s:
                raise AssertionError(
                    f"not so within {within_s:g} s of virtual time: {getattr(holds, '__name__', holds)}"
                )
            await asyncio.sleep(every_s)

    async def online(self, stack: str, count: int, *, within_s: float = 120) -> float:
        """Wait until the stack has exactly so many Instances, all online."""

        async def all_online() -> bool:
            found = await self.instances(stack)
            return len(found) == count and all(i.status.phase == Phase.ONLINE for i in found)

        return await self.until(all_online, within_s=within_s)

    async def empty(self, *, within_s: float = 300) -> float:
        """Wait until nothing of ours is left: no object, no live machine."""

        async def nothing() -> bool:
            objects = [await self.person.all(kind) for kind in kinds.SERVED]
            return not any(objects) and not self.machines()

        return await self.until(nothing, within_s=within_s)
