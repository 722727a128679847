"""EC2's query protocol, the way in: a form's flat names become the nested parameters of the shapes."""

from collections.abc import Iterable
from typing import Any, Union

from strata_sim.errors import Ec2Error, invalid_value
from strata_sim.shapes import Many, Params, Scalar, Shape, Struct, unknown_parameter

Tree = dict[str, Union[str, "Tree"]]
_BOOLEANS = {"true": True, "false": False}


def decode(shape: Struct, form: Iterable[tuple[str, str]]) -> Params:
    """`InstanceId.1=i-1` becomes {"InstanceIds": ["i-1"]}. Raises Ec2Error on what the shape does not have."""
    tree: Tree = {}
    for name, value in form:
        if name not in {"Action", "Version"}:
            _plant(tree, name, value)
    params = _decode(shape, tree, "")
    if not isinstance(params, dict):
        raise TypeError(params)
    return params


def _plant(tree: Tree, name: str, value: str) -> None:
    *parents, leaf = name.split(".")
    for parent in parents:
        branch = tree.setdefault(parent, {})
        if isinstance(branch, str):
            raise unknown_parameter(name)
        tree = branch
    tree[leaf] = value


def _decode(shape: Shape, value: str | Tree, path: str) -> Any:  # noqa: ANN401 - JSON
    match shape:
        case Scalar():
            if not isinstance(value, str):
                raise unknown_parameter(path)
            return _scalar(shape, value, path)
        case Many(of=of):
            if isinstance(value, str):
                raise unknown_parameter(path)
            return [_decode(of, value[key], f"{path}.{key}") for key in _numbers(value, path)]
        case Struct():
            if isinstance(value, str):
                raise unknown_parameter(path)
            return _struct(shape, value, path)


def _struct(shape: Struct, tree: Tree, path: str) -> Params:
    by_wire = {wire: (name, inner) for name, (wire, inner) in shape.fields.items()}
    params: Params = {}
    for wire, value in tree.items():
        inside = f"{path}.{wire}".lstrip(".")
        if wire not in by_wire:
            raise unknown_parameter(inside)
        name, inner = by_wire[wire]
        params[name] = _decode(inner, value, inside)
    return params


def _numbers(tree: Tree, path: str) -> list[str]:
    if not all(key.isdecimal() for key in tree):
        raise Ec2Error("MalformedQueryString", f"The parameter {path} is a list: number its items")
    return sorted(tree, key=int)


def _scalar(shape: Scalar, value: str, path: str) -> str | int | bool:
    if shape.kind == "string":
        return value
    if shape.kind == "boolean":
        if value.lower() not in _BOOLEANS:
            raise invalid_value(path, value, "Expecting a boolean.")
        return _BOOLEANS[value.lower()]
    try:
        return int(value)
    except ValueError:
        raise invalid_value(path, value, "Expecting an integer.") from None
