"""The real API over an in-memory store, under a real uvicorn on a free port, in a thread of this process."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import uvloop
from prometheus_client import CollectorRegistry

from strata.cli.client import Client
from strata.cli.kubeconfig import Connection
from strata.clock import SystemClock
from strata.resources import codec
from strata.resources.cluster import Orphan
from strata.resources.event import Event, ObjectReference
from strata.resources.kinds import EVENTS, INSTANCE, ORPHANS
from strata.resources.meta import API_VERSION, ObjectMeta
from strata.server.app import create_app
from strata.server.listen import serve
from strata.store.memory import MemoryStore
from strata.store.port import Delete, Put

T = TypeVar("T")
Json = dict[str, Any]

_PATIENCE_S = 20


@dataclass
class Served:
    """A running API. What the controller would write is written by the methods here."""

    url: str
    loop: asyncio.AbstractEventLoop
    store: MemoryStore

    @property
    def client(self) -> Client:
        return Client(Connection(url=self.url, source="test"), timeout_s=_PATIENCE_S)

    def on_loop(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(_PATIENCE_S)

    def get(self, path: str) -> Json:
        return self.client.get(f"/apis/{API_VERSION}/{path}")

    def create(self, kind: str, plural: str, name: str, spec: Json, **metadata: Any) -> Json:
        namespace = metadata.get("namespace")
        inside = f"namespaces/{namespace}/" if namespace else ""
        body = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}
        return self.client.create(f"/apis/{API_VERSION}/{inside}{plural}", body)

    def create_slot(self, namespace: str, name: str, layer: str) -> None:
        """An Instance as the Layer pass makes it; the API makes hand-made ones alone."""
        self.create("Instance", "instances", name, {"layers": [layer]}, namespace=namespace)
        key = INSTANCE.key(name, namespace)
        stored = self.on_loop(self.store.get(key))
        if stored is None or b'"manual"' not in stored.value:
            raise AssertionError("it was made by hand")
        self.put(key, stored.value.replace(b'"manual"', b'"layer"'))

    def set_status(self, path: str, **status: Any) -> Json:
        return self.client.patch(f"/apis/{API_VERSION}/{path}/status", {"status": status})

    def patch(self, path: str, body: Json) -> Json:
        return self.client.patch(f"/apis/{API_VERSION}/{path}", body)

    def put(self, key: str, value: bytes) -> None:
        self.on_loop(self.store.txn([], [Put(key, value)]))

    def remove(self, key: str) -> None:
        self.on_loop(self.store.txn([], [Delete(key)]))

    def add_orphan(self, instance_id: str, stack: str) -> None:
        orphan = Orphan(
            instance_id=instance_id,
            region="us-east-1",
            endpoint=None,
            stack=stack,
            type="t3.small",
            found_at=SystemClock().now(),
            held_because="MoreThanUsual",
        )
        self.put(f"{ORPHANS}{instance_id}", codec.encode(orphan))

    def add_event(self, about: Json, reason: str, message: str, *, warning: bool = False, age_s: float = 0) -> None:
        metadata = about["metadata"]
        namespace = metadata.get("namespace") or metadata["name"]
        at = SystemClock().now() - timedelta(seconds=age_s)
        name = f"{metadata['name']}.{reason.lower()}"
        event = Event(
            api_version="v1",
            kind="Event",
            metadata=ObjectMeta(name=name, namespace=namespace, creation_timestamp=at),
            involved_object=ObjectReference(
                api_version=API_VERSION,
                kind=about["kind"],
                name=metadata["name"],
                namespace=metadata.get("namespace", ""),
                uid=metadata["uid"],
            ),
            type="Warning" if warning else "Normal",
            reason=reason,
            message=message,
            count=1,
            first_timestamp=at,
            last_timestamp=at,
        )
        self.put(f"{EVENTS}{namespace}/{name}", codec.encode(event))


@contextmanager
def serving() -> Iterator[Served]:
    """Start, and stop at the end."""
    ready = threading.Event()
    found: list[Served] = []

    def started(served: Served) -> None:
        found.append(served)
        ready.set()

    stop: list[Callable[[], object]] = []
    thread = threading.Thread(target=lambda: _on_uvloop(_run(started, stop)))
    thread.start()
    try:
        if not ready.wait(_PATIENCE_S):
            raise AssertionError("the API did not start")
        yield found[0]
    finally:
        for end in stop:
            end()
        thread.join(_PATIENCE_S)


def _on_uvloop(coroutine: Coroutine[Any, Any, None]) -> None:
    # As the daemon does; asyncio's own loop leaves Nagle's algorithm on, which costs 40 ms an answer.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(coroutine)


async def _run(started: Callable[[Served], None], stop: list[Callable[[], object]]) -> None:
    clock = SystemClock()
    store = MemoryStore(clock)
    loop = asyncio.get_running_loop()
    app = create_app(store=store, clock=clock, registry=CollectorRegistry(), health=list, version="0.0-test")
    task = asyncio.current_task()
    if task is None:
        raise AssertionError("runs as a task")
    stop.append(lambda: loop.call_soon_threadsafe(task.cancel))
    with suppress(asyncio.CancelledError):
        await serve(app, "127.0.0.1", 0, ready=lambda url: started(Served(url, loop, store)))
