"""JSON merge patch (RFC 7386) and JSON Patch (RFC 6902), with bounds on what a patch may cost."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Protocol

import msgspec
from jsonpath import JSONPatch, JSONPatchError, JSONPointer, JSONPointerError

from strata.server.body import BODY_LIMIT_BYTES, check_depth_and_text
from strata.server.failures import Refusal, bad_request

MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"

_OPERATIONS_LIMIT = 1_000
_OPERATIONS = frozenset({"add", "remove", "replace", "move", "copy", "test"})


class Patch(Protocol):
    """Makes an object's next state. May be applied again, to a newer state."""

    def apply(self, document: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON: a patch may make anything
        """The next state; the given one may be changed. Raises Refusal 422 when it does not fit."""
        ...


class MergePatch:
    """A JSON merge patch."""

    def __init__(self, body: Any) -> None:  # noqa: ANN401 - JSON
        if not isinstance(body, dict):
            raise bad_request("a merge patch must be a JSON object")
        self._body = body

    def apply(self, document: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
        return _merge(document, self._body)


def _merge(target: Any, patch: Any) -> Any:  # noqa: ANN401 - JSON
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merge(merged.get(name), value)
    return merged


class JsonPatch:
    """A JSON Patch: operations in order, all or none."""

    def __init__(self, body: Any) -> None:  # noqa: ANN401 - JSON
        if not isinstance(body, list):
            raise bad_request("a JSON Patch must be a list of operations")
        if len(body) > _OPERATIONS_LIMIT:
            raise bad_request(f"a JSON Patch may have at most {_OPERATIONS_LIMIT} operations, this has {len(body)}")
        for index, operation in enumerate(body):
            # The library knows more than the standard does.
            if not isinstance(operation, dict) or operation.get("op") not in _OPERATIONS:
                raise bad_request(f"operation {index}: op must be one of {', '.join(sorted(_OPERATIONS))}")
        self._encoded = msgspec.json.encode(body)
        _operations(body)

    def apply(self, document: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
        # Decoded anew each time: applied values become part of the document and must not be shared.
        body: list[dict[str, Any]] = msgspec.json.decode(self._encoded)
        copied_bytes = 0
        result: Any = document
        for index, (operation, said) in enumerate(zip(_operations(body), body, strict=True)):
            if said["op"] == "copy":
                copied_bytes += _size_bytes(result, said["from"])
                if copied_bytes > BODY_LIMIT_BYTES:
                    raise bad_request(f"operation {index}: the patch copies more than {BODY_LIMIT_BYTES} bytes")
            try:
                result = operation.apply(result)
            except (JSONPatchError, JSONPointerError, ValueError, TypeError, LookupError) as error:
                raise _unfit(index, said, error) from None
            except RecursionError:
                raise bad_request(f"operation {index}: nests the object too deeply") from None
        check_depth_and_text(result)
        return result


def _operations(body: list[dict[str, Any]]) -> list[JSONPatch]:
    made = []
    for index, said in enumerate(body):
        try:
            made.append(JSONPatch([said], unicode_escape=False))
        except (JSONPatchError, JSONPointerError) as error:
            raise bad_request(f"operation {index}: {error}") from None
    return made


def _size_bytes(document: Any, pointer: str) -> int:  # noqa: ANN401 - JSON
    try:
        return len(msgspec.json.encode(JSONPointer(pointer, unicode_escape=False).resolve(document)))
    except JSONPointerError:
        return 0  # applying the operation says what is wrong


def _unfit(index: int, said: Mapping[str, Any], error: Exception) -> Refusal:
    what = "the test failed" if said["op"] == "test" else (str(error) or type(error).__name__)
    message = f"operation {index} ({said['op']} {said.get('path')}): {what}"
    return Refusal(422, "Invalid", f"the patch does not fit the object: {message}")


PATCHES: Mapping[str, type[MergePatch] | type[JsonPatch]] = MappingProxyType(
    {MERGE_PATCH: MergePatch, JSON_PATCH: JsonPatch}
)
