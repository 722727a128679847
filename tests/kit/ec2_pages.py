"""Pages of EC2's answers, made up by hypothesis: fields in any order, some missing, some that nobody reads."""

from datetime import UTC, datetime
from typing import Any, get_args
from xml.etree import ElementTree as ET

from hypothesis import strategies as st

from strata.resources.machine import CheckState, MachineState

Node = tuple[str, Any]  # a name, and a text or child nodes

_NAMESPACES = ("http://ec2.amazonaws.com/doc/2016-11-15/", "http://ec2.amazonaws.com/doc/2013-10-15", "")
# All that XML 1.0 can carry, and as readers get it: \r would become \n.
_TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"), max_size=12)
_WORD = st.text("abcdefghijklmnopqrstuvwxyz0123456789-./", min_size=1, max_size=12)
_ID = st.text("0123456789abcdef", min_size=8, max_size=17).map("i-{}".format)
_MOMENT = st.datetimes(datetime(2006, 8, 25), datetime(2100, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001
    lambda at: f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"
)


def _node(name: str, value: st.SearchStrategy[Any]) -> st.SearchStrategy[Node]:
    return value.map(lambda got: (name, got))


def _in_any_order(always: list[st.SearchStrategy[Node]], maybe: list[st.SearchStrategy[Node]]) -> Any:
    some = [st.one_of(st.none(), node) for node in maybe]
    present = st.tuples(*always, *some).map(lambda nodes: [node for node in nodes if node is not None])
    return present.flatmap(st.permutations)


def _items(name: str, item: st.SearchStrategy[Any], max_size: int = 3) -> st.SearchStrategy[Node]:
    return _node(name, st.lists(item.map(lambda nodes: ("item", nodes)), max_size=max_size))


_STATE = _node("instanceState", _in_any_order([_node("name", st.sampled_from(get_args(MachineState)))], []))
_TAG = _in_any_order([_node("key", _TEXT.filter(bool)), _node("value", _TEXT)], [])
_INTERFACE = _in_any_order(
    [], [_node("privateIpAddress", _WORD), _node("subnetId", _WORD), _items("tagSet", _TAG), _node("instanceId", _ID)]
)
_INSTANCE = _in_any_order(
    [_node("instanceId", _ID), _STATE, _node("launchTime", _MOMENT)],
    [
        _node("imageId", _WORD),
        _node("instanceType", _WORD),
        _node("amiLaunchIndex", st.integers(0, 999).map(str)),
        _node("clientToken", _WORD),
        _node("subnetId", _WORD),
        _node("privateIpAddress", _WORD),
        _node("ipAddress", _WORD),
        _node("instanceLifecycle", st.sampled_from(["spot", "scheduled"])),
        _node("placement", _in_any_order([_node("availabilityZone", _WORD)], [_node("groupName", st.just(""))])),
        _node("stateReason", _in_any_order([_node("code", _WORD)], [_node("message", _TEXT)])),
        _items("tagSet", _TAG),
        _items("networkInterfaceSet", _INTERFACE, 2),
        _node("aFieldOfTomorrow", st.just([("name", "terminated"), ("code", "x")])),
    ],
)
_RESERVATION = _in_any_order([_items("instancesSet", _INSTANCE)], [_node("reservationId", _WORD)])
_TOKEN = _node("nextToken", _WORD)
_REQUEST_ID = _node("requestId", _WORD)


def _check(name: str) -> st.SearchStrategy[Node]:
    detail = _in_any_order([_node("status", _WORD)], [_node("name", _WORD), _node("impairedSince", _MOMENT)])
    status = _node("status", st.sampled_from(get_args(CheckState)))
    return _node(name, _in_any_order([status], [_items("details", detail, 2)]))


_STATUS = _in_any_order(
    [_node("instanceId", _ID), _STATE, _check("instanceStatus"), _check("systemStatus")],
    [_check("attachedEbsStatus"), _items("eventsSet", st.just([("code", "instance-stop")]), 1)],
)


@st.composite
def _pages(draw: st.DrawFn, root: str, nodes: st.SearchStrategy[list[Node]]) -> bytes:
    element = _element((root, draw(nodes)))
    if namespace := draw(st.sampled_from(_NAMESPACES)):
        element.set("xmlns", namespace)
    if draw(st.booleans()):
        ET.indent(element)
    encoding = draw(st.sampled_from(["utf-8", "us-ascii"]))  # the second writes numeric character references
    page: bytes = ET.tostring(element, encoding=encoding, xml_declaration=True)
    return page


def _element(node: Node) -> ET.Element:
    name, content = node
    element = ET.Element(name)
    if isinstance(content, str):
        element.text = content
    else:
        element.extend(_element(child) for child in content)
    return element


DESCRIBE_INSTANCES = _pages(
    "DescribeInstancesResponse", _in_any_order([_items("reservationSet", _RESERVATION)], [_TOKEN, _REQUEST_ID])
)
RUN_INSTANCES = _pages("RunInstancesResponse", _in_any_order([_items("instancesSet", _INSTANCE)], [_REQUEST_ID]))
DESCRIBE_INSTANCE_STATUS = _pages(
    "DescribeInstanceStatusResponse", _in_any_order([_items("instanceStatusSet", _STATUS)], [_TOKEN, _REQUEST_ID])
)
