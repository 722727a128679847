"""The API server, put together: routes, errors as Status objects, and the watch hub's life."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus

import structlog
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from strata.clock import Clock
from strata.errors import StoreError
from strata.server.answers import refusal_answer
from strata.server.cluster import Cluster
from strata.server.context import Context, HealthCheck
from strata.server.crds import CRDS, Crds
from strata.server.dating import DateHeader
from strata.server.discovery import discovery_routes
from strata.server.editing import Editor
from strata.server.events import CORE_EVENTS, GROUP_EVENTS
from strata.server.failures import Refusal, from_store_error
from strata.server.faults import FaultBarrier
from strata.server.guard import LoopbackGuard
from strata.server.health import Health
from strata.server.hub import Hub
from strata.server.namespaces import NAMESPACES
from strata.server.orphans import Orphans
from strata.server.planning import Planning
from strata.server.reading import Reader
from strata.server.resource import Resource, custom_resources
from strata.store.port import Store

__all__ = ["HealthCheck", "create_app"]

_log = structlog.get_logger(__name__)


def create_app(
    *,
    store: Store,
    clock: Clock,
    registry: CollectorRegistry,
    health: Callable[[], Sequence[HealthCheck]],
    version: str,
) -> Starlette:
    """The API as an ASGI application. Its lifespan runs the watch hub, which `app.state.hub` is.

    `health` is asked at every request to /livez and /readyz: it must answer from memory.
    """
    hub = Hub(store, clock)
    context = Context(
        store=store,
        clock=clock,
        registry=registry,
        health=health,
        version=version,
        hub=hub,
        resources=(*custom_resources(), NAMESPACES, CORE_EVENTS, GROUP_EVENTS),
    )

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(hub.run())
            try:
                yield
            finally:
                hub.close()
                following.cancel()

    app = Starlette(
        routes=list(_routes(context)),
        middleware=[Middleware(DateHeader, clock=clock), Middleware(FaultBarrier), Middleware(LoopbackGuard)],
        exception_handlers={
            Refusal: _refused,
            StoreError: _store_failed,
            HTTPException: _not_routed,
        },
        lifespan=lifespan,
    )
    app.state.hub = hub
    app.state.close_streams = hub.close
    return app


def _routes(context: Context) -> Iterator[Route]:
    yield from discovery_routes((*context.resources, CRDS), context.version)
    for resource in context.resources:
        yield from _collection_routes(context, resource)
    crds, orphans, health = Crds(context), Orphans(context), Health(context)
    yield Route(f"{CRDS.path}/{CRDS.plural}", crds.list, methods=["GET"])
    yield Route(f"{CRDS.path}/{CRDS.plural}/{{name}}", crds.get, methods=["GET"])
    yield Route("/strata/v1/cluster", Cluster(context).read, methods=["GET"])
    yield Route("/strata/v1/orphans", orphans.list, methods=["GET"])
    yield Route("/strata/v1/orphans/{name}", orphans.decide, methods=["POST"])
    yield Route("/strata/v1/plan", Planning(context).plan, methods=["POST"])
    yield Route("/livez", health.livez, methods=["GET"])
    yield Route("/healthz", health.livez, methods=["GET"])
    yield Route("/readyz", health.readyz, methods=["GET"])
    yield Route("/metrics", health.metrics, methods=["GET"])


def _collection_routes(context: Context, resource: Resource) -> Iterator[Route]:
    reader = Reader(context, resource)
    collection = f"{resource.path}/{resource.plural}"
    if resource.namespaced:
        # Across all namespaces things can be seen, not made.
        yield Route(collection, reader.list_or_watch, methods=["GET"])
        collection = f"{resource.path}/namespaces/{{namespace}}/{resource.plural}"
    one = f"{collection}/{{name}}"
    yield Route(collection, reader.list_or_watch, methods=["GET"])
    yield Route(one, reader.get, methods=["GET"])
    if "create" in resource.verbs:
        yield from _writing_routes(context, resource, collection)


def _writing_routes(context: Context, resource: Resource, collection: str) -> Iterator[Route]:
    reader, editor = Reader(context, resource), Editor(context, resource)
    one = f"{collection}/{{name}}"
    yield Route(collection, editor.create, methods=["POST"])
    yield Route(collection, editor.delete_collection, methods=["DELETE"])
    yield Route(one, editor.replace, methods=["PUT"])
    yield Route(one, editor.patch, methods=["PATCH"])
    yield Route(one, editor.delete, methods=["DELETE"])
    yield Route(f"{one}/status", reader.get, methods=["GET"])
    yield Route(f"{one}/status", editor.replace_status, methods=["PUT"])
    yield Route(f"{one}/status", editor.patch_status, methods=["PATCH"])
    if resource.definition and resource.definition.scale:
        yield Route(f"{one}/scale", reader.get_scale, methods=["GET"])
        yield Route(f"{one}/scale", editor.replace_scale, methods=["PUT"])
        yield Route(f"{one}/scale", editor.patch_scale, methods=["PATCH"])


async def _refused(_request: Request, error: Exception) -> Response:
    if not isinstance(error, Refusal):
        raise error
    return refusal_answer(error)


async def _store_failed(request: Request, error: Exception) -> Response:
    if not isinstance(error, StoreError):
        raise error
    _log.warning("the store failed a request", method=request.method, path=request.url.path, error=repr(error))
    return refusal_answer(from_store_error(error))


async def _not_routed(request: Request, error: Exception) -> Response:
    code = error.status_code if isinstance(error, HTTPException) else HTTPStatus.INTERNAL_SERVER_ERROR
    if code == HTTPStatus.METHOD_NOT_ALLOWED:
        message = f"{request.method} is not supported on {request.url.path}"
        return refusal_answer(Refusal(code, "MethodNotAllowed", message))
    message = f"the server could not find the requested resource ({request.method} {request.url.path})"
    return refusal_answer(Refusal(code, "NotFound" if code == HTTPStatus.NOT_FOUND else "BadRequest", message))
