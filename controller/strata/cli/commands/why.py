"""strata why."""

from collections.abc import Iterator
from typing import Any

import click

from strata.cli import ages, sections
from strata.cli.completing import complete_target
from strata.cli.failures import ApiFailure
from strata.cli.fields import conditions, counts, dig, find_condition, sum_behind
from strata.cli.kinds import INSTANCE, LAYER, STACK
from strata.cli.options import Command, pass_session
from strata.cli.session import Session
from strata.cli.targets import parse_one

Json = dict[str, Any]

# Conditions that are news when they are true; of all others it is news that they are not.
_NEWS_IF_TRUE = frozenset({"Protected", "Stalled", "Progressing", "OrphansHeld"})


@click.command(cls=Command)
@click.argument("target", nargs=-1, required=True, metavar="layer/NAME | instance/NAME", shell_complete=complete_target)
@pass_session
def why(session: Session, target: tuple[str, ...]) -> None:
    """Tell why a layer or an instance is as it is: the sum behind the number, what is held back, what happened last."""
    resource, name = parse_one(session.catalog, target)
    if resource not in (LAYER, INSTANCE):
        raise click.UsageError("only layers and instances have a why; `strata describe` tells about everything")
    document = session.client.get(resource.path(name, session.namespace_for(resource)))
    lines = _layer(session, document) if resource == LAYER else _instance(session, document)
    for line in lines:
        click.echo(line)
    click.echo()
    sections.show_conditions(session, document)
    sections.show_events(session, document)


def _layer(session: Session, layer: Json) -> Iterator[str]:
    status = layer.get("status") or {}
    yield f"layer/{layer['metadata']['name']} wants {sum_behind(layer)}"
    yield f"it has {counts(status.get('instances'))}"
    changes = [addend["until"] for addend in status.get("because") or [] if addend.get("until")]
    if changes:
        yield f"the sum next changes at {min(changes)}"
    held = [*_held_by_stack(session, layer), *_held_by_itself(session, layer)]
    held += [
        f"instance/{one['metadata']['name']}: {said}"
        for one in sections.members_of(session, layer)
        for said in _held_slot(session, one)
    ]
    yield from _list("held back", held)


def _instance(session: Session, instance: Json) -> Iterator[str]:
    name, status = instance["metadata"]["name"], instance.get("status") or {}
    phase = status.get("phase") or "not seen yet"
    yield f"instance/{name} is {phase}; spec.power wants it {dig(instance, 'spec', 'power') or 'running'}"
    machine = status.get("ec2")
    if machine:
        kind = " ".join(part for part in (machine.get("type"), machine.get("zone")) if part)
        yield f"its machine is {machine['instanceId']} ({kind}), {machine['state']}"
    else:
        yield "it has no machine"
    if status.get("attempt"):
        yield f"launches so far: {status['attempt']}"
    if launch := status.get("launch"):
        yield f"its launch is {launch['launchId']}, attempt {launch['attempt']}"
    held = [*_held_by_stack(session, instance), *_held_by_itself(session, instance), *_held_slot(session, instance)]
    yield from _list("held back", held)


def _list(title: str, lines: list[str]) -> Iterator[str]:
    yield f"{title}:" if lines else f"nothing is {title}"
    yield from (f"  {line}" for line in lines)


def _held_by_stack(session: Session, document: Json) -> Iterator[str]:
    try:
        stack = session.client.get(STACK.path(document["metadata"]["namespace"], None))
    except ApiFailure as failure:
        if not failure.not_found:
            raise
        yield "the stack does not exist"
        return
    name = stack["metadata"]["name"]
    if dig(stack, "spec", "paused"):
        yield f"stack/{name} is paused: nothing is changed in EC2 (`strata resume stack/{name}`)"
    reachable = find_condition(stack, "CloudReachable")
    if reachable and reachable["status"] != "True":
        yield f"EC2 cannot be read: {_said(reachable)}"


def _held_by_itself(session: Session, document: Json) -> Iterator[str]:
    if since := document["metadata"].get("deletionTimestamp"):
        yield f"it is being deleted, for {ages.age(since, session.clock.now())}"
    for condition in conditions(document):
        news = "True" if condition["type"] in _NEWS_IF_TRUE else "False"
        if condition["status"] in (news, "Unknown"):
            yield f"{condition['type']} is {condition['status']}: {_said(condition)}"


def _held_slot(session: Session, instance: Json) -> Iterator[str]:
    """What holds one slot back: its backoff, and the order to destroy its machine."""
    status = instance.get("status") or {}
    failures = status.get("failures")
    if failures and status.get("phase") != "online":  # an online slot remembers them for a while, and waits for nothing
        last = ages.age(failures["lastAt"], session.clock.now())
        times = "once" if failures["count"] == 1 else f"{failures['count']} times"
        yield f"failed {times}, last {last} ago: {failures['reason']}: {failures.get('message', '')}"
    if heal := status.get("heal"):
        marked = ages.age(heal["markedAt"], session.clock.now())
        yield f"marked for {heal.get('action', 'replace')} {marked} ago: {heal['reason']}: {heal['message']}"
    launched = find_condition(instance, "Launched")
    if launched and launched["status"] != "True" and not failures:
        yield f"no machine: {_said(launched)}"


def _said(condition: Json) -> str:
    return ": ".join(part for part in (condition.get("reason"), condition.get("message")) if part)
