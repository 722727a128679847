"""Query parameters, each parsed once and refused clearly."""

from typing import Any

from starlette.requests import Request

from strata.server.failures import bad_request
from strata.server.resource import Resource
from strata.server.selectors import Selection, parse_selection
from strata.server.writing import WriteOptions

_TRUE = frozenset({"true", "1"})
_FALSE = frozenset({"", "false", "0"})
_VALIDATIONS = ("Strict", "Warn", "Ignore")
_MAX_TIMEOUT_S = 24 * 3600
_DIGITS = 19  # of the largest revision


def flag(request: Request, name: str) -> bool:
    """A boolean parameter; absent is false."""
    value = request.query_params.get(name, "").lower()
    if value not in _TRUE | _FALSE:
        raise bad_request(f"{name} must be true or false, not {value!r}")
    return value in _TRUE


def number(request: Request, name: str) -> int:
    """A parameter that counts; absent is 0."""
    value = request.query_params.get(name, "") or "0"
    if not (value.isascii() and value.isdigit() and len(value) <= _DIGITS):
        raise bad_request(f"{name} must be a number of at least 0, not {value!r}")
    return int(value)


def selection(request: Request, resource: Resource) -> Selection:
    """LabelSelector and fieldSelector."""
    params = request.query_params
    return parse_selection(params.get("labelSelector", ""), params.get("fieldSelector", ""), resource.selectable)


def exact_revision(request: Request) -> int:
    """The revision that a list must be read at; 0 for the newest, which satisfies every other wish as well."""
    match = request.query_params.get("resourceVersionMatch", "")
    if match not in {"", "Exact", "NotOlderThan"}:
        raise bad_request(f"resourceVersionMatch must be Exact or NotOlderThan, not {match!r}")
    revision = number(request, "resourceVersion")
    return revision if match == "Exact" else 0


def timeout_s(request: Request) -> int:
    """How long a watch may live; 0: not said."""
    return min(number(request, "timeoutSeconds"), _MAX_TIMEOUT_S)


def dry_run(values: list[Any]) -> bool:
    """Whether nothing is to be stored. Only `All` is known."""
    if any(value != "All" for value in values):
        raise bad_request(f"dryRun must be All, not {', '.join(map(str, values))}")
    return bool(values)


def write_options(request: Request) -> WriteOptions:
    """DryRun and fieldValidation."""
    validation = request.query_params.get("fieldValidation") or "Strict"
    if validation not in _VALIDATIONS:
        raise bad_request(f"fieldValidation must be one of {', '.join(_VALIDATIONS)}, not {validation!r}")
    return WriteOptions(dry_run(request.query_params.getlist("dryRun")), validation)
