"""What a person sees while a world comes up: a live table on a terminal, plain lines elsewhere."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from strata.local.layers import LayerView

_BAR = 20


class Progress(Protocol):
    """A place where progress is shown."""

    def say(self, text: str) -> None:
        """One line that stays."""

    def warn(self, text: str) -> None:
        """One line that stays, and should be seen."""

    def show(self, layers: Sequence[LayerView]) -> None:
        """How far the layers are."""


class PlainProgress:
    """A line whenever something changed: for files, pipes and CI."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown: dict[str, LayerView] = {}

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        self.say(f"warning: {text}")

    def show(self, layers: Sequence[LayerView]) -> None:
        for layer in layers:
            if self._shown.get(layer.path) != layer:
                self._shown[layer.path] = layer
                starting = f", {layer.starting} starting" if layer.starting else ""
                self.say(f"{layer.path}: {layer.online} of {layer.desired} online{starting}")


class LiveProgress:
    """One table that is drawn anew in place."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def say(self, text: str) -> None:
        self._live.console.print(Text(text, style="dim"))

    def warn(self, text: str) -> None:
        self._live.console.print(Text(f"warning: {text}", style="yellow"))

    def show(self, layers: Sequence[LayerView]) -> None:
        self._live.update(layer_table(layers), refresh=True)


def layer_table(layers: Sequence[LayerView]) -> Table:
    """The layers, a row each."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("STACK")
    table.add_column("LAYER")
    for title in ("DESIRED", "ONLINE", "STARTING"):
        table.add_column(title, justify="right")
    table.add_column("")
    for layer in layers:
        table.add_row(
            layer.stack,
            layer.name,
            str(layer.desired),
            Text(str(layer.online), style="green" if layer.ready else "default"),
            Text(str(layer.starting), style="yellow" if layer.starting else "dim"),
            _state(layer),
        )
    return table


def _state(layer: LayerView) -> Text:
    if layer.ready:
        return Text("ready", style="green")
    filled = _BAR * layer.online // max(1, layer.desired)
    return Text.assemble(("━" * filled, "green"), ("─" * (_BAR - filled), "dim"), f" {layer.reason}")


@contextmanager
def progress_on(console: Console) -> Iterator[Progress]:
    """What suits this console. A terminal is given back in any case."""
    if not console.is_terminal:
        yield PlainProgress(console)
        return
    with Live(console=console, auto_refresh=False) as live:
        yield LiveProgress(live)
