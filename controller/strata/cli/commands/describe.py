"""strata describe."""

from collections.abc import Iterator
from typing import Any

import click

from strata.cli import sections
from strata.cli.applying import LAST_APPLIED
from strata.cli.completing import complete_target
from strata.cli.failures import ApiFailure
from strata.cli.fields import counts, dig
from strata.cli.kinds import INSTANCE, LAYER, STACK, ResourceType
from strata.cli.loading import load_lines
from strata.cli.numbers import next_change, spot_share, sum_behind
from strata.cli.options import Command, pass_session
from strata.cli.output import without_empty
from strata.cli.rolling import renewal_of
from strata.cli.session import Session
from strata.cli.slots import bought, layer_of, leave_of
from strata.cli.targets import Target, parse
from strata.cli.yamltext import dump

Json = dict[str, Any]


@click.command(cls=Command)
@click.argument("target", nargs=-1, required=True, metavar="KIND [NAME…] | KIND/NAME…", shell_complete=complete_target)
@click.option("-A", "--all-namespaces", "everywhere", is_flag=True, help="In all stacks.")
@click.option("-l", "--selector", default="", metavar="LABELS", help="Only those with these labels.")
@pass_session
def describe(session: Session, target: tuple[str, ...], *, everywhere: bool, selector: str) -> None:
    """Tell all about an object: what was asked for, its state, its conditions, its members and its events."""
    failed = False
    printed = 0
    for one in parse(session.catalog, target):
        namespace = session.namespace_for(one.resource, everywhere=everywhere)
        for document in _found(session, one, namespace, selector):
            if document is None:
                failed = True
                continue
            if printed:
                click.echo("\n")
            printed += 1
            _describe(session, one.resource, document)
    if not printed and not failed:
        click.echo("No resources found.", err=True)
    if failed:
        click.get_current_context().exit(1)


def _found(session: Session, target: Target, namespace: str | None, selector: str) -> Iterator[Json | None]:
    """Each object; None for a name that was told to be missing."""
    if not target.names:
        query = {"labelSelector": selector} if selector else {}
        yield from session.client.list(target.resource.collection(namespace), query=query)["items"]
    for name in target.names:
        try:
            yield session.client.get(target.resource.path(name, namespace))
        except ApiFailure as failure:
            click.echo(str(failure), err=True)
            yield None


def _describe(session: Session, resource: ResourceType, document: Json) -> None:
    metadata = document["metadata"]
    annotations = {key: value for key, value in (metadata.get("annotations") or {}).items() if key != LAST_APPLIED}
    sections.pairs(
        [
            ("Name", metadata["name"]),
            ("Kind", resource.kind),
            ("Stack", metadata.get("namespace")),
            ("Labels", _lines(metadata.get("labels"))),
            ("Annotations", _lines(annotations)),
            ("Owner", _owner(metadata)),
            ("Created", sections.moment(session, metadata.get("creationTimestamp"))),
            ("Deleting since", sections.moment(session, metadata.get("deletionTimestamp"))),
            *_state(session, resource, document),
        ]
    )
    click.echo("Spec:")
    click.echo(
        "".join(f"  {line}\n" for line in dump(without_empty(document.get("spec") or {})).splitlines()), nl=False
    )
    sections.show_conditions(session, document)
    if resource == LAYER:
        sections.show_members(session, sections.members_of(session, document))
    if resource == STACK:
        sections.show_layers(session, document)
    sections.show_events(session, document)


def _lines(found: Json | None) -> list[str] | None:
    return [f"{key}={value}" for key, value in sorted((found or {}).items())] or None


def _owner(metadata: Json) -> str | None:
    owners = [f"{owner['kind'].lower()}/{owner['name']}" for owner in metadata.get("ownerReferences") or []]
    return ", ".join(owners) or None


def _state(session: Session, resource: ResourceType, document: Json) -> Iterator[tuple[str, object]]:
    """What the status says in a few lines, kind by kind."""
    status = document.get("status") or {}
    if resource == LAYER:
        yield "Desired", sum_behind(document)
        yield "Next", next_change(document)
        yield "Load", load_lines(session, document) or None
        yield "Instances", counts(status.get("instances"))
        yield "Spot", spot_share(document)
        yield "Rollout", renewal_of(document)
        yield "Image", _image(status.get("image"))
    elif resource == STACK:
        yield "Region", dig(document, "spec", "region")
        yield "Paused", "yes: nothing is changed in EC2" if dig(document, "spec", "paused") else None
        yield "Instances", counts(status.get("instances"))
    elif resource == INSTANCE:
        yield from _machine(session, status)
        yield "Leaving", leave_of(document, layer_of(session, document), session.now()) if status.get("leave") else None


def _image(image: Json | None) -> str | None:
    return f"{image['id']} (from {image['source']})" if image else None


def _machine(session: Session, status: Json) -> Iterator[tuple[str, object]]:
    ec2 = status.get("ec2") or {}
    yield "Phase", status.get("phase")
    yield "EC2 id", ec2.get("instanceId")
    yield "EC2 state", ec2.get("state")
    yield "Type", ec2.get("type")
    yield "Market", bought(ec2) if ec2 else None
    yield "Zone", ec2.get("zone")
    yield "Addresses", ", ".join(address for address in (ec2.get("privateIp"), ec2.get("publicIp")) if address) or None
    yield "Image", ec2.get("imageId")
    yield "Launched", sections.moment(session, ec2.get("launchedAt"))
    yield "Online since", sections.moment(session, status.get("onlineSince"))
    yield "Launches", status.get("attempt")
