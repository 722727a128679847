"""/strata/v1/orphans: machines that nobody accounts for, and what a person decides about each."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from strata.errors import Cause
from strata.resources import codec
from strata.resources.cluster import Orphan
from strata.resources.kinds import LAYER, ORPHANS
from strata.server import body
from strata.server.answers import json_answer
from strata.server.commits import Fate, commit
from strata.server.context import Context
from strata.server.failures import Target, conflict, invalid, not_found
from strata.store.port import KeyValue

_API_VERSION = "strata/v1"
_FIELDS = frozenset({"decision", "adoptInto"})
_DECISIONS = ("adopt", "delete")


class Orphans:
    """The handlers of the orphans."""

    def __init__(self, context: Context) -> None:
        self._store = context.store

    async def list(self, _request: Request) -> Response:
        listing = await self._store.list(ORPHANS)
        items = [_item(kv) for kv in listing.items]
        metadata = {"resourceVersion": str(listing.revision)}
        return json_answer({"apiVersion": _API_VERSION, "kind": "OrphanList", "metadata": metadata, "items": items})

    async def decide(self, request: Request) -> Response:
        """Write the decision, if the record is as it was when it was judged; the record."""
        instance_id = request.path_params["name"]
        target = Target(plural="orphans", name=instance_id)
        decision, layer = _judge(target, await body.read_object(request))
        key = f"{ORPHANS}{instance_id}"
        kv = await self._store.get(key)
        if kv is None:
            raise not_found(target)
        orphan = _readable(target, kv)
        if decision == "adopt":
            await self._require_layer(target, orphan, layer)
        message = orphan.message if (decision, layer) == (orphan.decision, orphan.adopt_into) else ""
        changed = msgspec.structs.replace(orphan, decision=decision, adopt_into=layer, message=message)
        if changed != orphan:
            outcome = await commit(self._store, key, codec.encode(changed), mod_revision=kv.mod_revision)
            if outcome.fate is not Fate.DONE:
                raise conflict(target)
        return json_answer(codec.to_plain(changed))

    async def _require_layer(self, target: Target, orphan: Orphan, layer: str) -> None:
        if not orphan.stack or await self._store.get(LAYER.key(layer, orphan.stack)) is None:
            message = f'Not found: "{layer}": the stack {orphan.stack or "(unknown)"} has no such layer'
            raise invalid("Orphan", target, [Cause("adoptInto", "FieldValueNotFound", message)])


def _item(kv: KeyValue) -> dict[str, Any]:
    """The record as it is; one that cannot be read is a machine all the same, and must hide no other."""
    try:
        item: dict[str, Any] = codec.to_plain(codec.decode(Orphan, kv.value))
    except msgspec.MsgspecError as error:
        return {"instanceId": kv.key.removeprefix(ORPHANS), "message": _unreadable(kv, error)}
    return item


def _readable(target: Target, kv: KeyValue) -> Orphan:
    try:
        return codec.decode(Orphan, kv.value)
    except msgspec.MsgspecError as error:
        raise invalid("Orphan", target, [Cause("", "FieldValueInvalid", _unreadable(kv, error))]) from error


def _unreadable(kv: KeyValue, error: msgspec.MsgspecError) -> str:
    return f"the record {kv.key} cannot be read ({error}): its machine is left alone while it is there"


def _judge(target: Target, wanted: dict[str, Any]) -> tuple[Any, str]:
    """The decision and the layer. Raises Refusal 422 with every cause."""
    decision, layer = wanted.get("decision"), wanted.get("adoptInto", "")
    causes = [Cause(name, "FieldValueForbidden", f'unknown field "{name}"') for name in wanted.keys() - _FIELDS]
    if decision not in _DECISIONS:
        message = f"Unsupported value: supported values: {', '.join(_DECISIONS)}"
        causes.append(Cause("decision", "FieldValueNotSupported", message))
    if not isinstance(layer, str) or "/" in layer or (decision == "adopt") != bool(layer):
        message = "Invalid value: must be a layer's name where the decision is adopt, and absent otherwise"
        causes.append(Cause("adoptInto", "FieldValueInvalid", message))
    if causes:
        raise invalid("Orphan", target, causes)
    return decision, layer
