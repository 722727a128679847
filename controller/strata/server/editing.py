"""POST, PUT, PATCH and DELETE of the kinds that clients may write."""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from strata.errors import Cause
from strata.server import body, queries
from strata.server.answers import answer, json_answer
from strata.server.context import Context
from strata.server.failures import Refusal, Target, invalid, success, unsupported_media_type
from strata.server.formats import Format, encode_item, encode_list, encode_object, negotiate
from strata.server.patches import PATCHES, Patch
from strata.server.resource import Document, Resource
from strata.server.scales import to_scale, with_scale
from strata.server.writing import Change, Preconditions, Writer, Written, require_version

_PROPAGATIONS = ("Background", "Foreground", "Orphan")


class Editor:
    """The writing handlers of one collection."""

    def __init__(self, context: Context, resource: Resource) -> None:
        self._context = context
        self._resource = resource
        self._writer = Writer(context.store, context.clock)

    async def create(self, request: Request) -> Response:
        # What may be refused is asked before anything is written.
        form, options = negotiate(request), queries.write_options(request)
        document = await body.read_object(request)
        written = await self._writer.create(self._resource, _namespace(request), document, options)
        return self._answer(written, form, code=HTTPStatus.CREATED)

    async def replace(self, request: Request) -> Response:
        return await self._replace(request, "spec")

    async def replace_status(self, request: Request) -> Response:
        return await self._replace(request, "status")

    async def replace_scale(self, request: Request) -> Response:
        # Some clients send a Scale without a Content-Type, and one of its own version.
        scale = await body.read_object(request)
        return await self._scale(request, lambda document: with_scale(self._resource, document, scale))

    async def patch(self, request: Request) -> Response:
        return await self._patch(request, "spec")

    async def patch_status(self, request: Request) -> Response:
        return await self._patch(request, "status")

    async def patch_scale(self, request: Request) -> Response:
        patch = await _read_patch(request)

        def change(document: Document) -> Document:
            return with_scale(self._resource, document, patch.apply(to_scale(self._resource, document)))

        return await self._scale(request, change)

    async def delete(self, request: Request) -> Response:
        form = negotiate(request)
        preconditions, dry_run = await _read_delete_options(request)
        name = request.path_params["name"]
        written = await self._writer.delete(self._resource, _namespace(request), name, preconditions, dry_run=dry_run)
        if not written.gone:
            return self._answer(written, form)
        return json_answer(success(self._resource.target(name, written.document["metadata"].get("uid", ""))))

    async def delete_collection(self, request: Request) -> Response:
        """Delete all that is selected; the answer lists what was."""
        form, selection = negotiate(request), queries.selection(request, self._resource)
        _, dry_run = await _read_delete_options(request)
        listing = await self._context.store.list(self._resource.prefix_of(_namespace(request)))
        items = []
        for kv in listing.items:
            document = self._resource.render(kv)
            after = await self._delete_listed(document, dry_run=dry_run) if selection.matches(document) else None
            if after:
                items.append(encode_item(self._resource, after, form, self._context.clock.now()))
        metadata = {"resourceVersion": str(listing.revision)}
        return answer(encode_list(self._resource, items, metadata, form), content_type=form.content_type)

    async def _delete_listed(self, document: Document, *, dry_run: bool) -> Document | None:
        metadata = document["metadata"]
        # Another object of the same name, made since, was not listed and is not meant.
        same = Preconditions(uid=metadata.get("uid", ""))
        try:
            written = await self._writer.delete(
                self._resource, metadata.get("namespace", ""), metadata["name"], same, dry_run=dry_run
            )
        except Refusal as refusal:
            if refusal.code in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}:
                return None
            raise
        return written.document

    async def _replace(self, request: Request, part: str) -> Response:
        document = await body.read_object(request)
        require_version(document, self._resource, request.path_params["name"])
        return await self._update(request, lambda _old: document, part)

    async def _patch(self, request: Request, part: str) -> Response:
        patch = await _read_patch(request)
        return await self._update(request, patch.apply, part)

    async def _update(self, request: Request, change: Change, part: str) -> Response:
        form = negotiate(request)
        return self._answer(await self._write(request, change, part), form)

    async def _scale(self, request: Request, change: Change) -> Response:
        written = await self._write(request, change, "spec")
        return json_answer(to_scale(self._resource, written.document))

    async def _write(self, request: Request, change: Change, part: str) -> Written:
        options = queries.write_options(request)
        name = request.path_params["name"]
        return await self._writer.update(self._resource, _namespace(request), name, change, options, part=part)

    def _answer(self, written: Written, form: Format, *, code: int = HTTPStatus.OK) -> Response:
        content = encode_object(self._resource, written.document, form, self._context.clock.now())
        return answer(content, code=code, content_type=form.content_type, warnings=written.warnings)


def _namespace(request: Request) -> str:
    namespace: str = request.path_params.get("namespace", "")
    return namespace


async def _read_patch(request: Request) -> Patch:
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    kind = PATCHES.get(media_type)
    if kind is None:
        raise unsupported_media_type(media_type or "none given", list(PATCHES))
    return kind(body.parse(await body.read_bytes(request)))


async def _read_delete_options(request: Request) -> tuple[Preconditions, bool]:
    """DeleteOptions: from the body, or as query parameters."""
    options = await body.read_optional_object(request)
    said = options.get("preconditions") or {}
    propagation = options.get("propagationPolicy") or request.query_params.get("propagationPolicy") or "Background"
    dry_runs = options.get("dryRun") or request.query_params.getlist("dryRun")
    if not isinstance(said, dict) or not isinstance(dry_runs, list):
        cause = Cause("preconditions", "FieldValueTypeInvalid", "Invalid value: must be a mapping, and dryRun a list")
        raise invalid("DeleteOptions", Target(), [cause])
    if propagation not in _PROPAGATIONS:
        message = f'Unsupported value: "{propagation}": supported values: {", ".join(_PROPAGATIONS)}'
        raise invalid("DeleteOptions", Target(), [Cause("propagationPolicy", "FieldValueNotSupported", message)])
    preconditions = Preconditions(str(said.get("uid") or ""), str(said.get("resourceVersion") or ""))
    return preconditions, queries.dry_run(dry_runs)
