"""What the next stored state of an object is, from what is stored and what a client wants. Pure.

The server's own fields come from the stored object, status only through the status subresource, generation counts
changes of spec alone.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from strata.errors import Cause
from strata.resources.meta import FINALIZER
from strata.server.body import BODY_LIMIT_BYTES
from strata.server.failures import Refusal, bad_request, conflict, invalid, too_large
from strata.server.formats import encode
from strata.server.resource import Document, Resource

_SERVER_FIELDS = (
    "name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp",
)  # fmt: skip
_OMITTED_EMPTY = ("labels", "annotations", "finalizers", "ownerReferences", "namespace")


def new_object(resource: Resource, namespace: str, body: Document, *, uid: str, now: datetime) -> Document:
    """A new object as it is to be stored, not yet judged. Raises Refusal 400 for what cannot be meant."""
    metadata = dict(check_type(resource, body))
    if metadata.get("resourceVersion"):
        raise bad_request("resourceVersion should not be set on objects to be created")
    if metadata.get("namespace") not in (None, "", namespace):
        raise _wrong_name("namespace", metadata["namespace"], namespace)
    for field in ("resourceVersion", "deletionTimestamp"):
        metadata.pop(field, None)
    finalizers = _with_finalizer(metadata.get("finalizers"))
    stamps = {"uid": uid, "generation": 1, "creationTimestamp": timestamp(now), "namespace": namespace}
    metadata = tidy({**metadata, **stamps, "finalizers": finalizers})
    return {**body, "metadata": metadata, "status": {}}


def next_object(resource: Resource, old: Document, body: Any) -> Document:  # noqa: ANN401 - JSON
    """The object with everything but its status as `body` has it. Raises Refusal 400 and 409."""
    metadata = _check_same(resource, old, body)
    kept = {name: old["metadata"][name] for name in _SERVER_FIELDS if name in old["metadata"]}
    wanted = {name: value for name, value in metadata.items() if name not in _SERVER_FIELDS}
    if not old["metadata"].get("deletionTimestamp"):
        wanted["finalizers"] = _with_finalizer(wanted.get("finalizers"))
    return {**body, "metadata": tidy({**kept, **wanted}), "status": old.get("status", {})}


def next_status(resource: Resource, old: Document, body: Any) -> Document:  # noqa: ANN401 - JSON
    """The object with another status, and nothing else changed. Raises Refusal 400 and 409."""
    _check_same(resource, old, body)
    return {**old, "status": body.get("status") or {}}


def deleted(old: Document, now: datetime) -> Document:
    """The object, marked as to be deleted once its finalizers are gone."""
    metadata = old["metadata"]
    generation = int(metadata.get("generation", 0)) + 1
    return {**old, "metadata": {**metadata, "deletionTimestamp": timestamp(now), "generation": generation}}


def count_generation(old: Document, new: Document) -> None:
    """Count a changed spec, in place. Both are filled with their defaults."""
    if new.get("spec") != old.get("spec"):
        new["metadata"]["generation"] = int(old["metadata"].get("generation", 0)) + 1


def finalizer_causes(old: Document, new: Document) -> Sequence[Cause]:
    """Why these finalizers may not be: an object that is being deleted takes no new ones."""
    if not old["metadata"].get("deletionTimestamp"):
        return ()
    before, wanted = (document["metadata"].get("finalizers") for document in (old, new))
    # What is no list at all is the schema's business.
    added = [str(name) for name in wanted if name not in (before or ())] if isinstance(wanted, list) else []
    message = f"Forbidden: an object that is being deleted takes no new finalizers: {', '.join(added)}"
    return (Cause("metadata.finalizers", "FieldValueForbidden", message),) if added else ()


def stored_bytes(document: Document) -> bytes:
    """What the store keeps: everything but the resourceVersion. Raises Refusal 413."""
    metadata = {name: value for name, value in document["metadata"].items() if name != "resourceVersion"}
    data = encode({**document, "metadata": metadata})
    if len(data) > BODY_LIMIT_BYTES:
        raise too_large(BODY_LIMIT_BYTES)
    return data


def _with_finalizer(finalizers: Any) -> Any:  # noqa: ANN401 - JSON, not judged yet
    """The finalizers with the controller's own. Whoever replaces an object from a file that names none must not
    lose it: the object would go at once when deleted, and its machines stay."""
    if finalizers is None:
        return [FINALIZER]
    return [*finalizers, FINALIZER] if isinstance(finalizers, list) and FINALIZER not in finalizers else finalizers


def check_type(resource: Resource, body: Any) -> Document:  # noqa: ANN401 - JSON
    """The metadata of a body that says to be of this resource's kind. Raises Refusal 400."""
    if not isinstance(body, dict):
        raise bad_request("the object must be a JSON object")
    for field, expected in (("apiVersion", resource.api_version), ("kind", resource.kind)):
        if not body.get(field):
            raise bad_request(f"the object does not say its {field}: it must be {expected}")
        if body[field] != expected:
            raise bad_request(f"the {field} in the data ({body[field]}) does not match the expected one ({expected})")
    metadata = body.get("metadata")
    if not isinstance(metadata, dict):
        cause = Cause("metadata", "FieldValueRequired", "Required value: say at least the name")
        raise invalid(resource.kind, resource.target(""), [cause])
    return metadata


def timestamp(now: datetime) -> str:
    """The time as the Kubernetes API writes it: UTC, whole seconds."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _check_same(resource: Resource, old: Document, body: Any) -> Document:  # noqa: ANN401 - JSON
    metadata = check_type(resource, body)
    for field in ("name", "namespace"):
        here = old["metadata"].get(field)
        if metadata.get(field) not in (None, "", here):
            raise _wrong_name(field, metadata[field], str(here))
    target = resource.target(old["metadata"]["name"], old["metadata"].get("uid", ""))
    uid = metadata.get("uid")
    if uid and uid != old["metadata"].get("uid"):
        raise conflict(target, f"Precondition failed: UID in the request: {uid}, UID of the object: {target.uid}")
    revision = metadata.get("resourceVersion")
    if revision and revision != old["metadata"]["resourceVersion"]:
        raise conflict(target)
    return metadata


def tidy(metadata: Document) -> Document:
    """Metadata without what is empty: no labels and an empty mapping of them are the same."""
    return {name: value for name, value in metadata.items() if value or name not in _OMITTED_EMPTY}


def _wrong_name(field: str, given: Any, expected: str) -> Refusal:  # noqa: ANN401 - JSON
    return bad_request(f"the {field} of the object ({given}) does not match the {field} of the URL ({expected})")
