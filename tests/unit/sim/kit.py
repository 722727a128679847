"""A world under a hand-held clock, and short words for what the tests do with it."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from strata_sim import actions
from strata_sim.catalog import Catalog, default_catalog
from strata_sim.controls import Controls
from strata_sim.machines import Seen
from strata_sim.run import Reservation
from strata_sim.world import World

REGION = "us-east-1"
DEBIAN = "ami-0deb12000000000a1"
START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
BOOTED_S = 3.0  # pending 1 s, checks passed 2 s after


class HandClock:
    """Time stands still until a test moves it; `ahead_s` is how far people set the wall time forward."""

    def __init__(self) -> None:
        self.passed_s = 0.0
        self.ahead_s = 0.0

    def now(self) -> datetime:
        return START + timedelta(seconds=self.passed_s + self.ahead_s)

    def monotonic_s(self) -> float:
        return self.passed_s

    def advance(self, seconds: float) -> None:
        self.passed_s += seconds


class Sim:
    """One world, one region, one caller. `under`: a launch's client token."""

    def __init__(self, catalog: Catalog | None = None, seed: int = 7) -> None:
        self.clock = HandClock()
        self.world = World(self.clock, random.Random(seed), catalog or default_catalog())
        self.controls = Controls(self.world, REGION)

    def call(self, action: actions.Action[Any], **params: Any) -> Any:
        return self.world.call(REGION, action, params, "tester")

    def launch(self, count: int = 1, *, under: str = "", **changes: Any) -> list[str]:
        return [seen.instance.id for seen in self.run(count, under=under, **changes).seen]

    def run(self, count: int = 1, *, under: str = "", **changes: Any) -> Reservation:
        params: dict[str, Any] = {
            "ImageId": DEBIAN,
            "InstanceType": "t3.small",
            "SubnetId": "subnet-0a",
            "MinCount": 1,
            "MaxCount": count,
        }
        given = params | ({"ClientToken": under} if under else {}) | changes
        found: Reservation = self.call(actions.RUN_INSTANCES, **given)
        return found

    def describe(self, *filters: tuple[str, tuple[str, ...]], **params: Any) -> list[Seen]:
        given = {"Filters": [{"Name": name, "Values": list(values)} for name, values in filters]} if filters else {}
        rows: list[Seen] = self.call(actions.DESCRIBE_INSTANCES, **given, **params).rows
        return rows

    def ids(self, *filters: tuple[str, tuple[str, ...]], **params: Any) -> list[str]:
        return [seen.instance.id for seen in self.describe(*filters, **params)]

    def states(self) -> list[str]:
        return [seen.view.state for seen in self.describe()]

    def terminate(self, *instance_ids: str) -> None:
        self.call(actions.TERMINATE_INSTANCES, InstanceIds=list(instance_ids))


def tags(**pairs: str) -> list[dict[str, Any]]:
    """TagSpecifications for instances."""
    return [{"ResourceType": "instance", "Tags": [{"Key": key, "Value": value} for key, value in pairs.items()]}]
