"""The forms of -o: which there are, and whole objects in each of them."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from strata.cli.kinds import ResourceType

if TYPE_CHECKING:  # read only where a path is asked for
    from strata.cli.jsonpath import Template

Json = dict[str, Any]

_PEOPLES_OWN = ("tags", "labels", "annotations", "matchLabels")
TABLE_FORMS = ("", "wide")
FORMS = ("wide", "yaml", "json", "name", "jsonpath=TEMPLATE")


@dataclass(frozen=True, slots=True)
class Form:
    """A value of -o. `name` is "" for the ordinary table."""

    name: str = ""
    template: "Template | None" = None

    @property
    def is_table(self) -> bool:
        return self.name in TABLE_FORMS


class FormType(click.ParamType):  # type: ignore[type-arg] # generic in newer clicks only
    """Reads -o."""

    name = "form"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Form:  # noqa: ANN401 - click's own
        if isinstance(value, Form):
            return value
        name, equals, template = str(value).partition("=")
        if name == "jsonpath" and equals and template:
            from strata.cli.jsonpath import Template  # noqa: PLC0415 - see TYPE_CHECKING above

            return Form(name, Template(template))
        if value not in ("wide", "yaml", "json", "name"):
            self.fail(f"{value!r} is not one of {', '.join(FORMS)}", param, ctx)
        return Form(str(value))


def shown(document: Json) -> Json:
    """An object without what is only noise to people."""
    metadata = {key: value for key, value in (document.get("metadata") or {}).items() if key != "managedFields"}
    return {**document, "metadata": metadata} if "metadata" in document else document


def without_empty(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Without the empty texts that stand for "not said"; what people named themselves (tags) stays whole."""
    if isinstance(value, list):
        return [without_empty(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: inner if key in _PEOPLES_OWN else without_empty(inner) for key, inner in value.items() if inner != ""}


def within(namespace: str | None) -> str:
    """` in todo`, behind what was done to an object; nothing for one that is in no stack."""
    return f" in {namespace}" if namespace else ""


def as_list(items: list[Json]) -> Json:
    """Several objects as one document, as kubectl makes it."""
    return {"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": items}


def render(form: Form, document: Json) -> str:
    """A document in YAML, JSON or by a template; ends with a line break unless a template says otherwise."""
    if form.template is not None:
        return form.template.render(document)
    if form.name == "yaml":
        from strata.cli.yamltext import dump  # noqa: PLC0415 - only YAML pays for it

        return dump(without_empty(document))
    return json.dumps(document, indent=4, ensure_ascii=False) + "\n"


def label_of(resource: ResourceType, name: str) -> str:
    """An object as every message names it: layer/web."""
    return f"{resource.singular}/{name}"
