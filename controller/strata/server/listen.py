"""Serves the API over HTTP with uvicorn. Knows nothing of what is served, but that it has watches to end."""

import asyncio
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette

from strata.errors import StrataError
from strata.server.guard import is_loopback

_SHUTDOWN_S = 5
_KEEP_ALIVE_S = 75
_BACKLOG = 1024


class CannotListen(StrataError):  # noqa: N818
    """The address cannot be served; the message says why, and what to do."""


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens soon; port 0 takes a free one. Raises CannotListen."""
    if not is_loopback(host):
        raise CannotListen(
            f"refusing to listen on {host!r}: there are no identities yet, so whoever reaches the API is in charge of "
            "every machine; listen on 127.0.0.1 and reach it through ssh -L or the like"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections inherit it. The loop sets it by itself only where the socket says its protocol, which this one
        # does not; without it each answer of two writes waits 40 ms for the other side's delayed acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise CannotListen(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    return listener


def url_of(listener: socket.socket) -> str:
    """The URL that a bound socket is reached at."""
    host, port, *_ = listener.getsockname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve(app: Starlette, host: str, port: int, *, ready: Callable[[str], None] | None = None) -> None:
    """Serve until cancelled; then end watches at once and give other requests a few seconds.

    `app.state.close_streams` ends what would stream for ever. `ready` is called with the URL once connections are
    taken. Raises CannotListen. Runs on the caller's loop, which should be uvloop's.
    """
    with bind(host, port) as listener:
        server = _Server(app, lambda: ready(url_of(listener)) if ready else None)
        await server.serve([listener])
    if server.cancelled:
        raise asyncio.CancelledError


class _Server(uvicorn.Server):
    """uvicorn, but signals are the daemon's business, and a cancelled server still says goodbye."""

    def __init__(self, app: Starlette, on_ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="none",
                http="httptools",
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,  # `app` says the time, by the daemon's clock
                backlog=_BACKLOG,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=_SHUTDOWN_S,
            )
        )
        self.cancelled = False
        self._app = app
        self._on_ready = on_ready

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    async def main_loop(self) -> None:
        try:
            await super().main_loop()
        except asyncio.CancelledError:
            # Swallowed here and raised again by `serve`, so that the shutdown in between runs.
            self.cancelled = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.state.close_streams()  # or they would be waited for
        await super().shutdown(sockets)
