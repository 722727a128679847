"""What is served while the store cannot be reached: that we live, and that we wait. Nothing else."""

from collections.abc import Callable, Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from strata.server.context import HealthCheck
from strata.server.health import judge


def create_waiting_app(health: Callable[[], Sequence[HealthCheck]]) -> Starlette:
    """/livez and /readyz of a daemon that has no store yet."""

    async def livez(request: Request) -> Response:
        return judge(request, "livez", [check for check in health() if check.livez])

    async def readyz(request: Request) -> Response:
        return judge(request, "readyz", [check for check in health() if check.readyz])

    app = Starlette(routes=[Route("/livez", livez), Route("/healthz", livez), Route("/readyz", readyz)])
    app.state.close_streams = _nothing_streams
    return app


def _nothing_streams() -> None:
    """There are no watches here to end."""
