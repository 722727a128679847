"""strata explain."""

import textwrap
from collections.abc import Iterator
from typing import Any

import click

from strata.cli.completing import complete_target
from strata.cli.failures import CliFailure
from strata.cli.kinds import ResourceType
from strata.cli.options import Command, pass_session
from strata.cli.session import Session

Json = dict[str, Any]

_WIDTH = 78


@click.command(cls=Command)
@click.argument("path", metavar="KIND[.FIELD…]", shell_complete=complete_target)
@click.option("--recursive", is_flag=True, help="All fields below, without their descriptions.")
@pass_session
def explain(session: Session, path: str, *, recursive: bool) -> None:
    """Explain a kind, or one of its fields: `strata explain layer.spec.capacity`."""
    kind, *steps = path.split(".")
    resource = session.catalog.find(kind)
    schema = _field(session.catalog.schema_of(resource), resource, steps)
    click.echo("\n".join(_page(resource, steps, schema, recursive=recursive)))


def _field(schema: Json, resource: ResourceType, steps: list[str]) -> Json:
    """The schema of a field; a list is passed through to its items, and [] or [0] may be written."""
    for at, step in enumerate(steps):
        properties = _properties(schema)
        name = step.partition("[")[0]
        if name not in properties:
            place = ".".join([resource.singular, *steps[:at]])
            fields = f"; it has: {', '.join(sorted(properties))}" if properties else ""
            raise CliFailure(f'{place} has no field "{name}"{fields}')
        schema = properties[name]
    return schema


def _properties(schema: Json) -> Json:
    while "items" in schema:
        schema = schema["items"]
    found: Json = schema.get("properties") or {}
    return found


def _page(resource: ResourceType, steps: list[str], schema: Json, *, recursive: bool) -> Iterator[str]:
    yield f"KIND:     {resource.kind}"
    yield f"VERSION:  {resource.api_version}"
    if steps:
        yield f"FIELD:    {'.'.join(steps)} <{_type(schema)}>"
    yield ""
    yield "DESCRIPTION:"
    yield from _wrapped(schema.get("description") or "<none>", 4)
    yield from (f"    {line}" for line in _rules(schema))
    if _properties(schema):
        yield ""
        yield "FIELDS:"
        yield from _fields(schema, 2, recursive=recursive)


def _fields(schema: Json, indent: int, *, recursive: bool) -> Iterator[str]:
    holder = schema
    while "items" in holder:
        holder = holder["items"]
    for name, below in sorted(_properties(schema).items()):
        required = " -required-" if name in (holder.get("required") or ()) else ""
        yield f"{' ' * indent}{name} <{_type(below)}>{required}"
        if recursive:
            yield from _fields(below, indent + 2, recursive=True)
        else:
            yield from _wrapped(below.get("description") or "", indent + 4)
            yield from (f"{' ' * (indent + 4)}{line}" for line in _rules(below))
            yield ""


def _type(schema: Json) -> str:
    if schema.get("type") == "array":
        return f"[]{_type(schema.get('items') or {})}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"map[string]{_type(schema['additionalProperties'])}"
    if schema.get("x-kubernetes-int-or-string"):
        return "integer or string"
    name = str(schema.get("type") or "any")
    return "Object" if name == "object" else name


def _rules(schema: Json) -> Iterator[str]:
    """What a value must be, and is by default."""
    names = {
        "enum": "One of",
        "default": "Default",
        "minimum": "At least",
        "maximum": "At most",
        "pattern": "Pattern",
        "minItems": "Items at least",
        "maxItems": "Items at most",
        "maxLength": "Length at most",
    }
    for key, title in names.items():
        if key in schema and schema[key] not in ({}, []):
            yield f"{title}: {_said(schema[key])}"


def _said(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(_said(item) for item in value)
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return '""' if value == "" else str(value)


def _wrapped(text: str, indent: int) -> list[str]:
    margin = " " * indent
    return textwrap.wrap(text, _WIDTH, initial_indent=margin, subsequent_indent=margin)
