"""The HTTP face: AWS's protocols and the admin API on one port. Owns the server, knows no action."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from strata_sim.admin import Admin
from strata_sim.api import ABORT, Api
from strata_sim.prometheus import Prometheus
from strata_sim.world import World

_BACKLOG = 512


class _AbortableProtocol(HttpToolsProtocol):
    """Leaves the connection's `abort` in the scope, so that a reply can get lost."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"][ABORT] = self.transport.abort


class _ReadyServer(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to the process that embeds this server."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


def application(world: World) -> Starlette:
    aws = Route("/", Api(world).serve, methods=["POST"])
    return Starlette(routes=[*Admin(world).routes(), *Prometheus(world).routes(), aws])


@asynccontextmanager
async def serving(world: World, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve a world while the context lasts; gives the endpoint's URL. Port 0: a free one."""
    listener = socket.create_server((host, port), backlog=_BACKLOG)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # inherited; asyncio sets it only if proto is said
    config = uvicorn.Config(
        application(world), http=_AbortableProtocol, ws="none", lifespan="off", log_config=None, access_log=False
    )
    server = _ReadyServer(config)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve(sockets=[listener]))
        try:
            await server.ready.wait()
            yield f"http://{host}:{listener.getsockname()[1]}"
        finally:
            world.ending = True  # long polls would hold the server's end up
            server.should_exit = True
