"""What `describe` and `why` say of a layer's load: the rules, what they add now, and what justified the last change."""

from collections.abc import Iterator
from typing import Any

from strata.cli import ages, sections
from strata.cli.fields import dig, find_condition
from strata.cli.session import Session
from strata.resources import reasons
from strata.resources.duration import parse_duration

Json = dict[str, Any]

_SIGNS = {"up": ">=", "down": "<="}


def load_lines(session: Session, layer: Json) -> list[str]:
    """Nothing for a layer that has no load rules."""
    load = dig(layer, "spec", "capacity", "load")
    if not load:
        return []
    return [*_rules(load), *_read(layer), *_state(session, load, dig(layer, "status", "load") or {})]


def _read(layer: Json) -> Iterator[str]:
    """Which signals are read, and why none goes though they ask for it. What is unknown is among what holds back."""
    active = find_condition(layer, "ScalingActive")
    if active and active.get("reason") == reasons.SIGNALS_KNOWN:
        yield active["message"]


def _state(session: Session, load: Json, status: Json) -> Iterator[str]:
    yield f"adds {status.get('extra') or 'none'} now"
    sample = status.get("sample")
    if sample:
        changed_at = status.get("lastUpAt") if sample["change"] > 0 else status.get("lastDownAt")
        yield f"changed last: {sample['message']}, at {sections.moment(session, changed_at)}"
    yield from _cooling(session, load, status)


def _cooling(session: Session, load: Json, status: Json) -> Iterator[str]:
    """A cooldown begins with the last change in either direction."""
    changes = (ages.parse_time(status.get(field)) for field in ("lastUpAt", "lastDownAt"))
    last = max((at for at in changes if at is not None), default=None)
    for side, verb in (("up", "adds"), ("down", "removes")):
        cooldown = dig(load, side, "cooldown")
        if last is not None and cooldown and (until := last + parse_duration(cooldown)) > session.now():
            yield f"{verb} none until {until:%Y-%m-%dT%H:%M:%SZ}, for its cooldown"


def _rules(load: Json) -> Iterator[str]:
    """`adds 1 when any of cpuPercent >= 80, queue >= 60 for 5m`."""
    if target := load.get("target"):
        each = " an instance" if target.get("perInstance") else ""
        spans = f"adds after {dig(load, 'up', 'for')}, removes after {dig(load, 'down', 'for')}"
        yield f"holds {target['signal']} at {target['value']:g}{each}: {spans}"
        return
    for side, verb in (("up", "adds"), ("down", "removes")):
        rule, named = load.get(side) or {}, list(_thresholds(load, side))
        if named:
            many = f"{rule.get('match')} of " if len(named) > 1 else ""
            when = f"{many}{', '.join(named)} for {rule.get('for')}"
            yield f"{verb} {rule.get('step')} when {when}; then waits {rule.get('cooldown')}"


def _thresholds(load: Json, side: str) -> Iterator[str]:
    cpu = dig(load, side, "cpuPercent")
    if cpu is not None:
        yield f"cpuPercent {_SIGNS[side]} {cpu:g}"
    for signal in load.get("signals") or []:
        if signal.get("cloudwatchAlarm"):
            if (signal.get("scales") or "up") == side:
                yield f"{signal['name']} in ALARM"
            elif side == "down":
                yield f"{signal['name']} OK"
        elif signal.get(side) is not None:
            yield f"{signal['name']} {_SIGNS[side]} {signal[side]:g}"
