"""strata scale."""

from typing import Any

import click

from strata.cli.applying import Json
from strata.cli.completing import complete_named
from strata.cli.failures import CliFailure
from strata.cli.fields import dig
from strata.cli.kinds import BUILT_IN, LAYER
from strata.cli.options import Command, pass_session
from strata.cli.session import Session
from strata.cli.targets import parse_named


class _Machines(click.ParamType):  # type: ignore[type-arg] # generic in newer clicks only
    """A number of machines."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401 - click's own
        text = str(value)
        if not (text.isascii() and text.isdecimal()):
            self.fail(f"{text!r} is not a number of machines: say 0, 1, 2, …", param, ctx)
        return int(text)


@click.command(cls=Command)
@click.argument("layers", nargs=-1, required=True, metavar="layer/NAME…", shell_complete=complete_named("layer"))
@click.option("--always", "--replicas", "always", type=_Machines(), help="How many machines run always.")
@click.option("--min", "minimum", type=_Machines(), help="Never fewer, whatever else says so.")
@click.option("--max", "maximum", type=_Machines(), help="Never more.")
@pass_session
def scale(
    session: Session, layers: tuple[str, ...], *, always: int | None, minimum: int | None, maximum: int | None
) -> None:
    """Set how many machines of a layer run always, and the limits of what its windows and its load make of it."""
    wanted = {"always": always, "min": minimum, "max": maximum}
    capacity = {field: count for field, count in wanted.items() if count is not None}
    if not capacity:
        raise click.UsageError("say --always, --min or --max")
    names = [parse_named(session.catalog, text, LAYER) for text in _names(layers)]
    namespace = session.namespace_for(LAYER)
    for name in names:
        path = LAYER.path(name, namespace)
        before = session.client.get(path)
        after = session.client.patch(path, {"spec": {"capacity": capacity}})
        more = _more(after)
        said = _limits(*_capacity(after), more) if more else _said(_capacity(before), _capacity(after))
        click.echo(f"layer/{name} {said}")


def _names(layers: tuple[str, ...]) -> tuple[str, ...]:
    """The names in `layer/web`, and in `layer web` as well. Raises CliFailure for a kind that has no number."""
    for text in layers:
        kind, slash, _ = text.partition("/")
        other = next((one for one in BUILT_IN if one != LAYER and one.named(kind.lower())), None)
        if other and (slash or (text is layers[0] and len(layers) > 1)):
            article = "an" if other.singular[0] in "aeiou" else "a"
            raise CliFailure(f"{article} {other.singular} cannot be scaled; a layer can: layer/NAME")
    return layers[1:] if len(layers) > 1 and LAYER.named(layers[0].lower()) else layers


def _capacity(layer: Json) -> tuple[int, int, int | None]:
    """Always, min and max as the server has them."""
    found = dig(layer, "spec", "capacity") or {}
    return found.get("always") or 0, found.get("min") or 0, found.get("max")


def _desired(always: int, minimum: int, maximum: int | None) -> int:
    """As the planner does: max has the last word."""
    return max(always, minimum) if maximum is None else min(max(always, minimum), maximum)


def _more(layer: Json) -> str:
    """What else than these numbers has a say."""
    capacity = dig(layer, "spec", "capacity") or {}
    return " and ".join(
        what for field, what in (("schedule", "its windows"), ("load", "its load")) if capacity.get(field)
    )


def _limits(always: int, minimum: int, maximum: int | None, more: str) -> str:
    limit = "" if maximum is None else f", at most {maximum}"
    return f"scaled: {always} always, plus {more}; at least {minimum}{limit}"


def _said(before: tuple[int, int, int | None], after: tuple[int, int, int | None]) -> str:
    always, minimum, maximum = after
    will, was = _desired(*after), _desired(*before)
    if will < always:
        return f"scaled: {will} of the {always} asked for, its max is {maximum}"
    if will > always:
        return f"scaled: {will} instead of the {always} asked for, its min is {minimum}"
    return f"scaled {was} -> {will}" if will != was else f"scaled: {will}, as before"
