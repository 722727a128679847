"""Events: which there are of an object, in the order of time, and their rows in a table."""

import re
from datetime import datetime
from typing import Any

from strata.cli import ages
from strata.cli.client import Client
from strata.cli.fields import dig
from strata.cli.kinds import EVENT, LAYER

Json = dict[str, Any]

_LAST = 10  # how many `describe` and `why` show


def of_object(client: Client, document: Json) -> list[Json]:
    """The last few events of this very object, oldest first; of an Instance also those of its layer that name it.
    Those of a Stack are in the namespace of its name."""
    metadata = document["metadata"]
    namespace = metadata.get("namespace") or metadata["name"]
    found = _of(client, namespace, metadata["uid"])
    named = re.compile(rf"(?<![\w.-]){re.escape(metadata['name'])}(?![\w.-]*\w)")
    for owner in metadata.get("ownerReferences") or []:
        if owner["kind"] == LAYER.kind:
            found += [event for event in _of(client, namespace, owner["uid"]) if named.search(_message(event))]
    return in_order(found)[-_LAST:]


def _of(client: Client, namespace: str, uid: str) -> list[Json]:
    query = {"fieldSelector": f"involvedObject.uid={uid}"}
    items: list[Json] = client.list(EVENT.collection(namespace), query=query)["items"]
    return items


def in_order(events: list[Json]) -> list[Json]:
    """Oldest first; those of one second in the order in which they were written."""
    return sorted(events, key=lambda event: (str(event.get("lastTimestamp") or ""), _written(event)))


def _message(event: Json) -> str:
    return str(event.get("message") or "")


def _written(event: Json) -> int:
    version = str(dig(event, "metadata", "resourceVersion") or "")
    return int(version) if version.isdecimal() else 0


def when(event: Json, now: datetime) -> str:
    """`5m`, or `5m (x3 over 20m)` for one that came again."""
    last = ages.age(event.get("lastTimestamp"), now)
    count = event.get("count") or 1
    return f"{last} (x{count} over {ages.age(event.get('firstTimestamp'), now)})" if count > 1 else last


def about(event: Json) -> str:
    """layer/web."""
    return (
        f"{str(dig(event, 'involvedObject', 'kind') or 'object').lower()}/{dig(event, 'involvedObject', 'name') or '?'}"
    )


def short_row(event: Json, now: datetime) -> list[str]:
    return [event.get("type", ""), event.get("reason", ""), when(event, now), _message(event)]


SHORT_HEAD = ("TYPE", "REASON", "AGE", "MESSAGE")
