"""What came of replays, as a table for people and as data for programs."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from strata.cli import ages
from strata.planner.forecast.timeline import Decision, Moment, Step
from strata.simulate.replay import Breach, Replay

Json = dict[str, Any]

_MINUTE = timedelta(minutes=1)


def head(replays: Sequence[Replay]) -> list[str]:
    priced = any(replay.cost is not None for replay in replays)
    plain = ["POLICY", "LAYER", "HOURS", *(["COST"] if priced else []), "MEAN", "PEAK"]
    return [*plain, "OUT", "IN", "MADE", "SHORT FOR", *_breach_labels(replays)]


def rows(replays: Sequence[Replay]) -> Iterator[list[str]]:
    labels = _breach_labels(replays)
    for replay in replays:
        lasted = {breach.label: breach.lasted for breach in replay.breaches}
        yield [
            replay.policy,
            replay.layer.metadata.name,
            f"{replay.machine_hours:.1f}",
            *([] if replay.cost is None else [f"{replay.cost:.2f}"]),
            f"{replay.mean_running:.1f}",
            str(replay.peak_running),
            str(replay.scaled_out),
            str(replay.scaled_in),
            str(replay.count("make")),
            _span(replay.short_for),
            *(_span(lasted[label]) if label in lasted else "-" for label in labels),
        ]


def _breach_labels(replays: Sequence[Replay]) -> list[str]:
    return list(dict.fromkeys(breach.label for replay in replays for breach in replay.breaches))


def _span(time: timedelta) -> str:
    return ages.human(time.total_seconds()) if time else "0"


def action_rows(replay: Replay) -> Iterator[list[str]]:
    """What the load decided, then every step; rows of one moment stay in this order."""
    whose = (replay.policy, replay.layer.metadata.name)
    for one in replay.timeline.decisions:
        yield [_moment(one.at), *whose, "decide", f"{one.change:+d}", one.message]
    for step in replay.timeline.steps:
        yield [_moment(step.at), *whose, step.verb, str(len(step.instances)), step.why]


ACTION_HEAD = ("AT", "POLICY", "LAYER", "WHAT", "COUNT", "WHY")
LEGEND = """HOURS are machine-hours; OUT and IN count what the load decided, MADE the launches.
SHORT FOR: fewer were online than desired. The last columns: how long a signal
was at or beyond a threshold."""


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def as_json(replays: Sequence[Replay]) -> Json:
    """All numbers, decisions and steps."""
    return {"apiVersion": "strata/v1", "kind": "Simulation", "items": [_item(replay) for replay in replays]}


def _item(replay: Replay) -> Json:
    timeline = replay.timeline
    return {
        "policy": replay.policy,
        "stack": replay.layer.metadata.namespace,
        "layer": replay.layer.metadata.name,
        "from": _moment(timeline.start),
        "to": _moment(timeline.end),
        "machineHours": round(replay.machine_hours, 3),
        "spotHours": round(timeline.running_for("spot") / timedelta(hours=1), 3),
        **({} if replay.cost is None else {"cost": round(replay.cost, 4)}),
        "meanRunning": round(replay.mean_running, 3),
        "peakRunning": replay.peak_running,
        "scaledOut": replay.scaled_out,
        "scaledIn": replay.scaled_in,
        "made": replay.count("make"),
        "ended": replay.count("end"),
        "shortMinutes": replay.short_for / _MINUTE,
        "breaches": [_breach(one) for one in replay.breaches],
        "missingSignals": list(replay.missing),
        "decisions": [
            {"at": _moment(one.at), "change": one.change, "message": one.message} for one in timeline.decisions
        ],
        "numbers": [_numbers(one) for one in timeline.moments],
        "steps": [_step(one) for one in timeline.steps],
    }


def _breach(breach: Breach) -> Json:
    return {
        "signal": breach.signal,
        "direction": "up" if breach.up else "down",
        "threshold": breach.threshold,
        "minutes": breach.lasted / _MINUTE,
    }


def _decision(decision: Decision) -> Json:
    return {"at": _moment(decision.at), "change": decision.change, "message": decision.message}


def _numbers(moment: Moment) -> Json:
    return {"at": _moment(moment.at), **{name: getattr(moment, name) for name in moment._fields[1:]}}


def _step(step: Step) -> Json:
    return {
        "at": _moment(step.at),
        "verb": step.verb,
        "instances": list(step.instances),
        "reason": step.reason,
        "why": step.why,
    }
