"""Events: one stored record, shown as core/v1 and as events.k8s.io/v1. Read-only: the controller writes them."""

from typing import Any

from strata.resources.kinds import EVENTS
from strata.resources.schema import Column
from strata.server.resource import METADATA_FIELDS, Document, Resource

_REFERENCE_FIELDS = ("apiVersion", "kind", "name", "namespace", "uid")


def _show_core(event: Document) -> Document:
    source = event.get("reportingComponent", "")
    return {
        **event,
        "apiVersion": "v1",
        "kind": "Event",
        "source": {"component": source},
        "reportingInstance": event.get("reportingInstance", ""),
        # What the columns and field selectors need beside the Kubernetes API's own fields.
        "metadata": event["metadata"],
    }


def _show_group(event: Document) -> Document:
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": event["metadata"],
        "eventTime": event.get("firstTimestamp"),
        "regarding": event.get("involvedObject", {}),
        "reason": event.get("reason", ""),
        "note": event.get("message", ""),
        "type": event.get("type", ""),
        "action": event.get("reason", ""),
        "reportingController": event.get("reportingComponent", ""),
        "reportingInstance": event.get("reportingInstance", ""),
        "deprecatedCount": event.get("count", 1),
        "deprecatedFirstTimestamp": event.get("firstTimestamp"),
        "deprecatedLastTimestamp": event.get("lastTimestamp"),
        "deprecatedSource": {"component": event.get("reportingComponent", "")},
    }


def _columns(reference: str, last: str, count: str, message: str) -> tuple[Column, ...]:
    return (
        Column("Last Seen", "date", last, description="When it happened last"),
        Column("Type", "string", ".type", description="Normal or Warning"),
        Column("Reason", "string", ".reason", description="What happened, in one word"),
        Column("Object", "string", reference, format="reference", description="What it happened to"),
        Column("Message", "string", message, description="What happened, for people"),
        Column("Count", "integer", count, priority=1, description="How often it happened"),
        Column("Name", "string", ".metadata.name", priority=1, description="The event's name"),
    )


def _resource(reference: str, **named: Any) -> Resource:  # noqa: ANN401 - the fields of Resource
    return Resource(
        version="v1",
        plural="events",
        singular="event",
        kind="Event",
        namespaced=True,
        prefix=EVENTS,
        short_names=("ev",),
        selectable=METADATA_FIELDS
        | {"reason", "type", named.pop("reporter")}
        | {f"{reference}.{name}" for name in _REFERENCE_FIELDS},
        **named,
    )


CORE_EVENTS = _resource(
    "involvedObject",
    group="",
    show=_show_core,
    reporter="reportingComponent",
    columns=_columns(".involvedObject", ".lastTimestamp", ".count", ".message"),
)
GROUP_EVENTS = _resource(
    "regarding",
    group="events.k8s.io",
    show=_show_group,
    reporter="reportingController",
    columns=_columns(".regarding", ".deprecatedLastTimestamp", ".deprecatedCount", ".note"),
)
