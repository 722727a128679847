"""How many machines a layer should have, as people write it: the numbers, and the windows of time that add to them."""

from datetime import date
from typing import Literal

import msgspec

from strata.resources.load import Load
from strata.resources.meta import Record

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class ScheduleWindow(Record, frozen=True, kw_only=True, cache_hash=True):
    """A window of time that adds `instances` while it is open: either `from_` and `to` (`08:00`) on `days` (none: all
    of them), or `cron` with `duration`. Durations as text (`10m`)."""

    name: str
    instances: int
    time_zone: str = "UTC"
    days: tuple[Day, ...] = ()
    from_: str | None = msgspec.field(default=None, name="from")
    to: str | None = None
    cron: str | None = None
    duration: str | None = None
    except_: tuple[date, ...] = msgspec.field(default=(), name="except")
    lead: str = "0s"


class Capacity(Record, frozen=True, kw_only=True):
    """desired = clamp(always + every open window, min, max); `max` None: no upper limit. `scale_in` says what becomes
    of a machine that is taken out: it ends, or is kept as a stopped, warm one."""

    always: int = 0
    min: int = 0
    max: int | None = None
    schedule: tuple[ScheduleWindow, ...] = ()
    load: Load | None = None
    scale_in: Literal["terminate", "stop"] = "terminate"
