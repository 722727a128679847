"""Lists that stay true: a list, then its watch, for as long as it is wanted.

A dropped stream is opened again at the last revision seen; a revision that is too old (410) means a new list, and what
changed in between is told as if it had been watched. So no change is lost, and none is told twice.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from strata.cli.client import JSON, Client, status_failure
from strata.cli.failures import ApiFailure, StreamBroken, Unreachable
from strata.clock import Clock

Json = dict[str, Any]
Identity = tuple[
    str, str, str
]  # namespace, name, uid: another object of the same name is another one; events have no uid

_SILENCE_S = 60.0  # the server sends a bookmark every 10 s or so: a minute of nothing is a dead connection
_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 5.0
_RETRIED = (429, 500, 502, 503, 504)  # a server that is starting, stopping or between leaders


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to one object. `item` is the object, or its Table row; for DELETED the last one known."""

    type: str
    item: Json


@dataclass
class Watch:
    """One collection. `items` holds what is known now, in the list's order."""

    client: Client
    clock: Clock
    pause: Callable[[float], None]
    path: str
    query: dict[str, str]
    accept: str = JSON
    items: dict[Identity, Json] = field(default_factory=dict)
    _revision: str = ""

    def start(self) -> Json:
        """List; the answer as it came, now in `items`."""
        answer = self.client.list(self.path, query=self.query, accept=self.accept)
        self._revision = answer["metadata"]["resourceVersion"]
        self.items = {_identity(item): item for item in _parts(answer)}
        return answer

    def changes(self, deadline_s: float | None = None) -> Iterator[Change]:
        """Every change since the start, until the clock's monotonic `deadline_s`.

        Raises ApiFailure for what trying again cannot mend; a server that is away is waited for.
        """
        wait_s = _PAUSE_S
        while (left_s := self._left(deadline_s)) > 0:
            try:
                for change in self._stream(left_s):
                    wait_s = _PAUSE_S
                    yield change
                    if self._left(deadline_s) <= 0:
                        return
            except (StreamBroken, Unreachable):
                pass
            except ApiFailure as failure:
                if failure.expired:
                    yield from self._relisted()
                elif failure.code not in _RETRIED:
                    raise
            self.pause(min(wait_s, self._left(deadline_s)))
            wait_s = min(wait_s * 2, _LONGEST_PAUSE_S)

    def _left(self, deadline_s: float | None) -> float:
        return math.inf if deadline_s is None else max(0.0, deadline_s - self.clock.monotonic_s())

    def _stream(self, left_s: float) -> Iterator[Change]:
        silence_s = min(_SILENCE_S, left_s)
        bounded = {} if left_s == math.inf else {"timeoutSeconds": str(math.ceil(left_s))}
        query = {**self.query, **bounded, "watch": "true", "allowWatchBookmarks": "true"}
        query["resourceVersion"] = self._revision
        for event in self.client.stream(self.path, query=query, accept=self.accept, silence_s=silence_s):
            if event["type"] == "ERROR":
                raise status_failure(event["object"])
            yield from self._event(event["type"], event["object"])

    def _event(self, type_: str, document: Json) -> Iterator[Change]:
        parts = [] if type_ == "BOOKMARK" else _parts(document)
        for item in parts:
            if self._is_news(type_, item):
                yield Change(type_, item)
        revision = _metadata(parts[-1] if parts else document).get("resourceVersion")
        # Only now: a change that was not handed over must come again.
        self._revision = revision or self._revision

    def _is_news(self, type_: str, item: Json) -> bool:
        """Note the item; whether it says something that is not known already."""
        which = _identity(item)
        known = self.items.get(which)
        if type_ == "DELETED":
            return self.items.pop(which, None) is not None
        self.items[which] = item
        return known is None or _metadata(known)["resourceVersion"] != _metadata(item)["resourceVersion"]

    def _relisted(self) -> Iterator[Change]:
        before = dict(self.items)
        try:
            self.start()
        except Unreachable:
            return
        except ApiFailure as failure:
            if failure.code not in _RETRIED:
                raise
            return
        yield from _differences(before, self.items)


def _differences(before: dict[Identity, Json], now: dict[Identity, Json]) -> list[Change]:
    gone = [Change("DELETED", item) for which, item in before.items() if which not in now]
    changed = [
        Change("MODIFIED" if which in before else "ADDED", item)
        for which, item in now.items()
        if which not in before or _metadata(before[which])["resourceVersion"] != _metadata(item)["resourceVersion"]
    ]
    return gone + changed


def _parts(document: Json) -> list[Json]:
    """The objects of a list, the rows of a Table, or the one object itself."""
    if document.get("kind") == "Table":
        return document.get("rows") or []
    return document["items"] if isinstance(document.get("items"), list) else [document]


def _metadata(item: Json) -> Json:
    """The metadata of an object, or of a Table row's object."""
    holder = item["object"] if "cells" in item else item
    found: Json = holder.get("metadata") or {}
    return found


def _identity(item: Json) -> Identity:
    metadata = _metadata(item)
    return metadata.get("namespace", ""), metadata["name"], metadata.get("uid", "")
