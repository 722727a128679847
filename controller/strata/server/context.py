"""What every handler is given."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from strata.clock import Clock
from strata.server.hub import Hub
from strata.server.resource import Resource
from strata.store.port import Store


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """One thing that must be well. `reason` says why it is not, or how well it is. It counts for /livez (restart
    the process when it fails), for /readyz (send no requests while it fails), or both."""

    name: str
    ok: bool
    reason: str = ""
    livez: bool = False
    readyz: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The daemon's parts that handlers use."""

    store: Store
    clock: Clock
    registry: CollectorRegistry
    health: Callable[[], Sequence[HealthCheck]]
    version: str
    hub: Hub
    resources: tuple[Resource, ...]
