"""EC2's filters: which names there are, what each looks at, wildcards, limits. An unknown name is an error."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from strata_sim.errors import Ec2Error
from strata_sim.machines import STATE_CODES, Seen

MAX_FILTERS = 50
MAX_VALUES = 200
_TAG = "tag:"

T = TypeVar("T")
Extract = Callable[[T], Iterable[str]]


@dataclass(frozen=True, slots=True)
class Filter(Generic[T]):
    """One filter, ready to be asked. `patterns` are the values with wildcards."""

    name: str
    exact: frozenset[str]
    patterns: tuple[re.Pattern[str], ...]
    extract: Extract[T]

    def matches(self, thing: T) -> bool:
        return any(
            value in self.exact or any(pattern.fullmatch(value) for pattern in self.patterns)
            for value in self.extract(thing)
        )


def compile_filters(
    raw: Iterable[Mapping[str, Any]],
    known: Mapping[str, Extract[T]],
    tags_of: Callable[[T], Mapping[str, str]] | None = None,
) -> list[Filter[T]]:
    """Filters of a call; several are joined by AND, the values of one by OR."""
    filters = [_compile(one["Name"], one.get("Values", []), known, tags_of) for one in raw]
    if len(filters) > MAX_FILTERS:
        raise Ec2Error(
            "FilterLimitExceeded", f"The maximum number of filters specified on a single call is {MAX_FILTERS}"
        )
    return filters


def _compile(
    name: str,
    values: list[str],
    known: Mapping[str, Extract[T]],
    tags_of: Callable[[T], Mapping[str, str]] | None,
) -> Filter[T]:
    extract = known.get(name)
    if extract is None and tags_of is not None:
        extract = _tag_extract(name, tags_of)
    if extract is None:
        raise Ec2Error("InvalidParameterValue", f"The filter '{name}' is invalid")
    if not values:
        raise Ec2Error("InvalidParameterValue", f"The filter '{name}' has no values")
    if len(values) > MAX_VALUES:
        raise Ec2Error(
            "FilterLimitExceeded", f"The maximum number of filter values specified on a single call is {MAX_VALUES}"
        )
    exact = frozenset(_unescape(value) for value in values if not _is_wild(value))
    return Filter(name, exact, tuple(_pattern(value) for value in values if _is_wild(value)), extract)


def _tag_extract(name: str, tags_of: Callable[[T], Mapping[str, str]]) -> Extract[T] | None:
    if name == "tag-key":
        return tags_of
    if not name.startswith(_TAG):
        return None
    key = name.removeprefix(_TAG)

    def value_of(thing: T) -> Iterable[str]:
        tags = tags_of(thing)
        return (tags[key],) if key in tags else ()

    return value_of


_WILD = re.compile(r"(?<!\\)[*?]")
_TOKENS = re.compile(r"\\(.)|([*?])|([^\\*?]+)|\\", re.DOTALL)


def _is_wild(value: str) -> bool:
    return _WILD.search(value) is not None


def _unescape(value: str) -> str:
    return re.sub(r"\\([*?\\])", r"\1", value)


def _pattern(value: str) -> re.Pattern[str]:
    """`*` is any text, `?` one character, a backslash takes their meaning away."""
    parts = []
    for token in _TOKENS.finditer(value):
        escaped, wild, plain = token.groups()
        parts.append({"*": ".*", "?": "."}[wild] if wild else re.escape(escaped or plain or "\\"))
    return re.compile("".join(parts), re.DOTALL)


def stamp(at: datetime) -> str:
    """EC2's form of a time, in milliseconds."""
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


def _some(value: str) -> tuple[str, ...]:
    return (value,) if value else ()


# Never changes in an instance's life.
BORN: dict[str, Extract[Seen]] = {
    "architecture": lambda s: (s.instance.birth.architecture,),
    "availability-zone": lambda s: (s.instance.birth.zone,),
    "client-token": lambda s: _some(s.instance.birth.client_token),
    "iam-instance-profile.arn": lambda s: _some(s.instance.birth.profile_arn),
    "image-id": lambda s: (s.instance.birth.image_id,),
    "instance-id": lambda s: (s.instance.id,),
    "instance-lifecycle": lambda s: ("spot",) if s.instance.birth.lifecycle == "spot" else (),
    "instance-type": lambda s: (s.instance.birth.type,),
    "instance.group-id": lambda s: s.instance.birth.security_group_ids,
    "key-name": lambda s: _some(s.instance.birth.key_name),
    "launch-index": lambda s: (str(s.instance.birth.ami_launch_index),),
    "metadata-options.http-tokens": lambda s: (str(s.instance.birth.metadata_options["HttpTokens"]),),
    "owner-id": lambda s: (s.instance.birth.owner_id,),
    "reservation-id": lambda s: (s.instance.birth.reservation_id,),
    "root-device-name": lambda s: (s.instance.birth.root_device_name,),
}
STATE: dict[str, Extract[Seen]] = {
    "instance-state-code": lambda s: (str(STATE_CODES[s.view.state]),),
    "instance-state-name": lambda s: (s.view.state,),
}
_CHANGING: dict[str, Extract[Seen]] = {
    "ip-address": lambda s: _some(s.view.public_ip),
    "launch-time": lambda s: (stamp(s.view.launched_at),),
    "monitoring-state": lambda s: ("enabled" if s.instance.birth.monitoring else "disabled",),
    "private-ip-address": lambda s: _some(s.view.private_ip),
    "reason": lambda s: _some(s.view.reason.transition),
    "state-reason-code": lambda s: _some(s.view.reason.code),
    "state-reason-message": lambda s: _some(s.view.reason.message),
    "subnet-id": lambda s: (s.instance.birth.subnet_id,) if s.view.in_network else (),
    "vpc-id": lambda s: (s.instance.birth.vpc_id,) if s.view.in_network else (),
}
INSTANCE_FILTERS: dict[str, Extract[Seen]] = {**BORN, **STATE, **_CHANGING}
CHECKS: dict[str, Extract[Seen]] = {
    "attached-ebs-status.status": lambda s: (s.view.checks[2],),
    "instance-status.status": lambda s: (s.view.checks[0],),
    "system-status.status": lambda s: (s.view.checks[1],),
}
_REACHABILITY = {"ok": "passed", "impaired": "failed"}
STATUS_FILTERS: dict[str, Extract[Seen]] = {
    **STATE,
    **CHECKS,
    "availability-zone": BORN["availability-zone"],
    "instance-status.reachability": lambda s: (reachability(s.view.checks[0]),),
    "system-status.reachability": lambda s: (reachability(s.view.checks[1]),),
}


def reachability(check: str) -> str:
    """A check's detail for its status."""
    return _REACHABILITY.get(check, check)
