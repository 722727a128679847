"""metadata: the same for all kinds. Its schema (CRDs may not describe it) and the Kubernetes API's naming rules."""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from strata.errors import Cause
from strata.resources.schema.causes import show

_ANNOTATIONS_LIMIT_BYTES = 256 * 1024
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_QUALIFIED = re.compile(
    r"(?:(?P<domain>[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)/)?"
    r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
)
_DOMAIN_LIMIT = 253


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}


def _time(description: str) -> dict[str, Any]:
    return {"type": "string", "format": "date-time", "nullable": True, "description": description}


_OWNER = {
    "type": "object",
    "description": "One owner.",
    "required": ["apiVersion", "kind", "name", "uid"],
    "properties": {
        "apiVersion": _text("The owner's API version."),
        "kind": _text("The owner's kind."),
        "name": _text("The owner's name."),
        "uid": _text("The owner's uid."),
        "controller": {"type": "boolean", "description": "Whether this owner is the one that manages the object."},
        "blockOwnerDeletion": {"type": "boolean", "description": "Whether the owner waits for this object to go."},
    },
}

METADATA_FIELDS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "name": _text("The object's name, unique among its kind in its namespace. It never changes."),
        "namespace": _text("The name of the Stack that the object belongs to. It never changes."),
        "uid": _text("The object's identity over all time; set by the server."),
        "resourceVersion": _text("The version of the object; a write that says an older one is refused."),
        "generation": {
            "type": "integer",
            "description": "Counts the changes of what people want (spec); set by the server.",
        },
        "creationTimestamp": _time("When the object was made, UTC; set by the server."),
        "deletionTimestamp": _time("When its deletion was asked for, UTC; set by the server."),
        "finalizers": {
            "type": "array",
            "description": "What must be cleaned up, each by its owner, before the object goes.",
            "items": _text("The name of one duty, such as `strata.dev/controller`."),
        },
        "ownerReferences": {"type": "array", "description": "What this object belongs to.", "items": _OWNER},
        "labels": {
            "type": "object",
            "description": "Short names and values to select objects by.",
            "additionalProperties": _text("A label's value, at most 63 characters."),
        },
        "annotations": {
            "type": "object",
            "description": "Notes of people and programs; at most 256 KiB in all.",
            "additionalProperties": _text("A note."),
        },
    }
)

# Sent by clients of the Kubernetes API, meaningless here: dropped without a word.
IGNORED_FIELDS = ("managedFields", "selfLink", "deletionGracePeriodSeconds")


def metadata_schema(restrictions: Mapping[str, Any]) -> dict[str, Any]:
    """The structural schema of metadata with a CRD's own restrictions of the name merged in."""
    properties = {name: dict(field) for name, field in METADATA_FIELDS.items()}
    for name, field in restrictions.get("properties", {}).items():
        properties[name] = {**properties[name], **field}
    return {
        "type": "object",
        "description": "Name, labels and what the server keeps about every object.",
        "required": ["name"],
        "properties": properties,
    }


def judge_metadata(metadata: Mapping[str, Any]) -> Iterator[Cause]:
    """Wrong labels, annotations and finalizers. Types were checked before; wrong ones are skipped."""
    yield from _judge_labels(_mapping(metadata, "labels"))
    yield from _judge_annotations(_mapping(metadata, "annotations"))
    finalizers = metadata.get("finalizers")
    for index, name in enumerate(finalizers if isinstance(finalizers, list) else ()):
        if isinstance(name, str) and not _is_qualified(name):
            yield _invalid(f"metadata.finalizers[{index}]", name, "must be a qualified name, such as example.com/duty")


def _judge_labels(labels: Mapping[str, Any]) -> Iterator[Cause]:
    for key, value in labels.items():
        if not _is_qualified(key):
            yield _invalid("metadata.labels", key, "a label's key must be a qualified name, such as example.com/team")
        if isinstance(value, str) and not _LABEL_VALUE.fullmatch(value):
            yield _invalid(
                f"metadata.labels[{key}]", value,
                "must be at most 63 letters, digits, '-', '_' or '.', and begin and end with a letter or digit",
            )  # fmt: skip


def _judge_annotations(annotations: Mapping[str, Any]) -> Iterator[Cause]:
    size_bytes = 0
    for key, value in annotations.items():
        size_bytes += len(key.encode()) + len(str(value).encode())
        if not _is_qualified(key.lower()):
            yield _invalid("metadata.annotations", key, "an annotation's key must be a qualified name")
    if size_bytes > _ANNOTATIONS_LIMIT_BYTES:
        message = f"Too long: must have at most {_ANNOTATIONS_LIMIT_BYTES} bytes in all, has {size_bytes}"
        yield Cause("metadata.annotations", "FieldValueTooLong", message)


def _mapping(metadata: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = metadata.get(name)
    return value if isinstance(value, dict) else {}


def _is_qualified(name: str) -> bool:
    match = _QUALIFIED.fullmatch(name)
    return match is not None and len(match["domain"] or "") <= _DOMAIN_LIMIT


def _invalid(field: str, value: str, must: str) -> Cause:
    return Cause(field, "FieldValueInvalid", f"Invalid value: {show(value)}: {must}")
