"""The API server in-process: requests through httpx, watches as ASGI streams, on real or virtual time."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, MutableMapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpx
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from tests.kit import documents

from strata.clock import Clock
from strata.resources.kinds import LAYER, STACK
from strata.server.app import HealthCheck, create_app
from strata.store.port import Put, Store

BASE = f"/apis/{documents.API_VERSION}"
STACKS = f"{BASE}/stacks"
LAYERS = f"{BASE}/namespaces/todo/layers"
INSTANCES = f"{BASE}/namespaces/todo/instances"
MERGE = {"content-type": "application/merge-patch+json"}
JSON_PATCH = {"content-type": "application/json-patch+json"}
TABLE = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}
PARTIAL = {"accept": "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"}

Message = MutableMapping[str, Any]


class Watch:
    """One watch, run as the server would run it. Lines are taken one by one."""

    def __init__(self, app: Starlette, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> None:
        self.status = 0
        self.ended = asyncio.Event()
        self._app = app
        self._scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
            "path": path, "raw_path": path.encode(), "root_path": "", "query_string": urlencode(query).encode(),
            "headers": [(b"host", b"localhost"), *((k.encode(), v.encode()) for k, v in headers.items())],
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2),
        }  # fmt: skip
        self._chunks: asyncio.Queue[bytes] = asyncio.Queue()
        self._rest = b""
        self.started = asyncio.Event()
        self._gone = asyncio.Event()
        self.may_send = asyncio.Event()
        self.may_send.set()

    async def run(self) -> None:
        await self._app(self._scope, self._receive, self._send)
        self.ended.set()
        self._chunks.put_nowait(b"")

    async def next(self) -> dict[str, Any]:
        """The next event."""
        while b"\n" not in self._rest:
            chunk = await self._chunks.get()
            assert chunk, f"the watch ended; left over: {self._rest!r}"
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        event: dict[str, Any] = json.loads(line)
        return event

    async def take(self, count: int) -> list[tuple[str, str]]:
        """The next events, as type and name."""
        events = [await self.next() for _ in range(count)]
        return [(event["type"], event["object"]["metadata"]["name"]) for event in events]

    def disconnect(self) -> None:
        """The client goes."""
        self._gone.set()

    async def _receive(self) -> Message:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            return
        # A client that reads nothing: the server waits here.
        await self.may_send.wait()
        self.started.set()
        if message.get("body"):
            self._chunks.put_nowait(message["body"])


@dataclass
class Api:
    """The API over a store."""

    app: Starlette
    store: Store
    client: httpx.AsyncClient
    checks: list[HealthCheck] = field(default_factory=list)

    async def make_stack(self, name: str = "todo", **spec: Any) -> dict[str, Any]:
        return ok(await self.client.post(STACKS, json=documents.stack(name, **spec)), 201)

    async def make_layer(
        self, name: str = "web", *, labels: dict[str, str] | None = None, **spec: Any
    ) -> dict[str, Any]:
        return ok(await self.client.post(LAYERS, json=documents.layer(name, labels=labels, **spec)), 201)

    async def get(self, path: str, **query: str) -> dict[str, Any]:
        return ok(await self.client.get(path, params=query))

    async def patch(self, path: str, body: Any, **query: str) -> httpx.Response:
        return await self.client.patch(path, json=body, headers=MERGE, params=query)

    @asynccontextmanager
    async def watch(self, path: str, headers: Mapping[str, str] | None = None, /, **query: str) -> AsyncIterator[Watch]:
        watch = Watch(self.app, path, {"watch": "true", **query}, headers or {})
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(watch.run())
            await watch.started.wait()
            try:
                yield watch
            finally:
                watch.may_send.set()
                watch.disconnect()
                await running

    async def stored(self, key: str) -> dict[str, Any]:
        """What the store has at a key."""
        kv = await self.store.get(key)
        assert kv is not None
        document: dict[str, Any] = json.loads(kv.value)
        return document

    async def revision(self) -> int:
        return (await self.store.list("/")).revision

    async def put(self, key: str, value: dict[str, Any]) -> None:
        """Write as the controller would: straight into the store."""
        await self.put_raw(key, json.dumps(value).encode())

    async def put_raw(self, key: str, value: bytes) -> None:
        result = await self.store.txn([], [Put(key, value)])
        assert result.succeeded


@asynccontextmanager
async def run_api(store: Store, clock: Clock) -> AsyncIterator[Api]:
    """The API with its hub running."""
    checks: list[HealthCheck] = []

    def health() -> Sequence[HealthCheck]:
        return checks

    app = create_app(store=store, clock=clock, registry=CollectorRegistry(), health=health, version="0.1.0")
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        yield Api(app, store, client, checks)


def ok(response: httpx.Response, code: int = 200) -> dict[str, Any]:
    assert response.status_code == code, response.text
    body: dict[str, Any] = response.json()
    return body


def refused(response: httpx.Response, code: int, reason: str) -> dict[str, Any]:
    """The Status of a refused request."""
    body: dict[str, Any] = response.json()
    assert (response.status_code, body.get("kind"), body.get("reason")) == (code, "Status", reason), response.text
    assert body["code"] == code
    assert body["message"]
    return body


def causes(status: dict[str, Any]) -> set[str]:
    return {cause["field"] for cause in status["details"]["causes"]}


STACK_KEY = STACK.key("todo")
WEB_KEY = LAYER.key("web", "todo")
