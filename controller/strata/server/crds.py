"""The CustomResourceDefinitions, read-only: what crds/ says, as a Kubernetes API server would show it."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from strata.resources.schema import Column, definitions
from strata.server import queries
from strata.server.answers import answer
from strata.server.context import Context
from strata.server.failures import Refusal, not_found
from strata.server.formats import encode_item, encode_list, encode_object, negotiate
from strata.server.resource import AGE, Document, Resource

# They are a part of the program: they have one version, and were there before the first object.
_REVISION = "1"

CRDS = Resource(
    group="apiextensions.k8s.io",
    version="v1",
    plural="customresourcedefinitions",
    singular="customresourcedefinition",
    kind="CustomResourceDefinition",
    namespaced=False,
    prefix="",
    show=lambda document: document,
    columns=(Column("Scope", "string", ".spec.scope"), Column("Kind", "string", ".spec.names.kind"), AGE),
    selectable=frozenset({"metadata.name"}),
    short_names=("crd", "crds"),
    verbs=("get", "list"),
)


def _documents() -> dict[str, Document]:
    return {
        definition.document["metadata"]["name"]: _served(definition.document) for definition in definitions().values()
    }


def _served(document: Any) -> Document:  # noqa: ANN401 - JSON
    conditions = [
        {"type": type_, "status": "True", "reason": reason, "message": ""}
        for type_, reason in (("NamesAccepted", "NoConflicts"), ("Established", "InitialNamesAccepted"))
    ]
    status = {
        "conditions": conditions,
        "acceptedNames": document["spec"]["names"],
        "storedVersions": [version["name"] for version in document["spec"]["versions"]],
    }
    return {**document, "metadata": {**document["metadata"], "resourceVersion": _REVISION}, "status": status}


class Crds:
    """The handlers of the CRDs."""

    def __init__(self, context: Context) -> None:
        self._clock = context.clock
        self._documents = _documents()

    async def get(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._documents:
            raise not_found(CRDS.target(name))
        form = negotiate(request)
        content = encode_object(CRDS, self._documents[name], form, self._clock.now())
        return answer(content, content_type=form.content_type)

    async def list(self, request: Request) -> Response:
        if queries.flag(request, "watch"):
            raise Refusal(405, "MethodNotAllowed", "CustomResourceDefinitions never change here, and are not watched")
        form, selection = negotiate(request), queries.selection(request, CRDS)
        chosen = [document for document in self._documents.values() if selection.matches(document)]
        items = [encode_item(CRDS, document, form, self._clock.now()) for document in chosen]
        content = encode_list(CRDS, items, {"resourceVersion": _REVISION}, form)
        return answer(content, content_type=form.content_type)
