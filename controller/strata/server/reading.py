"""GET, LIST and WATCH of every collection: the kinds of crds/, namespaces, events."""

from itertools import count

from starlette.requests import Request
from starlette.responses import Response

from strata.server import queries
from strata.server.answers import answer, json_answer
from strata.server.context import Context
from strata.server.failures import not_found
from strata.server.formats import encode_object, negotiate
from strata.server.listing import ListRequest, list_collection
from strata.server.resource import Document, Resource
from strata.server.scales import to_scale
from strata.server.watching import WatchRequest, WatchResponse, spread_timeout_s


class Reader:
    """The reading handlers of one collection."""

    def __init__(self, context: Context, resource: Resource) -> None:
        self._context = context
        self._resource = resource
        self._watches = count()

    async def get(self, request: Request) -> Response:
        form = negotiate(request)
        document = await self._read(request)
        content = encode_object(self._resource, document, form, self._context.clock.now())
        return answer(content, content_type=form.content_type)

    async def get_scale(self, request: Request) -> Response:
        return json_answer(to_scale(self._resource, await self._read(request)))

    async def list_or_watch(self, request: Request) -> Response | WatchResponse:
        return self._watch(request) if queries.flag(request, "watch") else await self._list(request)

    async def _list(self, request: Request) -> Response:
        asked = ListRequest(
            resource=self._resource,
            namespace=request.path_params.get("namespace", ""),
            selection=queries.selection(request, self._resource),
            form=negotiate(request),
            limit=queries.number(request, "limit"),
            token=request.query_params.get("continue", ""),
            revision=queries.exact_revision(request),
        )
        content = await list_collection(asked, store=self._context.store, clock=self._context.clock)
        return answer(content, content_type=asked.form.content_type)

    def _watch(self, request: Request) -> WatchResponse:
        asked = WatchRequest(
            resource=self._resource,
            namespace=request.path_params.get("namespace", ""),
            selection=queries.selection(request, self._resource),
            form=negotiate(request),
            # No revision, or 0: begin with what is there.
            revision=queries.number(request, "resourceVersion") or None,
            bookmarks=queries.flag(request, "allowWatchBookmarks"),
            timeout_s=queries.timeout_s(request) or spread_timeout_s(next(self._watches)),
        )
        context = self._context
        return WatchResponse(asked, hub=context.hub, store=context.store, clock=context.clock)

    async def _read(self, request: Request) -> Document:
        name = request.path_params["name"]
        kv = await self._context.store.get(self._resource.key(request.path_params.get("namespace", ""), name))
        if kv is None:
            raise not_found(self._resource.target(name))
        return self._resource.render(kv)
