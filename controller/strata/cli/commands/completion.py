"""strata completion."""

import click
from click.shell_completion import get_completion_class

from strata.cli.options import Command


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    r"""Print the completion script of a shell.

    \b
    bash: strata completion bash > ~/.local/share/bash-completion/completions/strata
    zsh:  strata completion zsh > "${fpath[1]}/_strata"
    fish: strata completion fish > ~/.config/fish/completions/strata.fish
    """
    completer = get_completion_class(shell)
    if completer is None:
        raise click.ClickException(f"this click knows no completion for {shell}")
    root = click.get_current_context().find_root().command
    click.echo(completer(root, {}, "strata", "_STRATA_COMPLETE").source())
