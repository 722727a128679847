"""Events: which there are of an object, in the order of time, and their rows in a table."""

from datetime import datetime
from typing import Any

from strata.cli import ages
from strata.cli.client import Client
from strata.cli.fields import dig
from strata.cli.kinds import EVENT

Json = dict[str, Any]

_LAST = 10  # how many `describe` and `why` show


def of_object(client: Client, document: Json) -> list[Json]:
    """The last few events of this very object, oldest first. Those of a Stack are in the namespace of its name."""
    metadata = document["metadata"]
    namespace = metadata.get("namespace") or metadata["name"]
    query = {"fieldSelector": f"involvedObject.uid={metadata['uid']}"}
    items = client.list(EVENT.collection(namespace), query=query)["items"]
    return in_order(items)[-_LAST:]


def in_order(events: list[Json]) -> list[Json]:
    """Oldest first."""
    return sorted(events, key=lambda event: str(event.get("lastTimestamp") or ""))


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
    return [event.get("type", ""), event.get("reason", ""), when(event, now), event.get("message", "")]


SHORT_HEAD = ("TYPE", "REASON", "AGE", "MESSAGE")
