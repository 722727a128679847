"""What every object has: metadata, conditions, owner references, in the Kubernetes API's terms."""

from datetime import datetime
from typing import Literal

import msgspec

API_GROUP = "strata.dev"
API_VERSION = f"{API_GROUP}/v1alpha1"
FINALIZER = f"{API_GROUP}/controller"


class Record(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A piece of an object: frozen, camelCase on the wire, defaults left out."""


class OwnerReference(Record, frozen=True, kw_only=True):
    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool = False
    block_owner_deletion: bool = False


class ObjectMeta(Record, frozen=True, kw_only=True):
    """`resource_version` is never stored: it is the key's mod_revision, filled in when read."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[OwnerReference, ...] = ()
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    annotations: dict[str, str] = msgspec.field(default_factory=dict)

    @property
    def deleting(self) -> bool:
        return self.deletion_timestamp is not None


ConditionStatus = Literal["True", "False", "Unknown"]


class Condition(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One condition of an object. `last_transition_time` moves only when `status` does."""

    type: str
    status: ConditionStatus
    reason: str
    message: str = ""
    observed_generation: int = 0
    last_transition_time: datetime


def find_condition(conditions: tuple[Condition, ...], type_: str) -> Condition | None:
    """The condition of this type, or None."""
    return next((condition for condition in conditions if condition.type == type_), None)


def is_true(conditions: tuple[Condition, ...], type_: str) -> bool:
    condition = find_condition(conditions, type_)
    return condition is not None and condition.status == "True"
