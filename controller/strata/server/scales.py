"""The scale subresource: an autoscaling/v1 Scale as a view of three fields of an object."""

from typing import Any

from strata.errors import Cause
from strata.server.failures import bad_request, invalid, not_found
from strata.server.resource import Document, Resource

_API_VERSION, _KIND = "autoscaling/v1", "Scale"
_SHOWN = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def to_scale(resource: Resource, document: Document) -> Document:
    """The Scale of this object."""
    paths = _paths(resource, document)
    metadata = {name: document["metadata"][name] for name in _SHOWN if name in document["metadata"]}
    return {
        "apiVersion": _API_VERSION,
        "kind": _KIND,
        "metadata": metadata,
        "spec": {"replicas": _at(document, paths.spec_replicas) or 0},
        "status": {
            "replicas": _at(document, paths.status_replicas) or 0,
            "selector": _at(document, paths.selector) or "",
        },
    }


def with_scale(resource: Resource, document: Document, scale: Any) -> Document:  # noqa: ANN401 - JSON
    """The object as this Scale wants it. Raises Refusal 400 and 422."""
    if not isinstance(scale, dict) or scale.get("kind", _KIND) != _KIND:
        raise bad_request(f"the object must be a {_KIND} of {_API_VERSION}")
    spec, metadata = scale.get("spec"), scale.get("metadata")
    replicas = spec.get("replicas", 0) if isinstance(spec, dict) else None
    if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 0:
        cause = Cause("spec.replicas", "FieldValueInvalid", "Invalid value: must be an integer of at least 0")
        raise invalid(_KIND, resource.target(document["metadata"]["name"]), [cause])
    said = metadata if isinstance(metadata, dict) else {}
    pinned = {name: said[name] for name in ("name", "namespace", "uid", "resourceVersion") if said.get(name)}
    changed = {**document, "metadata": {**document["metadata"], **pinned}}
    *parents, last = _paths(resource, document).spec_replicas
    place: Document = changed
    for name in parents:
        place[name] = dict(place.get(name) or {})
        place = place[name]
    place[last] = replicas
    return changed


def _paths(resource: Resource, document: Document) -> Any:  # noqa: ANN401 - ScalePaths
    scale = resource.definition.scale if resource.definition else None
    if scale is None:
        raise not_found(resource.target(document["metadata"]["name"]), ": it has no scale")
    return scale


def _at(document: Document, path: tuple[str, ...]) -> Any:  # noqa: ANN401 - JSON
    value: Any = document
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
