"""Event: what happened to an object, and why. Stored once, served as core/v1 and events.k8s.io/v1; gone after 24 h."""

from datetime import datetime
from typing import Literal

from strata.resources.meta import ObjectMeta, Record


class ObjectReference(Record, frozen=True, kw_only=True):
    api_version: str = ""
    kind: str
    name: str
    namespace: str = ""
    uid: str = ""


class Event(Record, frozen=True, kw_only=True, omit_defaults=False):
    """In core/v1's shape. `metadata.namespace` is the stack's name, also for events of the Stack itself."""

    api_version: str
    kind: str
    metadata: ObjectMeta
    involved_object: ObjectReference
    type: Literal["Normal", "Warning"]
    reason: str
    message: str
    count: int
    first_timestamp: datetime
    last_timestamp: datetime
    reporting_component: str = "strata"
