"""What a schema cannot say of a layer's windows. Values of wrong type are the schema's business and skipped here."""

import difflib
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from cronsim import CronSim, CronSimError

from strata.errors import Cause
from strata.resources.duration import parse_duration
from strata.resources.schema.causes import show
from strata.resources.zones import find_zone, zone_names

Document = Mapping[str, Any]

_DURATION = (timedelta(minutes=1), timedelta(days=31))
_LEAD = (timedelta(0), timedelta(days=1))
_FIELDS = 5
_FROM_THEN_ON = datetime(2024, 1, 1, tzinfo=UTC)  # any will do: what never fires never does


def schedule_windows(document: Document, _old: Document | None) -> Iterator[Cause]:
    """Every broken rule of spec.capacity.schedule."""
    spec = document.get("spec")
    capacity = spec.get("capacity") if isinstance(spec, dict) else None
    windows = capacity.get("schedule") if isinstance(capacity, dict) else None
    for index, window in enumerate(windows if isinstance(windows, list) else ()):
        if isinstance(window, dict):
            yield from _window(f"spec.capacity.schedule[{index}]", window)


def _window(path: str, window: Document) -> Iterator[Cause]:
    yield from _one_kind(path, window)
    yield from _zone(f"{path}.timeZone", window.get("timeZone"))
    yield from _cron(f"{path}.cron", window.get("cron"))
    yield from _dates(f"{path}.except", window.get("except"))
    yield from _within(f"{path}.duration", window.get("duration"), _DURATION, "from 1m to 31d, such as 90m or 12h")
    yield from _within(f"{path}.lead", window.get("lead"), _LEAD, "of at most 1d, such as 10m or 1h")


def _one_kind(path: str, window: Document) -> Iterator[Cause]:
    """Either from and to, perhaps with days; or cron with duration."""
    by_days = [name for name in ("from", "to", "days") if window.get(name)]
    by_cron = [name for name in ("cron", "duration") if window.get(name)]
    if by_days and by_cron:
        must = "say either from and to (and days), or cron and duration, not both"
        yield _invalid(path, {name: window[name] for name in (*by_days, *by_cron)}, must)
        return
    if not by_days and not by_cron:
        must = "say from and to, such as 08:00 and 20:00; or cron and duration"
        yield Cause(path, "FieldValueRequired", f"Required value: {must}")
        return
    for name in ("cron", "duration") if by_cron else ("from", "to"):
        if not window.get(name):
            yield Cause(f"{path}.{name}", "FieldValueRequired", f"Required value: {_MISSING[name]}")


_MISSING = {
    "from": "say when the window opens, such as 08:00",
    "to": "say when the window closes, such as 20:00",
    "cron": "say when the window opens; without cron, say from and to instead of duration",
    "duration": "say how long the window stays open each time, such as 12h",
}


def _zone(field: str, name: object) -> Iterator[Cause]:
    if not isinstance(name, str) or not name or find_zone(name) is not None:
        return
    close = difflib.get_close_matches(name, zone_names(), n=1)
    hint = f"; did you mean `{close[0]}`?" if close else ""
    yield _invalid(field, name, f"must be an IANA time zone, such as America/New_York or UTC{hint}")


def _cron(field: str, expression: object) -> Iterator[Cause]:
    if not isinstance(expression, str):
        return
    if len(expression.split()) != _FIELDS:
        yield _invalid(field, expression, "must have five fields: minute, hour, day of month, month, day of week")
        return
    try:
        fires = next(CronSim(expression, _FROM_THEN_ON), None)
    except CronSimError as error:
        hint = "each a number, a range or a list that can come true together, such as `30 8 1-7 * mon-fri`"
        yield _invalid(field, expression, f"{error}: write `minute hour day-of-month month day-of-week`, {hint}")
        return
    if fires is None:
        yield _invalid(field, expression, "never comes true in 50 years")


def _dates(field: str, dates: object) -> Iterator[Cause]:
    for index, text in enumerate(dates if isinstance(dates, list) else ()):
        if isinstance(text, str) and not _is_date(text):
            yield _invalid(f"{field}[{index}]", text, "must be a date that exists, such as 2026-12-31")


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text  # also 20261231 would be one
    except ValueError:
        return False


def _within(field: str, text: object, limits: tuple[timedelta, timedelta], wanted: str) -> Iterator[Cause]:
    if not isinstance(text, str):
        return
    try:
        fits = limits[0] <= parse_duration(text) <= limits[1]
    except OverflowError:
        fits = False
    except ValueError:
        return  # the schema's pattern says so already
    if not fits:
        yield _invalid(field, text, f"must be a duration {wanted}")


def _invalid(field: str, value: Any, must: str) -> Cause:  # noqa: ANN401 - JSON
    return Cause(field, "FieldValueInvalid", f"Invalid value: {show(value)}: {must}")
