"""Internal records: who this cluster is, and which machines nobody accounts for."""

from datetime import datetime
from typing import Literal

import msgspec

from strata.resources.meta import Record


class ClusterIdentity(Record, frozen=True, kw_only=True, omit_defaults=False):
    """`id` is a random UUID made once in the store, the value of the cluster tag. `incarnation` is raised when the
    store is found to be another one or older than what was seen. `held_because` "" means that orphans may be reaped.
    `accounts` has, for each place (a region, or region@endpoint) that was ever used, the AWS account of its machines.
    """

    id: str
    incarnation: int = 1
    store_id: str = ""
    held_because: str = ""
    held_since: datetime | None = None
    accounts: dict[str, str] = msgspec.field(default_factory=dict)


class Orphan(Record, frozen=True, kw_only=True, omit_defaults=False):
    """A live machine with our cluster's tag that no Launch record accounts for, held for a person's decision.

    `decision` is written by `strata orphans adopt|delete`, and acted on by the reaper."""

    instance_id: str
    region: str
    endpoint: str | None
    stack: str = ""
    layer: str = ""
    name: str = ""
    launch_id: str = ""
    type: str = ""
    zone: str = ""
    launched_at: datetime | None = None
    found_at: datetime
    held_because: str = ""
    decision: Literal["", "adopt", "delete"] = ""
    adopt_into: str = ""
    message: str = ""
