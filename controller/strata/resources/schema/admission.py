"""Judges what somebody wants to write, whole: unknown fields, schema, naming, rules. Pure: decides, never stores.

What did not change is not judged again, so that an object which an older version let in can still be relabelled,
finished and deleted.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from strata.errors import Cause
from strata.resources.codec import decode_object
from strata.resources.schema.definition import Definition
from strata.resources.schema.metadata import IGNORED_FIELDS, judge_metadata
from strata.resources.schema.node import Path
from strata.resources.schema.rules import judge_rules
from strata.resources.schema.unknown import prune

_WHERE = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")


@dataclass(frozen=True, slots=True)
class Verdict:
    """`causes` make a document invalid. `unknown` are fields that nobody knows: the caller's mode decides."""

    causes: tuple[Cause, ...]
    unknown: tuple[Path, ...]


def judge_create(definition: Definition, document: dict[str, Any]) -> Verdict:
    """Judge a new object. The document is filled in place: defaults in, nulls and ignored fields out."""
    _settle(definition, document)
    unknown = tuple(definition.unknown_fields(document))
    causes = _judge_metadata(definition, document) + _judge_spec(definition, document, None)
    return Verdict(_with_decoding(definition, document, causes), unknown)


def judge_update(definition: Definition, document: dict[str, Any], old: Mapping[str, Any]) -> Verdict:
    """Judge an object's next state; `old` is filled as well. Fields that were unknown before may stay."""
    _settle(definition, document)
    causes: list[Cause] = []
    if document.get("metadata") != old.get("metadata"):
        causes += _judge_metadata(definition, document)
    if document.get("spec") != old.get("spec"):
        causes += _judge_spec(definition, document, old)
    return Verdict(_with_decoding(definition, document, causes), _newly_unknown(definition, document, old))


def judge_status(definition: Definition, document: dict[str, Any], old: Mapping[str, Any]) -> Verdict:
    """Judge another status of an object; the rest of the document is `old`'s."""
    _settle(definition, document)
    causes = definition.validate("status", document.get("status"))
    return Verdict(_with_decoding(definition, document, causes), _newly_unknown(definition, document, old))


def prune_unknown(document: dict[str, Any], unknown: tuple[Path, ...]) -> None:
    """Remove unknown fields, in place."""
    prune(document, list(unknown))


def _settle(definition: Definition, document: dict[str, Any]) -> None:
    metadata = document.get("metadata")
    if isinstance(metadata, dict):
        for name in IGNORED_FIELDS:
            metadata.pop(name, None)
    definition.fill(document)


def _judge_metadata(definition: Definition, document: Mapping[str, Any]) -> list[Cause]:
    metadata = document.get("metadata")
    causes = definition.validate("metadata", metadata)
    if isinstance(metadata, dict):
        causes += judge_metadata(metadata)
    return causes


def _judge_spec(definition: Definition, document: Mapping[str, Any], old: Mapping[str, Any] | None) -> list[Cause]:
    if "spec" not in document:
        return [Cause("spec", "FieldValueRequired", "Required value: say what is wanted")]
    causes = definition.validate("spec", document["spec"])
    return causes + list(judge_rules(definition.kind.plural, document, old))


def _newly_unknown(definition: Definition, document: Mapping[str, Any], old: Mapping[str, Any]) -> tuple[Path, ...]:
    before = set(definition.unknown_fields(old))
    return tuple(path for path in definition.unknown_fields(document) if path not in before)


def _with_decoding(definition: Definition, document: Mapping[str, Any], causes: list[Cause]) -> tuple[Cause, ...]:
    # The last check: what the schema lets in, every reader of the store must be able to decode.
    if not causes:
        try:
            decode_object(definition.kind, msgspec.json.encode(document), mod_revision=0)
        except (msgspec.ValidationError, OverflowError) as error:
            where = _WHERE.search(str(error))
            causes = [Cause(where["path"] if where else "", "FieldValueInvalid", _WHERE.sub("", str(error)))]
    return tuple(causes)
