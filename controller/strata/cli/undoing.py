"""What must be written into a layer's spec.instance so that its machines are made from an earlier template again."""

from typing import Any

import msgspec

from strata.cli.failures import CliFailure
from strata.cli.fields import dig
from strata.cli.rolling import number_of
from strata.resources.stack import InstanceTemplate

Json = dict[str, Any]

_FIELDS = tuple(field.encode_name for field in msgspec.structs.fields(InstanceTemplate))


def choose(layer: Json, stack: Json, revisions: list[Json], number: int | None) -> Json:
    """The revision of this number; without one the last that is not the present template.

    Raises CliFailure if there is none.
    """
    if number is not None:
        found = next((one for one in revisions if number_of(one) == number), None)
        if found is None:
            known = ", ".join(str(number_of(one)) for one in revisions) or "none"
            raise CliFailure(f"there is no revision {number} of layer/{layer['metadata']['name']}; kept are: {known}")
        return found
    earlier = [one for one in revisions if differences(layer, stack, one)]
    if not earlier:
        raise CliFailure(f"layer/{layer['metadata']['name']} has no earlier template to go back to")
    return earlier[-1]


def differences(layer: Json, stack: Json, revision: Json) -> Json:
    """The fields of spec.instance that differ from the revision's, with its values; None where it says nothing."""
    wanted = revision["spec"]["instance"]
    return {name: wanted.get(name) for name in _FIELDS if _present(layer, stack, name) != wanted.get(name)}


def patch_of(layer: Json, stack: Json, changes: Json) -> Json:
    """A merge patch of the layer that makes these changes. Raises CliFailure for what only the stack could unsay."""
    by_stack = [name for name, value in changes.items() if value is None and _said(stack, name) is not None]
    if by_stack:
        said = ", ".join(f"spec.instance.{name}" for name in by_stack)
        raise CliFailure(f"that template did not have what the stack says of {said}: change the stack")
    fields = {name: _whole(_said(layer, name), value) for name, value in changes.items()}
    return {"metadata": {"resourceVersion": layer["metadata"]["resourceVersion"]}, "spec": {"instance": fields}}


def _whole(before: Any, after: Any) -> Any:  # noqa: ANN401 - JSON
    """A value that, merged into the one before, leaves nothing of it."""
    if not isinstance(after, dict) or not isinstance(before, dict):
        return after
    return dict.fromkeys(before, None) | after


def _present(layer: Json, stack: Json, name: str) -> Any:  # noqa: ANN401 - JSON
    """The layer's own value, else its stack's; of an image what it came to, if that is known."""
    value = _said(layer, name)
    value = _said(stack, name) if value is None else value
    if name != "image" or not isinstance(value, dict):
        return value
    frozen = dig(layer, "status", "image") or {}
    source = f"id:{value['id']}" if value.get("id") else f"ssm:{value.get('ssmParameter')}"
    return {"id": frozen.get("id"), "ssmParameter": ""} if frozen.get("source") == source else value


def _said(document: Json, name: str) -> Any:  # noqa: ANN401 - JSON
    return dig(document, "spec", "instance", name)
