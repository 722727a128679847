"""What a command line's `KIND NAME…`, `KIND/NAME…`, `KIND,KIND` and `all` mean."""

from dataclasses import dataclass

import click

from strata.cli.failures import CliFailure
from strata.cli.kinds import Catalog, ResourceType

_CATEGORIES = ("all", "strata")


@dataclass(frozen=True, slots=True)
class Target:
    """Objects of one kind: those of `names`, or, if there are none, all; with `only`, of all the one of this name."""

    resource: ResourceType
    names: tuple[str, ...] = ()
    only: str = ""


def parse(catalog: Catalog, arguments: tuple[str, ...]) -> list[Target]:
    """The targets of these arguments, kinds in the order that they were given.

    Raises click.UsageError for words that make no sense together, CliFailure for a kind that does not exist.
    """
    if not arguments:
        raise click.UsageError("name a kind, such as `layers` or `layer/web`; `strata api-resources` lists them")
    if any("/" in argument for argument in arguments):
        return _slashed(catalog, arguments)
    kinds, *names = arguments
    targets = [
        Target(resource, tuple(names)) for kind in kinds.split(",") if kind for resource in _resources(catalog, kind)
    ]
    if not targets:
        raise click.UsageError("name a kind, such as `layers`")
    return targets


def parse_one(catalog: Catalog, arguments: tuple[str, ...]) -> tuple[ResourceType, str]:
    """Exactly one object. Raises click.UsageError for anything else."""
    targets = parse(catalog, arguments)
    if len(targets) != 1 or len(targets[0].names) != 1:
        raise click.UsageError("name exactly one object, such as `layer/web` or `layer web`")
    return targets[0].resource, targets[0].names[0]


def parse_named(catalog: Catalog, text: str, resource: ResourceType) -> str:
    """The name in `layer/web`, or in plain `web` where the kind is known. Raises CliFailure for another kind."""
    kind, slash, name = text.rpartition("/")
    if slash and catalog.find(kind) != resource:
        raise CliFailure(f"{text} is not a {resource.singular}")
    if not name:
        raise CliFailure(f"{text!r} names no {resource.singular}")
    return name


def is_category(arguments: tuple[str, ...]) -> bool:
    """Whether these are `all`, alone."""
    return len(arguments) == 1 and arguments[0].lower() in _CATEGORIES


def _slashed(catalog: Catalog, arguments: tuple[str, ...]) -> list[Target]:
    names: dict[ResourceType, list[str]] = {}
    for argument in arguments:
        kind, slash, name = argument.partition("/")
        if not slash or not kind or not name or "/" in name:
            raise click.UsageError(f"{argument!r}: beside arguments such as layer/web every one must be KIND/NAME")
        names.setdefault(catalog.find(kind), []).append(name)
    return [Target(resource, tuple(found)) for resource, found in names.items()]


def _resources(catalog: Catalog, kind: str) -> list[ResourceType]:
    if kind.lower() in _CATEGORIES:
        return catalog.in_category(kind.lower())
    return [catalog.find(kind)]
