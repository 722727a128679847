"""strata rollout status, pause, resume, restart, undo, history."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import click

from strata.cli import ages
from strata.cli.completing import complete_named
from strata.cli.failures import CliFailure, TimedOut
from strata.cli.fields import dig
from strata.cli.kinds import LAYER, STACK
from strata.cli.options import Command, pass_session
from strata.cli.output import Form, FormType, label_of, render, shown
from strata.cli.rolling import Progress, number_of, progress_of, revisions_of
from strata.cli.session import Session, seconds
from strata.cli.tables import TableWriter, text
from strata.cli.targets import parse_named
from strata.cli.undoing import choose, differences, patch_of
from strata.cli.waiting import Goal, Subject, await_all

Json = dict[str, Any]

_LAYER: Callable[[Callable[..., None]], Callable[..., None]] = click.argument(
    "layer", nargs=-1, required=True, metavar="layer/NAME", shell_complete=complete_named("layer")
)


@click.group()
def rollout() -> None:
    """Renew the machines of a layer, watch it, hold it, undo it."""


@rollout.command(cls=Command)
@_LAYER
@click.option("-w", "--watch", type=bool, default=True, metavar="BOOL", help="Wait for the end (true if not said).")
@click.option("--timeout", default="0s", metavar="TIME", help="How long to wait; 0 is for ever.")
@pass_session
def status(session: Session, layer: tuple[str, ...], *, watch: bool, timeout: str) -> None:
    """Tell how far a rollout is, and wait until it is done. Exit code 1 if it stands still, or is not done in time."""
    name, path = _find(session, layer)
    found = session.client.get(path)
    if dig(found, "spec", "update", "strategy") == "OnDelete":
        raise CliFailure(f"{label_of(LAYER, name)} is renewed by nobody but you: its spec.update.strategy is OnDelete")
    if not watch:
        _tell(progress_of(found), "")
        return
    said = ""

    def tell(document: Json) -> bool:
        nonlocal said
        progress = progress_of(document)
        said = _tell(progress, said)
        return progress.done

    subject = Subject(LAYER, name, session.namespace_for(LAYER))
    if await_all(session, [subject], Goal(tell), seconds(timeout)):
        raise TimedOut(f"timed out waiting for the rollout of {subject.label}")


def _tell(progress: Progress, before: str) -> str:
    """Say what is news; what was said. Raises CliFailure for a rollout that stands still."""
    if progress.failed:
        raise CliFailure(progress.text)
    if progress.text != before:
        click.echo(progress.text)
    return progress.text


@rollout.command(cls=Command)
@_LAYER
@pass_session
def pause(session: Session, layer: tuple[str, ...]) -> None:
    """Renew no further machine for now. Scaling and healing go on."""
    _set_paused(session, layer, paused=True)


@rollout.command(cls=Command)
@_LAYER
@pass_session
def resume(session: Session, layer: tuple[str, ...]) -> None:
    """Let a paused rollout go on."""
    _set_paused(session, layer, paused=False)


def _set_paused(session: Session, layer: tuple[str, ...], *, paused: bool) -> None:
    name, path = _find(session, layer)
    already = bool(dig(session.client.get(path), "spec", "update", "paused")) is paused
    if not already:
        session.client.patch(path, {"spec": {"update": {"paused": paused}}})
    click.echo(f"{label_of(LAYER, name)} {'already ' if already else ''}{'paused' if paused else 'resumed'}")


@rollout.command(cls=Command)
@_LAYER
@click.option("--max-age", metavar="TIME", help="Only machines that are older than this, such as 12h.")
@pass_session
def restart(session: Session, layer: tuple[str, ...], *, max_age: str | None) -> None:
    """Renew all machines once, a few at a time, though their template is the same."""
    name, path = _find(session, layer)
    session.client.get(path)  # also tells the server's time
    before = session.now() - timedelta(seconds=(seconds(max_age) or 0.0) if max_age else 0.0)
    session.client.patch(path, {"spec": {"update": {"restartedAt": before.strftime("%Y-%m-%dT%H:%M:%SZ")}}})
    which = f"machines older than {max_age}" if max_age else "all machines"
    click.echo(f"{label_of(LAYER, name)} restarted: {which} are renewed, a few at a time")


@rollout.command(cls=Command)
@_LAYER
@click.option("--to-revision", type=click.IntRange(min=1), metavar="N", help="Which; the last other one if not said.")
@pass_session
def undo(session: Session, layer: tuple[str, ...], *, to_revision: int | None) -> None:
    """Go back to an earlier template: write what differs from it into the layer's spec.instance."""
    name, path = _find(session, layer)
    document = session.client.get(path)
    stack = session.client.get(STACK.path(document["metadata"]["namespace"], None))
    chosen = choose(document, stack, revisions_of(session, document), to_revision)
    changes = differences(document, stack, chosen)
    label, number = label_of(LAYER, name), number_of(chosen)
    if not changes:
        click.echo(f"{label} is of revision {number} already")
        return
    session.client.patch(path, patch_of(document, stack, changes))
    click.echo(f"{label} goes back to revision {number}: {', '.join(f'spec.instance.{field}' for field in changes)}")


@rollout.command(cls=Command)
@_LAYER
@click.option("--revision", type=click.IntRange(min=1), metavar="N", help="Show this template whole.")
@click.option("-o", "--output", "form", type=FormType(), default=Form("yaml"), metavar="FORM", help="With --revision.")
@pass_session
def history(session: Session, layer: tuple[str, ...], *, revision: int | None, form: Form) -> None:
    """List the last templates of a layer, oldest first."""
    _, path = _find(session, layer)
    document = session.client.get(path)
    found = revisions_of(session, document)
    if revision is not None:
        stack = session.client.get(STACK.path(document["metadata"]["namespace"], None))
        click.echo(render(form, shown(choose(document, stack, found, revision))), nl=False)
        return
    present = dig(document, "status", "rollout", "revision")
    writer = TableWriter(["REVISION", "AGE", "IMAGE", "TYPES", "TEMPLATE", "PRESENT"], colour=session.colour)
    writer.write(_row(session, one, present) for one in found)


def _row(session: Session, revision: Json, present: int | None) -> list[str]:
    spec, made_at = revision["spec"], revision["metadata"].get("creationTimestamp")
    return [
        str(number_of(revision)),
        ages.age(made_at, session.now()),
        text(dig(spec, "instance", "image", "id")),
        text(dig(spec, "instance", "types")),
        spec["template"],
        "yes" if number_of(revision) == present else "",
    ]


def _find(session: Session, layer: tuple[str, ...]) -> tuple[str, str]:
    """The name and the path of `layer/web`, or of `layer web`."""
    words = layer[1:] if len(layer) > 1 and LAYER.named(layer[0].lower()) else layer
    if len(words) != 1:
        raise click.UsageError("name exactly one layer, such as layer/web")
    name = parse_named(session.catalog, words[0], LAYER)
    return name, LAYER.path(name, session.namespace_for(LAYER))
