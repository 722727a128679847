"""What `describe` and `why` say of a layer's number: its sum, what the clock makes of it next, how many are spot."""

from typing import Any

import msgspec

from strata.cli.fields import dig
from strata.resources import explain_schedule, explain_sum
from strata.resources.layer import Because, NextChange

Json = dict[str, Any]

_WINDOW = "schedule/"


def sum_behind(layer: Json) -> str:
    """`6 = 2 always + 4 schedule/office-hours until 2026-11-23T20:00:00-05:00`."""
    desired = dig(layer, "status", "desired")
    if desired is None or not dig(layer, "status", "observedGeneration"):
        return "a number that is not decided yet"
    because = msgspec.convert(dig(layer, "status", "because") or [], list[Because])
    zones = _zones(layer)
    ends = {one.rule: explain_schedule.moment_in(zones.get(one.rule, "UTC"), one.until) for one in because if one.until}
    return explain_sum.sum_of(desired, because, ends)


def next_change(layer: Json) -> str | None:
    """`2 from 2026-11-23T20:00:00-05:00 on (schedule/office-hours)`; None where the clock changes nothing."""
    said = dig(layer, "status", "nextChange")
    if not said:
        return None
    change = msgspec.convert(said, NextChange)
    at = explain_schedule.moment_in(_zones(layer).get(change.rule, "UTC"), change.at)
    return explain_schedule.next_change(change.desired, at, change.rule)


def spot_share(layer: Json) -> str | None:
    """`3 to be spot: 2 running, 1 on demand for want of spot capacity`; None where none is."""
    spot = dig(layer, "status", "spot") or {}
    wanted, running, fallback = (spot.get(name, 0) for name in ("wanted", "running", "fallback"))
    if not wanted + running + fallback:
        return None
    instead = f", {fallback} on demand for want of spot capacity" if fallback else ""
    return f"{wanted} to be spot: {running} running{instead}"


def _zones(layer: Json) -> dict[str, str]:
    """The time zone of each window, by the name of its rule."""
    windows = dig(layer, "spec", "capacity", "schedule") or []
    return {f"{_WINDOW}{window['name']}": window.get("timeZone") or "UTC" for window in windows}
