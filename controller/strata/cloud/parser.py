"""Turns pages of DescribeInstances, RunInstances and DescribeInstanceStatus into records, reading only what we keep.

botocore's parser costs 0.65 s of CPU per 1,000 instances, nearly all of it for fields that nobody reads; this one a
tenth. It takes fields in any order, from any version of the API (namespaces are ignored), and without the optional
ones. What it must never do is answer "nothing" for a page that it did not understand: a page that is cut off, is
of another kind, or has an instance without id, state or launch time raises CloudError UNKNOWN_RESULT. Pages come
from outside: no entities, no DTD, no network, bounded size and depth.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Generic, TypeVar, cast, get_args

from lxml import etree

from strata.cloud.interning import Interned
from strata.errors import CloudError, CloudErrorKind
from strata.resources.machine import CheckState, Machine, MachineHealth, MachineState

# 1,000 instances with 50 tags of full length are some 60 MB; what is larger than this is no page.
MAX_PAGE_BYTES: Final = 128 * 1024 * 1024

_STATES: Final = frozenset(get_args(MachineState))
_WORST_FIRST: Final[tuple[CheckState, ...]] = ("impaired", "insufficient-data", "initializing", "ok", "not-applicable")

# An instance's own fields, by the names of the wire. lxml looks for all of them in one pass over the children.
_PLAIN: Final = {
    "instanceId": "instance_id",
    "imageId": "image_id",
    "instanceType": "type",
    "launchTime": "launched_at",
    "subnetId": "subnet_id",
    "privateIpAddress": "private_ip",
    "ipAddress": "public_ip",
    "amiLaunchIndex": "ami_launch_index",
    "clientToken": "client_token",
    "instanceLifecycle": "lifecycle",
}
_NESTED: Final = {
    "instanceState": ("name", "state"),
    "placement": ("availabilityZone", "zone"),
    "stateReason": ("code", "state_reason"),
}
_INSTANCE_TAGS: Final = tuple(f"{{*}}{name}" for name in (*_PLAIN, *_NESTED, "tagSet"))
_CHECKS: Final = ("instanceStatus", "systemStatus", "attachedEbsStatus")


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list; `next_token` is None on the last one."""

    items: tuple[T, ...]
    next_token: str | None = None


class _OddPageError(Exception):
    """The page is not what EC2 documents."""


def _same(text: str) -> str:
    return text


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise _OddPageError(f"{text!r} is no time") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class PageParser:
    """Parses pages, keeping one string where EC2 repeats itself. Several threads may share it."""

    def __init__(self) -> None:
        self._once = Interned(_same)
        self._moment = Interned(_moment)

    def describe_instances(self, page: bytes) -> Page[Machine]:
        """The machines of a page of DescribeInstances. Raises CloudError UNKNOWN_RESULT on any other page."""
        try:
            root = _root(page, "DescribeInstancesResponse")
            sets = [_child(item, "instancesSet") for item in _items(_child(root, "reservationSet"))]
            machines = tuple(self._machine(item) for instances in sets for item in _items(instances))
            return Page(machines, _next_token(root))
        except (_OddPageError, etree.XMLSyntaxError) as error:
            raise _unusable("DescribeInstances", page, error) from error

    def run_instances(self, page: bytes) -> Page[Machine]:
        """The machines of a RunInstances answer. Raises CloudError UNKNOWN_RESULT on any other page."""
        try:
            root = _root(page, "RunInstancesResponse")
            return Page(tuple(self._machine(item) for item in _items(_child(root, "instancesSet"))))
        except (_OddPageError, etree.XMLSyntaxError) as error:
            raise _unusable("RunInstances", page, error) from error

    def describe_instance_status(self, page: bytes) -> Page[MachineHealth]:
        """The checks on a page of DescribeInstanceStatus. Raises CloudError UNKNOWN_RESULT on any other page."""
        try:
            root = _root(page, "DescribeInstanceStatusResponse")
            health = tuple(self._health(item) for item in _items(_child(root, "instanceStatusSet")))
            return Page(health, _next_token(root))
        except (_OddPageError, etree.XMLSyntaxError) as error:
            raise _unusable("DescribeInstanceStatus", page, error) from error

    def _machine(self, item: etree._Element) -> Machine:
        fields: dict[str, str] = {}
        tags: dict[str, str] = {}
        for child in item.iterchildren(*_INSTANCE_TAGS):
            name = _name(child)
            if plain := _PLAIN.get(name):
                fields[plain] = child.text or ""
            elif name == "tagSet":
                tags = self._tags(child)
            else:
                path, field = _NESTED[name]
                fields[field] = _text(child, path)
        return self._record(fields, tags)

    def _record(self, fields: dict[str, str], tags: dict[str, str]) -> Machine:
        get, once = fields.get, self._once
        return Machine(
            instance_id=_required(fields, "instance_id"),
            state=self._state(_required(fields, "state")),
            type=once(get("type", "")),
            zone=once(get("zone", "")),
            subnet_id=once(get("subnet_id", "")),
            image_id=once(get("image_id", "")),
            # Required, not defaulted: the age of a machine is part of the proofs before destruction.
            launched_at=self._moment(_required(fields, "launched_at")),
            ami_launch_index=_index(get("ami_launch_index", "")),
            client_token=once(get("client_token", "")),
            private_ip=get("private_ip", ""),
            public_ip=get("public_ip", ""),
            lifecycle=once(get("lifecycle") or "on-demand"),
            state_reason=once(get("state_reason", "")),
            tags=tags,
        )

    def _tags(self, tag_set: etree._Element) -> dict[str, str]:
        once = self._once
        tags = {}
        for item in _items(tag_set):
            pair = {_name(child): child.text or "" for child in item}
            key, value = pair.get("key", ""), pair.get("value", "")
            # A Name is of one machine alone; all others repeat.
            tags[once(key)] = value if key == "Name" else once(value)
        return tags

    def _health(self, item: etree._Element) -> MachineHealth:
        checks = [check for name in _CHECKS if (check := next(item.iterchildren(f"{{*}}{name}"), None)) is not None]
        return MachineHealth(
            instance_id=_text(item, "instanceId") or _missing("instanceId"),
            state=self._state(_text(_child(item, "instanceState"), "name")),
            checks=_worst(_text(check, "status") for check in checks),
            impaired_since=self._impaired_since(checks),
        )

    def _impaired_since(self, checks: list[etree._Element]) -> datetime | None:
        """The earliest ImpairedSince of those checks that are impaired now."""
        impaired = [check for check in checks if _text(check, "status") == "impaired"]
        return min(
            (
                self._moment(since.text)
                for check in impaired
                for since in check.iterfind("{*}details/{*}item/{*}impairedSince")
                if since.text
            ),
            default=None,
        )

    def _state(self, text: str) -> MachineState:
        if text not in _STATES:
            raise _OddPageError(f"{text!r} is no state of an instance")
        return cast("MachineState", self._once(text))


def _root(page: bytes, name: str) -> etree._Element:
    if len(page) > MAX_PAGE_BYTES:
        raise _OddPageError(f"more than {MAX_PAGE_BYTES} bytes")
    # A parser is made for each page: an lxml parser has a lock, and pages of several regions arrive together.
    root = etree.fromstring(
        page,
        etree.XMLParser(
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            huge_tree=False,
            recover=False,
            remove_comments=True,
            remove_pis=True,
        ),
    )
    if root.getroottree().docinfo.internalDTD is not None:
        raise _OddPageError("it has a DOCTYPE")
    if _name(root) != name:
        raise _OddPageError(f"it is a {_name(root)}, not a {name}")
    return root


_local = Interned(lambda tag: tag.rpartition("}")[2])


def _name(element: etree._Element) -> str:
    """Its name without the namespace."""
    return _local(element.tag)


def _child(parent: etree._Element, name: str) -> etree._Element:
    child = next(parent.iterchildren(f"{{*}}{name}"), None)
    if child is None:
        raise _OddPageError(f"{_name(parent)} has no {name}")
    return child


def _items(parent: etree._Element) -> Iterable[etree._Element]:
    return parent.iterchildren("{*}item")


def _text(parent: etree._Element, name: str) -> str:
    # A plain loop: for the few children that these have, it is faster than any search of lxml's.
    for child in parent:
        if _name(child) == name:
            return child.text or ""
    return ""


def _next_token(root: etree._Element) -> str | None:
    return _text(root, "nextToken") or None


def _required(fields: dict[str, str], name: str) -> str:
    return fields.get(name) or _missing(name)


def _missing(name: str) -> str:
    raise _OddPageError(f"an instance has no {name}")


def _index(text: str) -> int:
    if not text:
        return 0
    if not text.isascii() or not text.isdigit():
        raise _OddPageError(f"{text!r} is no launch index")
    return int(text)


def _worst(checks: Iterable[str]) -> CheckState:
    """The worst of the checks. A word that EC2 adds one day is "insufficient-data": never a proof of anything."""
    known = {check if check in _WORST_FIRST else "insufficient-data" for check in checks}
    return next((check for check in _WORST_FIRST if check in known), "insufficient-data")


def _unusable(action: str, page: bytes, error: Exception) -> CloudError:
    message = f"the answer of {len(page)} bytes could not be read: {error}"
    return CloudError(CloudErrorKind.UNKNOWN_RESULT, "UnusableAnswer", message, action=action)
