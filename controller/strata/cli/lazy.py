"""A click group whose commands are imported only when they are run; `--help` imports none."""

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:  # see shell_complete
    from click.shell_completion import CompletionItem


class LazyGroup(click.Group):
    """`table` has each command's "module:attribute" and its one line of help, in the order of `--help`."""

    def __init__(self, *args: Any, table: Mapping[str, tuple[str, str]], **attributes: Any) -> None:  # noqa: ANN401 - click's own
        super().__init__(*args, **attributes)
        self._table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self._table, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._table:
            return super().get_command(ctx, cmd_name)
        return _load(cmd_name, self._table[cmd_name][0])

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's own
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self._table.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list["CompletionItem"]:
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - only a shell's completion pays for it

        names = [
            CompletionItem(name, help=line) for name, (_, line) in self._table.items() if name.startswith(incomplete)
        ]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]


def _load(name: str, where: str) -> click.Command:
    module, _, attribute = where.partition(":")
    try:
        command = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise click.ClickException(f"`strata {name}` is not part of this installation: {error}") from error
    if not isinstance(command, click.Command):
        raise click.ClickException(f"`strata {name}`: {where} is not a command")
    return command
