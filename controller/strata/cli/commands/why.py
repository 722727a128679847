"""strata why."""

from collections.abc import Iterator
from typing import Any

import click

from strata.cli import sections
from strata.cli.completing import complete_target
from strata.cli.fields import counts, dig, find_condition
from strata.cli.holding import (
    held_by_itself,
    held_by_stack,
    held_slot,
    lacks_capacity,
    of_stack,
    refused_places,
    said,
)
from strata.cli.kinds import INSTANCE, LAYER, STACK
from strata.cli.loading import load_lines
from strata.cli.numbers import next_change, spot_share, sum_behind
from strata.cli.options import Command, pass_session
from strata.cli.rolling import renewal_of
from strata.cli.session import Session
from strata.cli.slots import bought, is_older, layer_of, leave_of
from strata.cli.targets import parse_one

Json = dict[str, Any]


@click.command(cls=Command)
@click.argument(
    "target",
    nargs=-1,
    required=True,
    metavar="layer/NAME | instance/NAME | stack/NAME",
    shell_complete=complete_target,
)
@pass_session
def why(session: Session, target: tuple[str, ...]) -> None:
    """Tell why a layer, an instance or a stack is as it is: the sum behind the number, what is held back, what
    happened last."""
    resource, name = parse_one(session.catalog, target)
    tellers = {LAYER: _layer, INSTANCE: _instance, STACK: _stack}
    if resource not in tellers:
        raise click.UsageError("only layers, instances and stacks have a why; `strata describe` tells about everything")
    document = session.client.get(resource.path(name, session.namespace_for(resource)))
    for line in tellers[resource](session, document):
        click.echo(line)
    click.echo()
    sections.show_conditions(session, document)
    sections.show_events(session, document)


def _layer(session: Session, layer: Json) -> Iterator[str]:
    yield f"layer/{layer['metadata']['name']} wants {sum_behind(layer)}"
    yield f"it has {counts(dig(layer, 'status', 'instances'))}"
    members = sections.members_of(session, layer)
    own = [one for one in members if dig(one, "spec", "availability") == "layer"]
    if handmade := len(members) - len(own):
        yield f"{handmade} hand-made instance{'s do' if handmade > 1 else ' does'} not count"
    if spot := spot_share(layer):
        yield f"of these {spot}"
    if change := next_change(layer):
        yield f"by the clock it wants {change}"
    yield from (f"by load it {line}" for line in load_lines(session, layer))
    if renewal := renewal_of(layer):
        yield f"of its machines {renewal}"
    yield from _going(session, layer, own)
    held = [*held_by_stack(session, layer), *held_by_itself(session, layer)]
    places = refused_places(session.client, layer) if any(map(lacks_capacity, own)) else []
    held += [f"instance/{one['metadata']['name']}: {text}" for one in own for text in held_slot(session, one, places)]
    yield from _list("held back", held)


def _going(session: Session, layer: Json, own: list[Json]) -> Iterator[str]:
    going = [(one, leave) for one in own if (leave := leave_of(one, layer, session.now()))]
    if going:
        yield "on the way out:"
    yield from (f"  instance/{one['metadata']['name']}: {leave}" for one, leave in going)


def _instance(session: Session, instance: Json) -> Iterator[str]:
    name, status = instance["metadata"]["name"], instance.get("status") or {}
    phase = status.get("phase") or "not seen yet"
    yield f"instance/{name} is {phase}; spec.power wants it {dig(instance, 'spec', 'power') or 'running'}"
    if dig(instance, "spec", "availability") == "manual":
        yield "it is hand-made: no layer counts it"
    layer = layer_of(session, instance)
    yield from _machine(status, older=is_older(instance, layer))
    if leave := leave_of(instance, layer, session.now()):
        yield f"it is on its way out: {leave}"
    places = refused_places(session.client, layer) if layer and lacks_capacity(instance) else []
    held = [*held_by_stack(session, instance), *held_by_itself(session, instance)]
    yield from _list("held back", [*held, *held_slot(session, instance, places)])


def _machine(status: Json, *, older: bool) -> Iterator[str]:
    machine = status.get("ec2")
    if machine:
        kind = ", ".join(part for part in (machine.get("type"), machine.get("zone"), bought(machine)) if part)
        yield f"its machine is {machine['instanceId']} ({kind}), {machine['state']}"
        if older:
            yield "its machine is made from an older template than its layer's"
    else:
        yield "it has no machine"
    if status.get("attempt"):
        yield f"launches so far: {status['attempt']}"
    if launch := status.get("launch"):
        yield f"its launch is {launch['launchId']}, attempt {launch['attempt']}"


def _stack(session: Session, stack: Json) -> Iterator[str]:
    name = stack["metadata"]["name"]
    layers = session.client.list(LAYER.collection(name))["items"]
    wanted = sum(dig(layer, "status", "desired") or 0 for layer in layers)
    yield f"stack/{name} wants {wanted} in {len(layers)} layer{'' if len(layers) == 1 else 's'}"
    yield f"it has {counts(dig(stack, 'status', 'instances'))}"
    waiting = [line for layer in layers for line in _not_ready(layer)]
    yield "not ready:" if waiting else "every layer is ready"
    yield from (f"  {line}" for line in waiting)
    if since := stack["metadata"].get("deletionTimestamp"):
        yield f"it is being deleted since {since}"
    yield from _list("held back", [*of_stack(stack)])


def _not_ready(layer: Json) -> Iterator[str]:
    name, ready = layer["metadata"]["name"], find_condition(layer, "Ready")
    if ready is None:
        yield f"layer/{name}: not looked at yet"
    elif ready["status"] != "True":
        yield f"layer/{name}: {said(ready)} (`strata why layer/{name} -n {layer['metadata']['namespace']}`)"


def _list(title: str, lines: list[str]) -> Iterator[str]:
    yield f"{title}:" if lines else f"nothing is {title}"
    yield from (f"  {line}" for line in lines)
