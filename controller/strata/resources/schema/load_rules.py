"""What the schema cannot say of a layer's load rules. Values of wrong type are the schema's business: skipped here."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from strata.errors import Cause
from strata.resources.duration import parse_duration
from strata.resources.load import CPU_PERCENT
from strata.resources.schema.causes import show

Json = Mapping[str, Any]

_LOAD = "spec.capacity.load"
_SOURCES = ("prometheus", "cloudwatchAlarm")
_LIMITS = (timedelta(minutes=1), timedelta(hours=6))


def judge_load(document: Json, _old: Json | None) -> Iterator[Cause]:
    """Every broken rule of spec.capacity.load."""
    capacity = _mapping(_mapping(document.get("spec")).get("capacity"))
    load = capacity.get("load")
    if not isinstance(load, dict):
        return
    if capacity.get("max") is None:
        message = "Required value: say how many machines the load may ask for at most"
        yield Cause("spec.capacity.max", "FieldValueRequired", message)
    signals = [signal for signal in load.get("signals") or () if isinstance(signal, dict)]
    yield from _something_is_asked(load, signals)
    yield from _durations(load)
    yield from _thresholds(load, signals)
    for index, signal in enumerate(signals):
        yield from _signal(f"{_LOAD}.signals[{index}]", signal, load)
    yield from _names(signals)
    yield from _target(load, signals)


def _something_is_asked(load: Json, signals: list[dict[str, Any]]) -> Iterator[Cause]:
    if not signals and load.get("target") is None and all(_cpu(load, side) is None for side in ("up", "down")):
        yield Cause(
            _LOAD, "FieldValueRequired", "Required value: say up.cpuPercent, down.cpuPercent, signals or target"
        )


def _durations(load: Json) -> Iterator[Cause]:
    shortest, longest = _LIMITS
    for side in ("up", "down"):
        for name in ("for", "cooldown"):
            text = _mapping(load.get(side)).get(name)
            if not isinstance(text, str):
                continue
            try:
                fits = shortest <= parse_duration(text) <= longest
            except OverflowError:
                fits = False
            except ValueError:
                continue  # the schema's pattern says so already
            if not fits:
                yield _invalid(f"{_LOAD}.{side}.{name}", text, "must be a duration from 1m to 6h, such as 5m or 1h30m")


def _thresholds(load: Json, signals: list[dict[str, Any]]) -> Iterator[Cause]:
    """Between up and down there must be room, or the same number would add and remove."""
    pairs = [(f"{_LOAD}.down.cpuPercent", _cpu(load, "up"), _cpu(load, "down"))]
    pairs += [(f"{_LOAD}.signals[{i}].down", one.get("up"), one.get("down")) for i, one in enumerate(signals)]
    for field, up, down in pairs:
        if _is_number(up) and _is_number(down) and down >= up:
            yield _invalid(field, down, f"must be below the threshold up, which is {show(up)}")


def _signal(field: str, signal: Json, load: Json) -> Iterator[Cause]:
    sources = [name for name in _SOURCES if signal.get(name) is not None]
    has_threshold = signal.get("up") is not None or signal.get("down") is not None
    if not sources:
        yield Cause(field, "FieldValueRequired", "Required value: say either prometheus or cloudwatchAlarm")
    elif len(sources) == len(_SOURCES):
        yield _invalid(field, signal.get("name"), "must have prometheus or cloudwatchAlarm, not both")
    elif "cloudwatchAlarm" in sources:
        if has_threshold:
            yield _invalid(field, signal.get("name"), "an alarm has thresholds of its own; leave out up and down")
    elif signal.get("scales", "up") != "up":
        yield _invalid(f"{field}.scales", signal.get("scales"), "is for alarms; a query has up and down")
    elif not has_threshold and load.get("target") is None:
        yield Cause(f"{field}.up", "FieldValueRequired", "Required value: say up, down or both")


def _names(signals: list[dict[str, Any]]) -> Iterator[Cause]:
    """Doubled names are the schema's business: the list is a map by name."""
    for index, signal in enumerate(signals):
        if signal.get("name") == CPU_PERCENT:
            yield _invalid(
                f"{_LOAD}.signals[{index}].name", CPU_PERCENT, "every layer has this signal; take another name"
            )


def _target(load: Json, signals: list[dict[str, Any]]) -> Iterator[Cause]:
    target = load.get("target")
    if not isinstance(target, dict):
        return
    name = target.get("signal")
    by_name = {signal.get("name"): signal for signal in signals}
    known = [CPU_PERCENT, *(str(one) for one in by_name)]
    if isinstance(name, str) and name not in known:
        yield _invalid(f"{_LOAD}.target.signal", name, f"there is no such signal; there are: {', '.join(known)}")
    if _mapping(by_name.get(name)).get("cloudwatchAlarm") is not None:
        yield _invalid(f"{_LOAD}.target.signal", name, "an alarm has no number to be held")
    if name == CPU_PERCENT and target.get("perInstance") is True:
        yield _invalid(
            f"{_LOAD}.target.perInstance", target["perInstance"], f"{CPU_PERCENT} is an average over instances already"
        )
    for index, other in enumerate(signals):
        if other.get("name") != name:
            yield _invalid(
                f"{_LOAD}.signals[{index}].name", other.get("name"), "beside a target only its signal is read"
            )
    for field, value in _said_thresholds(load, signals):
        yield _invalid(field, value, "a target takes the place of thresholds; leave one of both out")


def _said_thresholds(load: Json, signals: list[dict[str, Any]]) -> Iterator[tuple[str, Any]]:
    found = [(f"{_LOAD}.{side}.cpuPercent", _cpu(load, side)) for side in ("up", "down")]
    for index, signal in enumerate(signals):
        found += [(f"{_LOAD}.signals[{index}].{side}", signal.get(side)) for side in ("up", "down")]
    yield from ((field, value) for field, value in found if value is not None)


def _cpu(load: Json, side: str) -> Any:  # noqa: ANN401 - JSON
    return _mapping(load.get(side)).get(CPU_PERCENT)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _mapping(value: Any) -> Json:  # noqa: ANN401 - JSON
    return value if isinstance(value, dict) else {}


def _invalid(field: str, value: Any, must: str) -> Cause:  # noqa: ANN401 - JSON
    return Cause(field, "FieldValueInvalid", f"Invalid value: {show(value)}: {must}")
