"""How long ago, as kubectl says it: 45s, 5m12s, 3h7m, 2d4h, 40d."""

from datetime import datetime

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3_600, 86_400
# Up to this many seconds (exclusive): the larger unit, and the smaller one beside it (0: none).
_STEPS = (
    (2 * _MINUTE_S, 1, 0, "s", ""),
    (10 * _MINUTE_S, _MINUTE_S, 1, "m", "s"),
    (3 * _HOUR_S, _MINUTE_S, 0, "m", ""),
    (8 * _HOUR_S, _HOUR_S, _MINUTE_S, "h", "m"),
    (2 * _DAY_S, _HOUR_S, 0, "h", ""),
    (8 * _DAY_S, _DAY_S, _HOUR_S, "d", "h"),
    (2 * 365 * _DAY_S, _DAY_S, 0, "d", ""),
    (8 * 365 * _DAY_S, 365 * _DAY_S, _DAY_S, "y", "d"),
)
_SKEW_S = 2  # a clock may be this far off before an age is called invalid


def human(seconds: float) -> str:
    """A span in kubectl's words (apimachinery's HumanDuration)."""
    whole_s = int(seconds)
    if whole_s <= -_SKEW_S:
        return "<invalid>"
    whole_s = max(whole_s, 0)
    for limit_s, unit_s, minor_s, unit, minor in _STEPS:
        if whole_s < limit_s:
            rest = whole_s % unit_s // minor_s if minor_s else 0
            return f"{whole_s // unit_s}{unit}" + (f"{rest}{minor}" if rest else "")
    return f"{whole_s // (365 * _DAY_S)}y"


def parse_time(text: object) -> datetime | None:
    """An RFC 3339 time, aware; None for anything else."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def age(text: object, now: datetime) -> str:
    """How long before `now` this RFC 3339 time was; `<unknown>` for none."""
    moment = parse_time(text)
    return human((now - moment).total_seconds()) if moment else "<unknown>"
