"""strata wait."""

import click

from strata.cli.completing import complete_target
from strata.cli.failures import TimedOut
from strata.cli.options import Command, pass_session
from strata.cli.session import Session, seconds
from strata.cli.targets import Target, parse
from strata.cli.waiting import Goal, Subject, await_all, require_any


@click.command(cls=Command)
@click.argument(
    "target", nargs=-1, required=True, metavar="KIND NAME… | KIND/NAME… | KIND", shell_complete=complete_target
)
@click.option(
    "--for",
    "goal",
    required=True,
    metavar="GOAL",
    help="condition=TYPE[=STATUS], delete, create, jsonpath=PATH[=VALUE].",
)
@click.option("--timeout", default="30s", metavar="TIME", help="How long; 0 looks once. 30s if not said.")
@click.option("--all", "everything", is_flag=True, help="All of the kind that there are now.")
@click.option("-l", "--selector", default="", metavar="LABELS", help="All of the kind with these labels.")
@click.option("-A", "--all-namespaces", "everywhere", is_flag=True, help="In all stacks; with --all or -l.")
@pass_session
def wait(
    session: Session,
    target: tuple[str, ...],
    *,
    goal: str,
    timeout: str,
    everything: bool,
    selector: str,
    everywhere: bool,
) -> None:
    """Wait until objects have a condition, a value, or are gone. Exit code 1 if they are not in time.

    A condition that speaks of an older generation does not count: `strata apply`, then `strata wait` waits for what
    was applied.
    """
    wanted = Goal.parse(goal)
    patience_s = seconds(timeout) or 0.0
    targets = parse(session.catalog, target)
    _check(targets, selected=everything or bool(selector), everywhere=everywhere)
    subjects = [found for one in targets for found in _subjects(session, one, selector, everywhere=everywhere)]
    if not (wanted.absence and not any(one.names for one in targets)):
        require_any(subjects)
    late = await_all(session, subjects, wanted, patience_s, on_met=lambda one: click.echo(f"{one.label} condition met"))
    if late:
        raise TimedOut(f"timed out waiting for {goal} on {', '.join(subject.label for subject in late)}")


def _check(targets: list[Target], *, selected: bool, everywhere: bool) -> None:
    named = any(target.names for target in targets)
    if named and (selected or everywhere):
        raise click.UsageError("names exclude --all, -l and -A")
    if not named and not selected:
        raise click.UsageError("name what to wait for, or choose with -l, or say --all")


def _subjects(session: Session, target: Target, selector: str, *, everywhere: bool) -> list[Subject]:
    namespace = session.namespace_for(target.resource, everywhere=everywhere)
    if target.names:
        return [Subject(target.resource, name, namespace) for name in target.names]
    query = {"labelSelector": selector} if selector else {}
    items = session.client.list(target.resource.collection(namespace), query=query)["items"]
    return [
        Subject(target.resource, item["metadata"]["name"], item["metadata"].get("namespace"), item["metadata"]["uid"])
        for item in items
    ]
