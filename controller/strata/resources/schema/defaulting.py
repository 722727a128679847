"""Makes a document whole: nulls out, defaults in, integral floats to integers. Total: wrong types stay as they are."""

from typing import Any

from strata.resources.schema.node import INT_OR_STRING, Node


def fill(node: Node, value: Any) -> Any:  # noqa: ANN401 - JSON
    """The value with its defaults, changed in place.

    A null is the same as a field not said: it goes, and the default, if there is one, comes. So equal meaning is
    equal JSON, and a null never makes a new generation.
    """
    if isinstance(value, dict):
        _fill_object(node, value)
    elif isinstance(value, list):
        if node.items is not None:
            value[:] = [fill(node.items, item) for item in value]
    elif node.type in {"integer", INT_OR_STRING} and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _fill_object(node: Node, document: dict[str, Any]) -> None:
    for name, child in node.properties.items():
        value = document.get(name)
        if value is not None:
            document[name] = fill(child, value)
        elif child.has_default:
            document[name] = fill(child, child.make_default())
        else:
            document.pop(name, None)
    if node.additional is not None:
        for name in [name for name, value in document.items() if value is None]:
            del document[name]
        for name in document.keys() - node.properties.keys():
            document[name] = fill(node.additional, document[name])
