"""Applying one object: the three-way merge against the server. Used by apply and diff; prints nothing."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from strata.cli.client import Client
from strata.cli.failures import ApiFailure, CliFailure
from strata.cli.kinds import GROUP, STACK, ResourceType
from strata.cli.threeway import merge, three_way

Json = dict[str, Any]

LAST_APPLIED = f"{GROUP}/last-applied"
MANAGER = "strata-apply"
_SERVER_OWNED = (
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "selfLink",
)
_ATTEMPTS = 5  # against others who write the same object at the same time


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an apply did, or would do. `before` is None for an object that is new."""

    verb: str  # created, configured, unchanged
    before: Json | None
    after: Json
    untracked: bool = False  # the object was there, and never applied: nothing could be removed from it


@dataclass(frozen=True, slots=True)
class Wish:
    """One object as a file wants it."""

    resource: ResourceType
    namespace: str | None
    body: Json

    @property
    def name(self) -> str:
        name: str = self.body["metadata"]["name"]
        return name

    @property
    def path(self) -> str:
        return self.resource.path(self.name, self.namespace)


def wished(body: Json, namespace: str | None) -> Json:
    """The document as it is sent: in its namespace, without what only the server writes, remembering itself."""
    metadata = {key: value for key, value in body["metadata"].items() if key not in _SERVER_OWNED}
    if namespace:
        metadata["namespace"] = namespace
    annotations = {
        key: value for key, value in (metadata.pop("annotations", None) or {}).items() if key != LAST_APPLIED
    }
    if annotations:
        metadata["annotations"] = annotations
    plain = {**{key: value for key, value in body.items() if key != "status"}, "metadata": metadata}
    remembered = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return {**plain, "metadata": {**metadata, "annotations": {**annotations, LAST_APPLIED: remembered}}}


def apply_one(client: Client, wish: Wish, *, dry_run: str = "") -> Outcome:
    """Bring one object to its document. `dry_run` is "", "client" (nothing is sent) or "server" (nothing is kept).

    Raises ApiFailure for what the server refuses. Safe to repeat.
    """
    for attempt in range(_ATTEMPTS):
        live = find(client, wish.path)
        try:
            return _create(client, wish, dry_run) if live is None else _change(client, wish, live, dry_run)
        except ApiFailure as failure:
            # Somebody made, changed or removed it since we looked: look again.
            raced = failure.reason in ("AlreadyExists", "Conflict") or (live is not None and failure.not_found)
            if not raced or attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError("every attempt returns or raises")


def try_out(client: Client, wish: Wish, coming: Collection[str]) -> Outcome:
    """What applying would do, judged by the server; but by us alone where its stack is only `coming` with the same
    files, for the server can judge nothing in a stack that it does not have."""
    try:
        return apply_one(client, wish, dry_run="server")
    except ApiFailure as failure:
        early = wish.namespace in coming and find(client, STACK.path(wish.namespace or "", None)) is None
        if not early or failure.causes:
            raise
        return apply_one(client, wish, dry_run="client")


def find(client: Client, path: str) -> Json | None:
    """The live object, or None."""
    try:
        return client.get(path)
    except ApiFailure as failure:
        if failure.not_found:
            return None
        raise


def _query(dry_run: str) -> dict[str, str]:
    query = {"fieldManager": MANAGER, "fieldValidation": "Strict"}
    return {**query, "dryRun": "All"} if dry_run == "server" else query


def _create(client: Client, wish: Wish, dry_run: str) -> Outcome:
    if dry_run == "client":
        return Outcome("created", None, wish.body)
    made = client.create(wish.resource.collection(wish.namespace), wish.body, query=_query(dry_run))
    return Outcome("created", None, made)


def _change(client: Client, wish: Wish, live: Json, dry_run: str) -> Outcome:
    last = _last_applied(live)
    patch = three_way(last or {}, wish.body, live)
    untracked = last is None
    if not patch:
        return Outcome("unchanged", live, live, untracked)
    if dry_run == "client":
        return Outcome("configured", live, merge(live, patch), untracked)
    after = client.patch(wish.path, patch, query=_query(dry_run))
    return Outcome("unchanged" if _alike(live, after) else "configured", live, after, untracked)


def _alike(live: Json, after: Json) -> bool:
    """Whether a write came to nothing, because the server's defaults say the same. Others may have written status."""
    return comparable(live) == comparable(after)


def comparable(document: Json) -> Json:
    """What people wrote of an object, and the server's defaults; nothing that changes by itself."""
    ignored = ("resourceVersion", "generation", "managedFields")
    metadata = {key: value for key, value in document["metadata"].items() if key not in ignored}
    return {**{key: value for key, value in document.items() if key != "status"}, "metadata": metadata}


def _last_applied(live: Json) -> Json | None:
    text = (live["metadata"].get("annotations") or {}).get(LAST_APPLIED)
    if text is None:
        return None
    try:
        last = json.loads(text)
    except ValueError as error:
        raise CliFailure(f"the annotation {LAST_APPLIED} of the live object is not JSON: {error}") from error
    if not isinstance(last, dict):
        raise CliFailure(f"the annotation {LAST_APPLIED} of the live object is not an object")
    return last
