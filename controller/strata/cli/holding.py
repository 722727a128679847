"""What holds an object back now, as sentences: its stack, its own conditions, and its slots. Prints nothing.

History holds nothing back: a failure counts only while its slot has no machine because of it.
"""

import re
from collections.abc import Iterator
from typing import Any

from strata.cli import ages, happenings
from strata.cli.client import Client
from strata.cli.failures import ApiFailure
from strata.cli.fields import conditions, dig, find_condition
from strata.cli.kinds import STACK
from strata.cli.session import Session
from strata.resources import reasons

Json = dict[str, Any]

# Conditions that hold back when they are true, and those that never do; all others do unless they are true.
_HOLD_IF_TRUE = frozenset({"Protected", "Stalled", "OrphansHeld"})
_NEVER_HOLD = frozenset({"Progressing", "UpToDate"})
_ROLLOUT_HELD = frozenset({reasons.ROLLOUT_STALLED, reasons.ROLLOUT_PAUSED})
_NEXT_LAUNCH = re.compile(r"next launch at (\S+Z)")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s")


def held_by_stack(session: Session, document: Json) -> Iterator[str]:
    """What keeps anything of this object's stack from being done."""
    try:
        stack = session.client.get(STACK.path(document["metadata"]["namespace"], None))
    except ApiFailure as failure:
        if not failure.not_found:
            raise
        yield "the stack does not exist"
        return
    yield from of_stack(stack)


def of_stack(stack: Json) -> Iterator[str]:
    """What holds a whole stack back. That it waits for its layers does not hold these back."""
    name = stack["metadata"]["name"]
    if dig(stack, "spec", "paused"):
        yield f"stack/{name} is paused: nothing is changed in EC2 (`strata resume stack/{name}`)"
    reachable = find_condition(stack, "CloudReachable")
    if reachable and reachable["status"] != "True":
        yield f"EC2 cannot be read: {said(reachable)}"
    ready = find_condition(stack, "Ready")
    if ready and ready["status"] == "False" and ready.get("reason") not in (reasons.CONVERGING, reasons.PAUSED):
        yield f"stack/{name} is not ready: {said(ready)}"


def held_by_itself(session: Session, document: Json) -> Iterator[str]:
    """Its deletion and its own conditions, but for Launched: see held_slot."""
    if since := document["metadata"].get("deletionTimestamp"):
        yield f"it is being deleted, for {ages.age(since, session.now())}"
    for condition in conditions(document):
        type_, status = condition["type"], condition["status"]
        held = status in ("True" if type_ in _HOLD_IF_TRUE else "False", "Unknown")
        if held and type_ not in {*_NEVER_HOLD, "Launched"}:
            yield f"{type_} is {status}: {said(condition)}"
        elif condition.get("reason") in _ROLLOUT_HELD:
            yield f"the rollout: {said(condition)}"
        elif condition.get("reason") == reasons.SCALING_LIMITED:
            yield said(condition)


def held_slot(session: Session, instance: Json, places: list[str]) -> Iterator[str]:
    """What holds one slot back: no machine, and the order to destroy the one it has. `places` are those that EC2
    refused last."""
    status = instance.get("status") or {}
    if heal := status.get("heal"):
        marked = ages.age(heal["markedAt"], session.now())
        yield f"marked for {heal.get('action', 'replace')} {marked} ago: {heal['reason']}: {heal['message']}"
    launched = find_condition(instance, "Launched")
    if status.get("ec2") or dig(instance, "spec", "power") == "stopped":
        return  # it has a machine, or wants none: what failed before is history
    if launched and launched.get("reason") == reasons.CAPACITY:
        yield _no_capacity(launched, places)
    elif failures := status.get("failures"):
        yield _failed(session, failures, launched)
    elif launched and launched["status"] != "True":
        yield f"no machine: {said(launched)}"


def _no_capacity(launched: Json, places: list[str]) -> str:
    asked = f" (asked last: {', '.join(places)})" if places else ""
    return (
        f"no machine: EC2 has no capacity{asked}; refused places are asked again within five minutes. "
        f"EC2 says: {first_sentence(launched.get('message') or launched['reason'])}"
    )


def _failed(session: Session, failures: Json, launched: Json | None) -> str:
    last = ages.age(failures["lastAt"], session.now())
    times = "once" if failures["count"] == 1 else f"{failures['count']} times"
    due = _NEXT_LAUNCH.search((launched or {}).get("message") or "")
    then = f"; next launch at {due[1]}" if due else ""
    why = ": ".join(part for part in (failures["reason"], first_sentence(failures.get("message") or "")) if part)
    return f"failed {times}, last {last} ago{then}: {why}"


def refused_places(client: Client, layer: Json) -> list[str]:
    """`t3.small in us-east-1a`: where EC2 had no capacity for this layer, oldest first, from its events."""
    events = [event for event in happenings.of_object(client, layer) if event.get("reason") == reasons.CAPACITY]
    heads = [str(event.get("message") or "").partition(":")[0].partition(" x ")[2] for event in events]
    return list(dict.fromkeys(head for head in heads if head))


def lacks_capacity(instance: Json) -> bool:
    launched = find_condition(instance, "Launched")
    return launched is not None and launched.get("reason") == reasons.CAPACITY


def said(condition: Json) -> str:
    """`SubnetNotFound: there is no subnet-1`."""
    return ": ".join(part for part in (condition.get("reason"), condition.get("message")) if part)


def first_sentence(text: str) -> str:
    """AWS's messages go on with advice; the first sentence says what is."""
    return _SENTENCE_END.split(text.strip(), maxsplit=1)[0]
