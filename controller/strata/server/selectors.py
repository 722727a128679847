"""labelSelector and fieldSelector: parsed once a request, asked for every object."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from strata.server.failures import bad_request

_REQUIREMENT = re.compile(
    r"\s*(?:(?P<absent>!)\s*(?P<absent_key>[^\s!=,()]+)"
    r"|(?P<set_key>[^\s!=,()]+)\s+(?P<set_op>in|notin)\s*\((?P<values>[^()]*)\)"
    r"|(?P<key>[^\s!=,()]+)\s*(?:(?P<op>==|!=|=)\s*(?P<value>[^\s!=,()]*))?)\s*(?:,|$)"
)

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class FieldRequirement:
    path: str
    value: str
    equal: bool


@dataclass(frozen=True, slots=True)
class Selection:
    """What a request selects. `name` and `namespace` are set when exactly one is asked for by fieldSelector."""

    labels: tuple[Callable[[Labels], bool], ...] = ()
    fields: tuple[FieldRequirement, ...] = ()

    @property
    def everything(self) -> bool:
        return not self.labels and not self.fields

    def only(self, path: str) -> str | None:
        """The single value that the field at this path may have, if one is asked for."""
        return next((field.value for field in self.fields if field.equal and field.path == path), None)

    def matches(self, document: Mapping[str, Any]) -> bool:
        """Whether this object is selected."""
        labels = document["metadata"].get("labels") or {}
        return all(test(labels) for test in self.labels) and all(
            (_text_at(document, field.path) == field.value) == field.equal for field in self.fields
        )


def parse_selection(label_selector: str, field_selector: str, selectable: frozenset[str]) -> Selection:
    """Both selectors of a request. Raises Refusal 400 for what is malformed or not selectable."""
    return Selection(tuple(_parse_labels(label_selector)), tuple(_parse_fields(field_selector, selectable)))


def _parse_labels(text: str) -> list[Callable[[Labels], bool]]:
    tests: list[Callable[[Labels], bool]] = []
    position = 0
    while position < len(text):
        match = _REQUIREMENT.match(text, position)
        if match is None:
            raise bad_request(f"unable to parse labelSelector at {text[position:]!r}")
        tests.append(_label_test(match.groupdict()))
        position = match.end()
    return tests


def _label_test(part: Mapping[str, str | None]) -> Callable[[Labels], bool]:
    if part["absent"]:
        absent = part["absent_key"]
        return lambda labels: absent not in labels
    if key := part["set_key"]:
        values = frozenset(value.strip() for value in (part["values"] or "").split(","))
        if part["set_op"] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    name, value = part["key"] or "", part["value"]
    if part["op"] is None:
        return lambda labels: name in labels
    if part["op"] == "!=":
        return lambda labels: labels.get(name) != value
    return lambda labels: labels.get(name) == value


def _parse_fields(text: str, selectable: frozenset[str]) -> list[FieldRequirement]:
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = re.fullmatch(r"([^=!]+?)\s*(==|!=|=)\s*(.*)", part)
        if match is None:
            raise bad_request(f"unable to parse fieldSelector at {part!r}")
        path, operator, value = match.groups()
        if path not in selectable:
            raise bad_request(f"field label not supported: {path}; supported: {', '.join(sorted(selectable))}")
        found.append(FieldRequirement(path, value, operator != "!="))
    return found


def _text_at(document: Mapping[str, Any], path: str) -> str:
    value: Any = document
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return "" if value is None else str(value)
