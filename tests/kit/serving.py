"""The API under a real uvicorn on a free port, in this loop."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

from strata.clock import Clock
from strata.server.app import create_app
from strata.server.listen import serve
from strata.store.port import Store


@dataclass
class Serving:
    url: str
    app: Starlette
    client: httpx.AsyncClient
    registry: CollectorRegistry
    task: "asyncio.Task[None]"

    @asynccontextmanager
    async def watch(self, path: str, **query: str) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """A watch's events, as they come."""
        params = {"watch": "true", **query}
        async with self.client.stream("GET", path, params=params) as response:
            assert response.status_code == 200, await response.aread()
            yield (json.loads(line) async for line in response.aiter_lines())


@asynccontextmanager
async def run_server(store: Store, clock: Clock) -> AsyncIterator[Serving]:
    """The API, until the end of the block."""
    registry = CollectorRegistry()
    app = create_app(store=store, clock=clock, registry=registry, health=list, version="0.1.0")
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(serve(app, "127.0.0.1", 0, ready=url.set_result))
        async with asyncio.timeout(10):
            base_url = await url
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=base_url, timeout=20, limits=limits) as client:
            try:
                yield Serving(base_url, app, client, registry, task)
            finally:
                task.cancel()
