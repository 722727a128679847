"""strata delete."""

import sys
from dataclasses import dataclass
from typing import Any

import click

from strata.cli.completing import complete_target
from strata.cli.failures import ApiFailure, TimedOut
from strata.cli.fields import find_condition
from strata.cli.kinds import ResourceType, order_of
from strata.cli.options import Command, pass_session
from strata.cli.output import label_of, within
from strata.cli.session import Session, seconds
from strata.cli.targets import Target, parse
from strata.cli.waiting import Goal, Subject, await_all
from strata.cli.wishes import read_wishes

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Doomed:
    resource: ResourceType
    name: str
    namespace: str | None

    @property
    def label(self) -> str:
        return label_of(self.resource, self.name)

    @property
    def path(self) -> str:
        return self.resource.path(self.name, self.namespace)


@click.command(cls=Command, bare={"--wait": "true", "--dry-run": "server"})
@click.argument("target", nargs=-1, metavar="[KIND NAME… | KIND/NAME…]", shell_complete=complete_target)
@click.option("-f", "--filename", "files", multiple=True, metavar="FILE|DIR|-", help="What these files describe.")
@click.option("-R", "--recursive", is_flag=True, help="Also the directories within a directory.")
@click.option("-l", "--selector", default="", metavar="LABELS", help="All of the kind with these labels.")
@click.option("--all", "everything", is_flag=True, help="All of the kind.")
@click.option("-A", "--all-namespaces", "everywhere", is_flag=True, help="In all stacks; with --all or -l.")
@click.option(
    "--wait", "waiting", type=bool, default=True, metavar="[=false]", help="Wait until they are gone (the default)."
)
@click.option("--timeout", default="0", metavar="TIME", help="How long to wait; 0, the default, is for ever.")
@click.option("--ignore-not-found", is_flag=True, help="What is not there is as good as deleted.")
@click.option(
    "--dry-run",
    type=click.Choice(["none", "client", "server"]),
    default="none",
    metavar="[=client|server]",
    help="Delete nothing.",
)
@pass_session
def delete(
    session: Session,
    /,
    target: tuple[str, ...],
    *,
    files: tuple[str, ...],
    recursive: bool,
    selector: str,
    everything: bool,
    everywhere: bool,
    **how: Any,  # noqa: ANN401 - waiting, timeout, ignore_not_found, dry_run
) -> None:
    """Delete objects, and wait until they are gone: until their machines are ended.

    Ctrl-C ends the waiting, not the deleting.
    """
    patience_s = seconds(how["timeout"])
    bad = 0
    if files:
        if target or selector or everything:
            raise click.UsageError("-f says what to delete: name nothing beside it")
        wishes = read_wishes(session, files, recursive=recursive, order=-1)
        bad = wishes.failed
        doomed = [_Doomed(placed.wish.resource, placed.wish.name, placed.wish.namespace) for placed in wishes.good]
    else:
        targets = parse(session.catalog, target)
        _check(targets, selected=bool(selector) or everything, everywhere=everywhere)
        doomed = _chosen(session, targets, selector, everywhere=everywhere)
    begun, failed = _begin(session, doomed, how["dry_run"], ignore_missing=how["ignore_not_found"])
    if how["waiting"] and how["dry_run"] == "none":
        _await(session, begun, patience_s)
    if failed or bad:
        click.get_current_context().exit(1)


def _check(targets: list[Target], *, selected: bool, everywhere: bool) -> None:
    named = any(target.names for target in targets)
    if named and selected:
        raise click.UsageError("names exclude -l and --all")
    if named and everywhere:
        raise click.UsageError("a name means nothing without its stack: use -n STACK, not -A")
    if not named and not selected:
        raise click.UsageError("name what to delete, or choose with -l, or say --all")


def _chosen(session: Session, targets: list[Target], selector: str, *, everywhere: bool) -> list[_Doomed]:
    found: list[_Doomed] = []
    query = {"labelSelector": selector} if selector else {}
    for target in sorted(targets, key=lambda target: -order_of(target.resource.kind)):
        namespace = session.namespace_for(target.resource, everywhere=everywhere)
        found += [_Doomed(target.resource, name, namespace) for name in target.names]
        if not target.names:
            items = session.client.list(target.resource.collection(namespace), query=query)["items"]
            found += [
                _Doomed(target.resource, item["metadata"]["name"], item["metadata"].get("namespace")) for item in items
            ]
    if not found:
        click.echo("No resources found.", err=True)
    return found


def _begin(
    session: Session, doomed: list[_Doomed], dry_run: str, *, ignore_missing: bool
) -> tuple[list[tuple[_Doomed, str]], bool]:
    """Ask for each deletion; those begun with their uids, and whether any was refused."""
    begun: list[tuple[_Doomed, str]] = []
    failed = False
    for one in doomed:
        try:
            uid = _delete(session, one, dry_run)
        except ApiFailure as failure:
            if not (failure.not_found and ignore_missing):
                failed = True
                click.echo(str(failure), err=True)
            continue
        begun.append((one, uid))
        said = {"none": "", "client": " (dry run)", "server": " (server dry run)"}[dry_run]
        click.echo(f"{one.label} deleted{within(one.namespace)}{said}")
    return begun, failed


def _delete(session: Session, one: _Doomed, dry_run: str) -> str:
    """Delete one object; its uid."""
    uid: str = session.client.get(one.path)["metadata"]["uid"]
    if dry_run != "client":
        session.client.delete(one.path, query={"dryRun": "All"} if dry_run == "server" else None)
    return uid


def _await(session: Session, begun: list[tuple[_Doomed, str]], patience_s: float | None) -> None:
    subjects = [Subject(one.resource, one.name, one.namespace, uid) for one, uid in begun]
    late = await_all(session, subjects, Goal.gone(), patience_s, on_change=_Waiting())
    if late:
        raise TimedOut("timed out waiting for the end of " + ", ".join(sorted(subject.label for subject in late)))


class _Waiting:
    """Tells a person at a terminal what a deletion waits for, once each time that it is another thing."""

    def __init__(self) -> None:
        self._said: dict[str, str] = {}

    def __call__(self, subject: Subject, document: Json) -> None:
        ready = find_condition(document, "Ready") or {}
        message = ready.get("message") if ready.get("reason") == "Deleting" else None
        if message and self._said.get(subject.label) != message and sys.stderr.isatty():
            self._said[subject.label] = message
            click.echo(f"{subject.label}: {message}", err=True)
