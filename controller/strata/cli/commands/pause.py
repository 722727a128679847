"""strata pause, strata resume."""

from collections.abc import Callable

import click

from strata.cli.completing import complete_named
from strata.cli.kinds import STACK
from strata.cli.options import Command, pass_session
from strata.cli.session import Session
from strata.cli.targets import parse_named

_STACKS: Callable[[Callable[..., None]], Callable[..., None]] = click.argument(
    "stacks", nargs=-1, required=True, metavar="stack/NAME…", shell_complete=complete_named("stack")
)


@click.command(cls=Command)
@_STACKS
@pass_session
def pause(session: Session, stacks: tuple[str, ...]) -> None:
    """Let nothing of a stack be changed in EC2. Observation, status and metrics go on."""
    _set_paused(session, stacks, paused=True)


@click.command(cls=Command)
@_STACKS
@pass_session
def resume(session: Session, stacks: tuple[str, ...]) -> None:
    """End a stack's pause: what was missed is judged anew, now."""
    _set_paused(session, stacks, paused=False)


def _set_paused(session: Session, stacks: tuple[str, ...], *, paused: bool) -> None:
    # `pause stack todo` as well as `pause stack/todo`
    names = stacks[1:] if len(stacks) > 1 and STACK.named(stacks[0].lower()) else stacks
    for name in [parse_named(session.catalog, text, STACK) for text in names]:
        path = STACK.path(name, None)
        already = session.client.get(path)["spec"].get("paused", False) is paused
        if not already:
            session.client.patch(path, {"spec": {"paused": paused}})
        click.echo(f"stack/{name} {'already ' if already else ''}{'paused' if paused else 'resumed'}")
