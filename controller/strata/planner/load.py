"""What the load says of a layer's number: `extra`, and what justified its last change.

A function of what the sources themselves say, the time, and the few facts in LoadStatus: nothing else is remembered,
so a failover forgets nothing. Bounded by the layer's min and max; it adds and removes no machine itself.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from strata.planner.conditions import Verdict, no, unknown, yes
from strata.planner.facts import Note, Series, Unknown
from strata.planner.load_wish import Facts, Question, Vote, Wish, wish
from strata.planner.signals import fresh
from strata.resources import explain_load, reasons
from strata.resources.duration import parse_duration
from strata.resources.load import CPU_PERCENT, Load, LoadSample, LoadStatus

CONDITION = "ScalingActive"
_SKEW = timedelta(minutes=1)
_NOT_READ = Unknown(reasons.NOT_READ_YET, "not read since this daemon leads")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSnapshot:
    """`base` is what all other rules sum up to: always and the open windows. `signals` by name. `blocked`: why nothing
    may be changed now."""

    now: datetime
    load: Load
    status: LoadStatus
    base: int
    min: int
    max: int
    signals: Facts
    blocked: Verdict | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadDecision:
    """`verdicts` has ScalingActive, where there are load rules. `change` is how `extra` moves now, `because` names the
    signals that move it. `again_at`: when time alone, without any new number, may decide otherwise."""

    status: LoadStatus
    verdicts: tuple[Verdict, ...] = ()
    change: int = 0
    because: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    again_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Extra:
    """Where `extra` is, and between what it may be. Below `floor` min rules: so much has no effect of its own."""

    floor: int
    current: int
    room: int


def signals_of(load: Load) -> list[str]:
    """The names of all signals that the rules need."""
    targeted = load.target is not None and load.target.signal == CPU_PERCENT
    cpu = targeted or load.up.cpu_percent is not None or load.down.cpu_percent is not None
    return ([CPU_PERCENT] if cpu else []) + [signal.name for signal in load.signals]


def history_of(load: Load) -> timedelta:
    """How far back the rules look."""
    return max(parse_duration(load.up.for_), parse_duration(load.down.for_))


def decide(snapshot: LoadSnapshot) -> LoadDecision:
    """Decide once. Total; where nothing is done the status is the one that was given, but for extra that no longer
    fits: it never winds up."""
    room = max(0, snapshot.max - snapshot.base)
    status = snapshot.status
    if status.extra > room:
        status = msgspec.structs.replace(status, extra=room)
    if snapshot.blocked is not None:
        return LoadDecision(status=status, verdicts=(no(CONDITION, snapshot.blocked.reason, snapshot.blocked.message),))
    facts = {name: fresh(snapshot.signals.get(name, _NOT_READ), snapshot.now) for name in signals_of(snapshot.load)}
    if any(isinstance(fact, Unknown) and fact.reason == reasons.NOT_READ_YET for fact in facts.values()):
        # The others alone might decide otherwise than the last leader, who had read them all, would have.
        return LoadDecision(status=status, verdicts=(Verdict(CONDITION, None, reasons.NOT_READ_YET),))
    floor = min(room, max(0, snapshot.min - snapshot.base))
    return _weigh(snapshot, facts, status, _Extra(floor, max(status.extra, floor), room))


def _weigh(snapshot: LoadSnapshot, facts: Facts, status: LoadStatus, extra: _Extra) -> LoadDecision:
    """Up wins over down: while one direction asks for more, nothing is removed."""
    question = Question(
        load=snapshot.load,
        facts=facts,
        now=snapshot.now,
        after=_last_action_at(snapshot),
        current=snapshot.base + extra.current,
    )
    up, down = wish(question, up=True), wish(question, up=False)
    chosen = up if up.count > question.current else down
    after = min(max(chosen.count - snapshot.base, extra.floor), extra.room)
    if after == extra.current:
        verdicts = _verdicts(facts, limit=snapshot.max if chosen.up else None)
        return LoadDecision(status=status, verdicts=verdicts, again_at=_earliest((*up.votes, *down.votes)))
    cooled_at = _cooled_at(question, chosen)
    if cooled_at is not None and snapshot.now < cooled_at:
        return LoadDecision(status=status, verdicts=_verdicts(facts), again_at=cooled_at)
    if not chosen.up and _overloads(question, snapshot.base + after):
        return LoadDecision(status=status, verdicts=_verdicts(facts, held=True))
    return _act(snapshot, facts, chosen, change=after - extra.current, after=after)


def _act(snapshot: LoadSnapshot, facts: Facts, chosen: Wish, *, change: int, after: int) -> LoadDecision:
    message = _sentence(snapshot.load, chosen, change)
    now = snapshot.now.replace(microsecond=0)
    at = max((vote.at for vote in chosen.votes if vote.sample is not None and vote.at is not None), default=now)
    status = LoadStatus(
        extra=after,
        last_up_at=now if chosen.up else snapshot.status.last_up_at,
        last_down_at=snapshot.status.last_down_at if chosen.up else now,
        sample=LoadSample(at=at, change=change, message=message, values=chosen.samples),
    )
    return LoadDecision(
        status=status,
        verdicts=_verdicts(facts),
        change=change,
        because=tuple(sample.signal for sample in chosen.samples),
        notes=(Note(reasons.LOAD_HIGH if chosen.up else reasons.LOAD_LOW, message),),
    )


def _sentence(load: Load, chosen: Wish, change: int) -> str:
    span = (load.up if chosen.up else load.down).for_
    if load.target is not None:
        return explain_load.tracking(chosen.samples[0], load.target, change=change, span=span)
    return explain_load.decision(chosen.samples, change=change, span=span)


def _last_action_at(snapshot: LoadSnapshot) -> datetime | None:
    """The last change of either direction: what was measured before it is of another fleet. A time that has not come
    was written by a wrong clock, and would end all decisions until then."""
    known = (snapshot.status.last_up_at, snapshot.status.last_down_at)
    return max((at for at in known if at is not None and at - snapshot.now <= _SKEW), default=None)


def _cooled_at(question: Question, chosen: Wish) -> datetime | None:
    rule = question.load.up if chosen.up else question.load.down
    return None if question.after is None else question.after + parse_duration(rule.cooldown)


def _overloads(question: Question, left: int) -> bool:
    """Whether `left` machines would have so much each that they would soon be added to again."""
    threshold, fact = question.load.up.cpu_percent, question.facts.get(CPU_PERCENT)
    if threshold is None or fact is None or isinstance(fact, Unknown) or not isinstance(fact.value, Series):
        return False
    series = fact.value
    if left == 0 or series.members == 0:
        return series.members > 0  # no machine has no average, and nothing would ever add to it
    since = series.points[-1].at - parse_duration(question.load.down.for_)
    highest = max(point.value for point in series.points if point.at > since)
    return highest * series.members / min(left, series.members) >= threshold


def _verdicts(facts: Facts, *, limit: int | None = None, held: bool = False) -> tuple[Verdict, ...]:
    """ScalingActive. Its words name signals but no numbers: those change every minute, and are in the metrics."""
    missing = {name: fact for name, fact in facts.items() if isinstance(fact, Unknown)}
    if missing:
        said = "; ".join(f"{name}: {fact.message or fact.reason}" for name, fact in missing.items())
        return (unknown(CONDITION, next(iter(missing.values())).reason, said),)
    if limit is not None:
        return (yes(CONDITION, reasons.SCALING_LIMITED, f"the load asks for more than max, {limit}"),)
    hold = f"; removes none, for fewer would bring {CPU_PERCENT} to its up threshold" if held else ""
    return (yes(CONDITION, reasons.SIGNALS_KNOWN, f"reads {', '.join(facts)}{hold}"),)


def _earliest(votes: Iterable[Vote]) -> datetime | None:
    return min((vote.again_at for vote in votes if vote.again_at is not None), default=None)
