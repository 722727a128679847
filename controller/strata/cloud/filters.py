"""Filters of Describe calls: checked before they are sent, split to EC2's limits, checked again on the reply.

A server that ignores a filter must not make us act on machines that were not asked for, so only filters that can be
checked on the reply are let through.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Generic, Protocol, TypeVar

from strata.cloud.port import MAX_FILTER_VALUES, Filter
from strata.errors import CloudError, CloudErrorKind
from strata.resources.machine import Machine, SpotRequest

_TAG: Final = "tag:"


class _Tagged(Protocol):
    @property
    def tags(self) -> Mapping[str, str]: ...


T = TypeVar("T", bound=_Tagged)
Extract = Callable[[T], Iterable[str]]

INSTANCE_FIELDS: Final[Mapping[str, Extract[Machine]]] = {
    "instance-id": lambda machine: (machine.instance_id,),
    "instance-state-name": lambda machine: (machine.state,),
    "instance-type": lambda machine: (machine.type,),
    "instance-lifecycle": lambda machine: () if machine.lifecycle == "on-demand" else (machine.lifecycle,),
    "availability-zone": lambda machine: (machine.zone,),
    "subnet-id": lambda machine: (machine.subnet_id,),
    "image-id": lambda machine: (machine.image_id,),
    "client-token": lambda machine: (machine.client_token,),
    "private-ip-address": lambda machine: (machine.private_ip,),
    "ip-address": lambda machine: (machine.public_ip,),
    "tag-key": lambda machine: machine.tags,
}
SPOT_FIELDS: Final[Mapping[str, Extract[SpotRequest]]] = {
    "instance-id": lambda request: (request.instance_id,),
    "spot-instance-request-id": lambda request: (request.request_id,),
    "state": lambda request: (request.state,),
    "status-code": lambda request: (request.status_code,),
    "tag-key": lambda request: request.tags,
}
_TOKENS: Final = re.compile(r"\\(.)|([*?])|([^\\*?]+)|\\", re.DOTALL)
_SPECIAL: Final = re.compile(r"[*?\\]")
_WILD: Final = {"*": ".*", "?": "."}


def require_checkable(filters: Sequence[Filter], fields: Mapping[str, Extract[T]]) -> None:
    """Raise CloudError INVALID for a filter whose effect could not be checked on the reply, or that has no values."""
    for name, values in filters:
        if name not in fields and not name.startswith(_TAG):
            raise _invalid(f"the filter {name!r} is not one that replies are checked for")
        if not values:
            raise _invalid(f"the filter {name!r} has no values")


def within_limits(filters: Sequence[Filter]) -> Iterator[tuple[Filter, ...]]:
    """Sets of filters, each within EC2's limit of values, whose answers together are those of `filters`."""
    for index, (name, values) in enumerate(filters):
        if len(values) > MAX_FILTER_VALUES:
            for start in range(0, len(values), MAX_FILTER_VALUES):
                some = (name, values[start : start + MAX_FILTER_VALUES])
                yield from within_limits((*filters[:index], some, *filters[index + 1 :]))
            return
    yield tuple(filters)


class Matcher(Generic[T]):
    """Filters, ready to be asked of many things."""

    def __init__(self, filters: Sequence[Filter], fields: Mapping[str, Extract[T]]) -> None:
        self._tests = [(_extract(name, fields), _accepted(values)) for name, values in filters]

    def __call__(self, thing: T) -> bool:
        """Whether it meets every filter as EC2 means them: any value of one, and all filters."""
        return all(any(accepts(found) for found in extract(thing)) for extract, accepts in self._tests)


def _extract(name: str, fields: Mapping[str, Extract[T]]) -> Extract[T]:
    if not name.startswith(_TAG):
        return fields[name]
    key = name.removeprefix(_TAG)
    return lambda thing: (thing.tags[key],) if key in thing.tags else ()


def _accepted(values: Sequence[str]) -> Callable[[str], bool]:
    """`*` is any text, `?` one character, and a backslash takes their meaning away."""
    exact = frozenset(value for value in values if not _SPECIAL.search(value))
    patterns = [re.compile(_pattern(value), re.DOTALL) for value in values if value not in exact]
    return lambda found: found in exact or any(pattern.fullmatch(found) for pattern in patterns)


def _pattern(value: str) -> str:
    tokens = (token.groups() for token in _TOKENS.finditer(value))
    return "".join(_WILD[wild] if wild else re.escape(escaped or plain or "\\") for escaped, wild, plain in tokens)


def _invalid(message: str) -> CloudError:
    return CloudError(CloudErrorKind.INVALID, "InvalidParameterValue", message, action="Describe")
