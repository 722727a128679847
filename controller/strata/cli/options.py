"""How a Strata command is declared: the global options, which stand before or after its name, and its Session."""

from collections.abc import Callable, Iterable
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import click

from strata.cli.session import Session

if TYPE_CHECKING:  # only a shell's completion imports it
    from click.shell_completion import CompletionItem

P = ParamSpec("P")
R = TypeVar("R")


def session_of(ctx: click.Context) -> Session:
    """The run's one Session."""
    return ctx.find_root().ensure_object(Session)


def pass_session(function: Callable[Concatenate[Session, P], R]) -> Callable[P, R]:
    """Give a command the Session as its first argument."""

    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        return function(session_of(click.get_current_context()), *args, **kwargs)

    return update_wrapper(run, function)


def _keep(ctx: click.Context, parameter: click.Parameter, value: object) -> None:
    if value:
        session_of(ctx).options[str(parameter.name)] = value


def _complete_stack(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list["CompletionItem"]:
    from strata.cli.completing import complete_namespace  # noqa: PLC0415 - only a shell's completion pays for it

    return complete_namespace(ctx, parameter, incomplete)


def global_options(*, hidden: bool) -> list[click.Option]:
    """The options that every command understands; a command's own help shows only -n."""

    def option(*names: str, shown: bool = False, **attributes: Any) -> click.Option:  # noqa: ANN401 - click's own
        return click.Option(
            names, expose_value=False, is_eager=True, callback=_keep, hidden=hidden and not shown, **attributes
        )

    return [
        option(
            "-n",
            "--namespace",
            shown=True,
            metavar="STACK",
            help="The stack to work in (STRATA_NAMESPACE).",
            shell_complete=_complete_stack,
        ),
        option("--server", metavar="URL", help="The server's address (STRATA_SERVER)."),
        option("--kubeconfig", metavar="FILE", help="A kubeconfig file (STRATA_KUBECONFIG, KUBECONFIG)."),
        option("--context", metavar="NAME", help="Which of the kubeconfig's contexts."),
        option(
            "--request-timeout",
            metavar="TIME",
            help="How long a request may take, with its retries: 30s, 5m; 0 is for ever.",
        ),
        option("--no-color", is_flag=True, help="No colours, as with NO_COLOR."),
    ]


class Command(click.Command):
    """A command with the global options. `bare` has options whose value may be left out, as in `--dry-run[=server]`:
    only `--dry-run=VALUE` takes one, so that `--wait web` still names web."""

    def __init__(self, *args: Any, bare: dict[str, str] | None = None, **attributes: Any) -> None:  # noqa: ANN401 - click's own
        super().__init__(*args, **attributes)
        self._bare = bare or {}
        taken = {name for parameter in self.params for name in parameter.opts}
        self.params += [option for option in global_options(hidden=True) if not taken & set(option.opts)]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, list(self._spelled_out(args)))

    def _spelled_out(self, args: list[str]) -> Iterable[str]:
        options = args.index("--") if "--" in args else len(args)
        for at, arg in enumerate(args):
            yield f"{arg}={self._bare[arg]}" if arg in self._bare and at < options else arg
