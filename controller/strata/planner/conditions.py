"""Conditions that keep their transition time while their status stays."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from strata.planner.facts import Note
from strata.resources.meta import Condition, ConditionStatus, find_condition

_NAMES_SAID = 5
_WELL_WHEN_FALSE = frozenset({"Protected", "OrphansHeld", "Progressing", "Stalled"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """A condition without its times. `status` None: cannot be judged now, so what was said before stays."""

    type: str
    status: ConditionStatus | None
    reason: str
    message: str = ""


def yes(type_: str, reason: str, message: str = "") -> Verdict:
    return Verdict(type_, "True", reason, message)


def no(type_: str, reason: str, message: str = "") -> Verdict:
    return Verdict(type_, "False", reason, message)


def unknown(type_: str, reason: str, message: str = "") -> Verdict:
    return Verdict(type_, "Unknown", reason, message)


def conditions(
    before: tuple[Condition, ...], verdicts: tuple[Verdict, ...], *, generation: int, now: datetime
) -> tuple[Condition, ...]:
    """The next conditions, in the verdicts' order."""
    now = now.replace(microsecond=0)  # the Kubernetes API's times are whole seconds
    return tuple(
        condition for verdict in verdicts if (condition := _next(before, verdict, generation, now)) is not None
    )


def _next(before: tuple[Condition, ...], verdict: Verdict, generation: int, now: datetime) -> Condition | None:
    old = find_condition(before, verdict.type)
    if verdict.status is None:
        return old
    moved = old is None or old.status != verdict.status
    return Condition(
        type=verdict.type,
        status=verdict.status,
        reason=verdict.reason,
        message=verdict.message,
        observed_generation=generation,
        last_transition_time=now if moved or old is None else old.last_transition_time,
    )


def some(names: Sequence[str]) -> str:
    """The first few of these names, and how many more there are: a message stays short however large the layer is."""
    more = len(names) - _NAMES_SAID
    return ", ".join(names[:_NAMES_SAID]) + (f" and {more} more" if more > 0 else "")


def turns(before: tuple[Condition, ...], after: tuple[Condition, ...], quiet: frozenset[str]) -> tuple[Note, ...]:
    """What is worth telling of the conditions that turned: each new (status, reason), but for the `quiet` reasons.

    That all is well from the start is no news; that it is well again is good news; all else is a warning.
    """
    notes = []
    for condition in after:
        old = find_condition(before, condition.type)
        same = old is not None and (old.status, old.reason) == (condition.status, condition.reason)
        well = condition.status == ("False" if condition.type in _WELL_WHEN_FALSE else "True")
        if same or condition.reason in quiet or (old is None and well):
            continue
        message = f"{condition.type} is {condition.status}: {condition.message or condition.reason}"
        notes.append(Note(condition.reason, message, warning=not well))
    return tuple(notes)
