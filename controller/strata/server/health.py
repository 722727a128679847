"""/livez, /readyz, /healthz and /metrics: for the supervisor, the load balancer and Prometheus."""

import asyncio
from collections.abc import Iterable, Sequence
from http import HTTPStatus

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from strata.server.context import Context, HealthCheck


class Health:
    """The handlers of the health and metrics endpoints."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def livez(self, request: Request) -> Response:
        return judge(request, "livez", [check for check in self._context.health() if check.livez])

    async def readyz(self, request: Request) -> Response:
        stale = self._context.hub.stale_because()
        hub = HealthCheck("watch-hub", ok=not stale, reason=stale)
        return judge(request, "readyz", [hub, *(check for check in self._context.health() if check.readyz)])

    async def metrics(self, request: Request) -> Response:
        encoder, content_type = choose_encoder(request.headers.get("accept", ""))
        # Collected here, where nothing changes meanwhile; rendered in a thread, where it holds nobody up.
        collected = _Collected(self._context.registry.collect())
        registry = CollectorRegistry()
        registry.register(collected)
        content = await asyncio.to_thread(encoder, registry)
        return Response(content, headers={"content-type": content_type})


class _Collected(Collector):
    """Metrics as they were at one moment."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def judge(request: Request, endpoint: str, checks: Sequence[HealthCheck]) -> Response:
    """The answer to a probe: what is wrong line by line, or ok; `verbose` and `exclude=NAME` as in Kubernetes."""
    excluded = set(request.query_params.getlist("exclude"))
    counted = [check for check in checks if check.name not in excluded]
    well = all(check.ok for check in counted)
    if well and "verbose" not in request.query_params:
        return PlainTextResponse("ok")
    lines = [_line(check) for check in counted]
    lines.append(f"{endpoint} check {'passed' if well else 'failed'}")
    code = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
    return PlainTextResponse("\n".join(lines) + "\n", code)


def _line(check: HealthCheck) -> str:
    mark, word = ("+", "ok") if check.ok else ("-", "failed")
    return f"[{mark}]{check.name} {word}" + (f": {check.reason}" if check.reason else "")
