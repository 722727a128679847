"""The parts that `describe` and `why` are made of: fields in line, conditions, members, events. Prints them."""

import re
from collections.abc import Iterable
from typing import Any

import click

from strata.cli import ages, happenings
from strata.cli.fields import conditions, dig, is_stale
from strata.cli.kinds import INSTANCE, LAYER
from strata.cli.session import Session
from strata.cli.tables import TableWriter, text

Json = dict[str, Any]

_MARGIN = "  "
_FRACTION = re.compile(r"\.\d+(?=Z|[+-]\d\d:\d\d$)")


def pairs(found: Iterable[tuple[str, object]]) -> None:
    """`Name:  web`, values in one line below each other; None is left out."""
    said = [(title, value) for title, value in found if value is not None]
    width = max((len(title) for title, _ in said), default=0) + 1
    for title, value in said:
        lines = value if isinstance(value, list) else [value]
        for at, line in enumerate(lines or ["<none>"]):
            click.echo(f"{title + ':' if at == 0 else '':<{width}}  {line}")


def moment(session: Session, time: object) -> str | None:
    """`2026-11-23T18:53:00Z (5m12s ago)`."""
    whole = _FRACTION.sub("", str(time))
    return f"{whole} ({ages.age(time, session.now())} ago)" if time else None


def table(session: Session, title: str, head: tuple[str, ...], rows: Iterable[list[str]]) -> None:
    """A table under its title; `<none>` if it is empty."""
    found = list(rows)
    click.echo(f"{title}:" if found else f"{title}: <none>")
    TableWriter(head, colour=session.colour, margin=_MARGIN).write(found)


def show_conditions(session: Session, document: Json) -> None:
    now = session.now()
    rows = [
        [
            str(one.get("type")),
            str(one.get("status")),
            text(one.get("reason")),
            ages.age(one.get("lastTransitionTime"), now),
            (one.get("message") or "") + (" (of an older generation)" if is_stale(document, one) else ""),
        ]
        for one in conditions(document)
    ]
    table(session, "Conditions", ("TYPE", "STATUS", "REASON", "AGE", "MESSAGE"), rows)


def show_events(session: Session, document: Json) -> None:
    found = happenings.of_object(session.client, document)
    now = session.now()
    table(session, "Events", happenings.SHORT_HEAD, (happenings.short_row(event, now) for event in found))


def members_of(session: Session, layer: Json) -> list[Json]:
    """The Instances of a layer, its own and hand-made ones."""
    metadata = layer["metadata"]
    items = session.client.list(INSTANCE.collection(metadata["namespace"]))["items"]
    return [item for item in items if metadata["name"] in (dig(item, "spec", "layers") or [])]


def show_members(session: Session, members: list[Json]) -> None:
    head = ("NAME", "PHASE", "EC2 ID", "TYPE", "ZONE", "IP", "AGE")
    now = session.now()
    table(
        session,
        "Members",
        head,
        ([*_machine(one), ages.age(one["metadata"].get("creationTimestamp"), now)] for one in members),
    )


def _machine(instance: Json) -> list[str]:
    ec2 = dig(instance, "status", "ec2") or {}
    machine = [text(ec2.get(field)) for field in ("instanceId", "type", "zone", "privateIp")]
    return [instance["metadata"]["name"], text(dig(instance, "status", "phase")), *machine]


def show_layers(session: Session, stack: Json) -> None:
    items = session.client.list(LAYER.collection(stack["metadata"]["name"]))["items"]
    rows = [
        [
            item["metadata"]["name"],
            text(dig(item, "status", "desired")),
            text(dig(item, "status", "instances", "online") or 0),
            text(next((one["status"] for one in conditions(item) if one["type"] == "Ready"), None)),
        ]
        for item in items
    ]
    table(session, "Layers", ("NAME", "DESIRED", "ONLINE", "READY"), rows)
