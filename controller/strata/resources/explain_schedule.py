"""What is said of windows of time, in the same words wherever it is said."""

from datetime import UTC, datetime

from strata.resources.zones import find_zone


def next_change(desired: int, at: str, rule: str) -> str:
    """`2 from 2026-11-23T20:00:00-05:00 on (schedule/office-hours)`."""
    return f"{desired} from {at} on ({rule})"


def moment_in(time_zone: str, at: datetime) -> str:
    """`2026-11-23T20:00:00-05:00`: by the clocks of a window's own zone; in UTC where nobody here knows that."""
    local = at.astimezone(find_zone(time_zone) or UTC)
    return local.isoformat(timespec="seconds").replace("+00:00", "Z")
