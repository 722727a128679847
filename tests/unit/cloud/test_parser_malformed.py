"""A page that is not what EC2 documents is an unknown result, never an empty answer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from strata.cloud.parser import MAX_PAGE_BYTES, Page, PageParser
from strata.errors import CloudError, CloudErrorKind

CASES = Path(__file__).parents[2] / "cases" / "ec2"
MODERN = (CASES / "describe-instances-modern.xml").read_bytes()
EMPTY = (CASES / "describe-instances-empty.xml").read_bytes()
LAUNCH = (CASES / "run-instances.xml").read_bytes()
STATUS = (CASES / "describe-instance-status.xml").read_bytes()

Read = Callable[[bytes], Page[Any]]


def refusal(read: Read, page: bytes) -> CloudError:
    with pytest.raises(CloudError) as caught:
        read(page)
    assert caught.value.kind is CloudErrorKind.UNKNOWN_RESULT
    return caught.value


def one_instance(fields: str) -> bytes:
    return (
        "<DescribeInstancesResponse><reservationSet><item><instancesSet><item>"
        f"{fields}</item></instancesSet></item></reservationSet></DescribeInstancesResponse>"
    ).encode()


WHOLE = (
    "<instanceId>i-1</instanceId><instanceState><name>running</name></instanceState>"
    "<launchTime>2026-01-01T00:00:00Z</launchTime>"
)


def test_the_three_required_fields_are_enough() -> None:
    (machine,) = PageParser().describe_instances(one_instance(WHOLE)).items
    assert (machine.instance_id, machine.state, machine.type, machine.tags) == ("i-1", "running", "", {})


@pytest.mark.parametrize(
    "fields",
    [
        WHOLE.replace("i-1", ""),
        WHOLE.replace("running", "resting"),
        WHOLE.replace("<name>running</name>", "<code>16</code>"),
        WHOLE.replace("2026-01-01T00:00:00Z", "yesterday"),
        WHOLE.replace("<launchTime>2026-01-01T00:00:00Z</launchTime>", ""),
        WHOLE + "<amiLaunchIndex>-1</amiLaunchIndex>",
        WHOLE + "<amiLaunchIndex>one</amiLaunchIndex>",
        "",
    ],
)
def test_an_instance_that_makes_no_sense_spoils_its_page(fields: str) -> None:
    refusal(PageParser().describe_instances, one_instance(fields))


@pytest.mark.parametrize(
    "page",
    [
        b"",
        b"\n",
        b"<html><body>502 Bad Gateway</body></html>",
        b"<html><body>502 Bad Gateway<br></body></html>",
        b'{"Reservations": []}',
        b"<DescribeInstancesResponse/>",  # nothing is said of reservations
        b"<DescribeInstancesResponse><requestId>1</requestId></DescribeInstancesResponse>",
        b"<DescribeInstancesResponse><reservationSet><item/></reservationSet></DescribeInstancesResponse>",
        b"<Response><Errors><Error><Code>InternalError</Code></Error></Errors></Response>",
        LAUNCH,
        STATUS,
        b'<!DOCTYPE a [<!ENTITY id "i-1">]>' + one_instance(WHOLE.replace("i-1", "&id;")),
        b'<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/hostname">]>' + one_instance(WHOLE.replace("i-1", "&f;")),
        b"<a>" * 5000 + b"</a>" * 5000,
    ],
)
def test_what_is_no_page_of_instances_is_refused(page: bytes) -> None:
    refusal(PageParser().describe_instances, page)


@pytest.mark.parametrize("cut_by", [1, 2, 30, 500, 5000, len(MODERN) - 40])
def test_a_page_that_is_cut_off_is_refused(cut_by: int) -> None:
    refusal(PageParser().describe_instances, MODERN.rstrip()[:-cut_by])


def test_an_empty_page_of_ec2_is_an_empty_answer() -> None:
    assert PageParser().describe_instances(EMPTY) == Page((), None)


def test_a_page_beyond_all_measure_is_refused_unread() -> None:
    error = refusal(PageParser().describe_instances, b" " * (MAX_PAGE_BYTES + 1))
    assert str(MAX_PAGE_BYTES) in error.message


def test_launches_and_checks_are_told_apart() -> None:
    parser = PageParser()
    refusal(parser.run_instances, MODERN)
    refusal(parser.run_instances, b"<RunInstancesResponse/>")
    refusal(parser.describe_instance_status, MODERN)
    refusal(parser.describe_instance_status, b"<DescribeInstanceStatusResponse/>")


def test_a_word_that_ec2_adds_one_day_to_its_checks_proves_nothing() -> None:
    (first, *_) = PageParser().describe_instance_status(STATUS.replace(b"<status>impaired<", b"<status>wobbly<")).items
    assert (first.checks, first.impaired_since) == ("insufficient-data", None)


def test_checks_that_are_not_told_prove_nothing() -> None:
    page = (
        b"<DescribeInstanceStatusResponse><instanceStatusSet><item><instanceId>i-1</instanceId><instanceState>"
        b"<name>pending</name></instanceState></item></instanceStatusSet></DescribeInstanceStatusResponse>"
    )
    (health,) = PageParser().describe_instance_status(page).items
    assert health.checks == "insufficient-data"


def test_values_that_repeat_are_kept_once() -> None:
    parser = PageParser()
    (first,) = parser.describe_instances(MODERN).items
    (again,) = parser.describe_instances(MODERN).items
    assert first == again
    assert first.type is again.type
    assert first.launched_at is again.launched_at
    assert first.tags["strata.dev/cluster"] is again.tags["strata.dev/cluster"]
