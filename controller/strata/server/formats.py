"""Content negotiation and the bytes of objects, lists and watch events in each form: JSON, Table, metadata only."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from http import HTTPStatus

import msgspec
from starlette.requests import Request

from strata.server.failures import Refusal, bad_request
from strata.server.resource import Document, Resource, partial
from strata.server.tables import column_definitions, row, table

JSON_TYPE = "application/json"
_META = "meta.k8s.io"
_ANY = frozenset({"application/json", "application/*", "*/*"})
_INCLUDES = ("None", "Metadata", "Object")

_encoder = msgspec.json.Encoder()
encode = _encoder.encode


class Form(enum.Enum):
    OBJECT = "object"
    TABLE = "Table"
    PARTIAL = "PartialObjectMetadata"


@dataclass(frozen=True, slots=True)
class Format:
    """How a client wants objects. Hashable: the watch hub keeps encoded events by it."""

    form: Form = Form.OBJECT
    include: str = "Metadata"  # a Table's rows carry no object, its metadata, or all of it
    columns: bool = True  # whether a Table says its columns: a watch does so once

    @property
    def content_type(self) -> str:
        if self.form is Form.OBJECT:
            return JSON_TYPE
        return f"{JSON_TYPE};as={self.form.value};v=v1;g={_META}"

    def without_columns(self) -> "Format":
        return replace(self, columns=False)


def negotiate(request: Request) -> Format:
    """The first form of the Accept header that is served. Raises Refusal 406 if none is."""
    accept = request.headers.get("accept", "*/*")
    include = request.query_params.get("includeObject") or "Metadata"
    if include not in _INCLUDES:
        raise bad_request(f"includeObject must be one of {', '.join(_INCLUDES)}, not {include!r}")
    for clause in accept.split(","):
        media, *parameters = (part.strip() for part in clause.split(";"))
        said = dict(part.split("=", 1) for part in parameters if "=" in part)
        if media.lower() not in _ANY:
            continue
        wanted = said.get("as", "")
        if not wanted:
            return Format()
        if said.get("g") == _META and said.get("v") == "v1":
            form = {"Table": Form.TABLE}.get(wanted, Form.PARTIAL)
            if wanted.removesuffix("List") in {"Table", "PartialObjectMetadata"}:
                return Format(form, include if form is Form.TABLE else "Metadata")
    message = f"only {JSON_TYPE}, also as Table and PartialObjectMetadata of {_META}/v1, is served; asked for: {accept}"
    raise Refusal(HTTPStatus.NOT_ACCEPTABLE, "NotAcceptable", message)


def encode_object(resource: Resource, document: Document, form: Format, now: datetime) -> bytes:
    """One object as an answer, or as the object of a watch event."""
    if form.form is Form.OBJECT:
        return encode(document)
    if form.form is Form.PARTIAL:
        return encode(partial(document))
    metadata = {"resourceVersion": document["metadata"].get("resourceVersion", "")}
    columns = column_definitions(resource) if form.columns else []
    return encode(table([row(resource, document, now, form.include)], metadata, columns))


def encode_item(resource: Resource, document: Document, form: Format, now: datetime) -> bytes:
    """One object as a part of a list."""
    if form.form is Form.TABLE:
        return encode(row(resource, document, now, form.include))
    return encode(document if form.form is Form.OBJECT else partial(document))


def encode_list(resource: Resource, items: Sequence[bytes], metadata: Document, form: Format) -> bytes:
    """A list of encoded items as an answer."""
    if form.form is Form.TABLE:
        head, field = table([], metadata, column_definitions(resource)), "rows"
        del head["rows"]
    elif form.form is Form.PARTIAL:
        head, field = _list_head(f"{_META}/v1", "PartialObjectMetadataList", metadata), "items"
    else:
        head, field = _list_head(resource.api_version, f"{resource.kind}List", metadata), "items"
    return b'%b,"%b":[%b]}' % (encode(head)[:-1], field.encode(), b",".join(items))


def _list_head(api_version: str, kind: str, metadata: Document) -> Document:
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def encode_bookmark(resource: Resource, revision: int, form: Format) -> bytes:
    """The object of a BOOKMARK: nothing but the revision up to which everything was sent."""
    metadata = {"resourceVersion": str(revision)}
    if form.form is Form.TABLE:
        return encode(table([], metadata, column_definitions(resource) if form.columns else []))
    if form.form is Form.PARTIAL:
        return encode(_list_head(f"{_META}/v1", "PartialObjectMetadata", metadata))
    return encode(_list_head(resource.api_version, resource.kind, metadata))
