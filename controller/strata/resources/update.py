"""How a layer's machines are renewed and taken out, as people write it; and how far a rollout is."""

from datetime import datetime
from typing import Literal

from strata.resources.meta import Record


class Update(Record, frozen=True, kw_only=True):
    """`max_surge` and `max_unavailable` are counts (`1`) or shares of desired (`10%`). `max_age` is a duration: older
    machines are rolled, for ever; those launched before `restarted_at` are rolled once."""

    strategy: Literal["RollingUpdate", "OnDelete"] = "RollingUpdate"
    max_surge: int | str = 1
    max_unavailable: int | str = 0
    paused: bool = False
    max_age: str | None = None
    restarted_at: datetime | None = None


class Shutdown(Record, frozen=True, kw_only=True):
    """`drain`: whether a machine that is taken out runs on for `timeout` first."""

    drain: bool = True
    timeout: str = "120s"


class RolloutStatus(Record, frozen=True, kw_only=True):
    """How many of the `total` slots have a machine of the present template (`updated`), and how many one that is to
    go (`outdated`). `since` is when the template, or another reason to roll, was first seen. `message` says what the
    rollout waits for, if it waits."""

    template: str
    revision: int = 0
    updated: int = 0
    outdated: int = 0
    total: int = 0
    since: datetime
    message: str = ""
