"""What Ec2Cloud makes of a network and of servers that fail. The law: what may have been done is an unknown result."""

import os
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from tests.unit.cloud.odd_server import Answer, OddServer, http, instance, instances, launched, odd_server, refusal

from strata.clock import SystemClock
from strata.cloud import sdk as sdk_module
from strata.cloud.ec2 import Ec2Cloud
from strata.cloud.lazy_sdk import LazySdk
from strata.cloud.port import RunRequest
from strata.errors import CloudError, CloudErrorKind
from strata.metrics import DaemonMetrics

K = CloudErrorKind
REQUEST = RunRequest("token", {"ImageId": "ami-1", "InstanceType": "t3.small"}, max_count=2)

CALLS: dict[str, Callable[[Ec2Cloud], Awaitable[Any]]] = {
    "RunInstances": lambda cloud: cloud.run_instances(REQUEST),
    "TerminateInstances": lambda cloud: cloud.terminate_instances(["i-1"]),
    "DescribeInstances": lambda cloud: cloud.describe_instances([("tag:stack", ("s",))]),
    "DescribeInstanceStatus": lambda cloud: cloud.describe_health(["i-1"]),
    "DescribeSubnets": lambda cloud: cloud.describe_subnets(["subnet-1"]),
    "GetParameters": lambda cloud: cloud.get_parameters(["/x"]),
}


async def error_of(call: Awaitable[Any]) -> CloudError:
    with pytest.raises(CloudError) as caught:
        await call
    return caught.value


def say(body: str, status: str = "200 OK") -> Answer:
    return lambda _: http(body, status)


NO_ANSWERS: dict[str, Answer] = {
    "hung up": lambda _: None,
    "not HTTP": lambda _: b"SSH-2.0-OpenSSH\r\n",
    "HTML with 200": say("<html><body>hello<br></body></html>"),
    "empty with 200": say(""),
    "HTML with 502": say("<html><body>Bad Gateway<br></body></html>", "502 Bad Gateway"),
    "a proxy's 403": say("<html><body>Forbidden</body></html>", "403 Forbidden"),
    "a redirect": say("", "302 Found"),
    "an internal error": lambda _: refusal("InternalError", "oops", "500 Internal Server Error"),
}


@pytest.mark.parametrize("action", CALLS)
@pytest.mark.parametrize("answer", NO_ANSWERS)
async def test_no_usable_answer_is_an_unknown_result_and_is_asked_for_once(
    cloud: Ec2Cloud, server: OddServer, action: str, answer: str
) -> None:
    server.answer = NO_ANSWERS[answer]
    error = await error_of(CALLS[action](cloud))
    assert (error.kind, error.action) == (K.UNKNOWN_RESULT, action)
    assert len(server.asked) == 1


async def test_an_answer_that_breaks_off_is_an_unknown_result(cloud: Ec2Cloud, server: OddServer) -> None:
    whole = launched(instance("i-1", "token"))
    server.answer = lambda _: http(whole[:-40], length=len(whole))
    assert (await error_of(cloud.run_instances(REQUEST))).kind is K.UNKNOWN_RESULT


async def test_a_server_that_never_answers_is_an_unknown_result(
    server: OddServer, sdk: LazySdk, metrics: DaemonMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sdk_module, "READ_TIMEOUT_S", 0.2)
    cloud = Ec2Cloud("us-east-1", server.url, SystemClock(), metrics, sdk=sdk)
    server.hold.clear()
    error = await error_of(cloud.run_instances(REQUEST))
    server.hold.set()
    await cloud.close()
    assert (error.kind, error.code) == (K.UNKNOWN_RESULT, "ReadTimeoutError")


async def test_where_nobody_listens_nothing_was_sent(sdk: LazySdk, metrics: DaemonMetrics) -> None:
    async with odd_server() as gone:
        pass
    cloud = Ec2Cloud("us-east-1", gone.url, SystemClock(), metrics, sdk=sdk)
    for call in CALLS.values():
        assert (await error_of(call(cloud))).kind is K.UNREACHABLE
    await cloud.close()


async def test_without_credentials_nothing_is_sent(
    server: OddServer, metrics: DaemonMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    cloud = Ec2Cloud("us-east-1", server.url, SystemClock(), metrics, sdk=LazySdk())
    error = await error_of(cloud.run_instances(REQUEST))
    await cloud.close()
    assert (error.kind, error.code) == (K.UNAUTHORIZED, "NoCredentialsError")
    assert server.asked == []


async def test_credentials_that_come_later_are_found_without_a_restart(
    server: OddServer, metrics: DaemonMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {name: os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    for name in keys:
        monkeypatch.delenv(name)
    server.answer = say(launched(instance("i-1", "token")))
    cloud = Ec2Cloud("us-east-1", server.url, SystemClock(), metrics, sdk=LazySdk())
    assert (await error_of(cloud.run_instances(REQUEST))).kind is K.UNAUTHORIZED
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    (machine,) = await cloud.run_instances(REQUEST)
    await cloud.close()
    assert machine.instance_id == "i-1"


async def test_refused_credentials_are_not_looked_for_all_the_time(
    cloud: Ec2Cloud, server: OddServer, sdk: LazySdk
) -> None:
    server.answer = lambda _: refusal("AuthFailure", "Not able to validate.", "401 Unauthorized")
    await error_of(cloud.run_instances(REQUEST))
    epoch = sdk.load().epoch
    for _ in range(3):
        await error_of(cloud.terminate_instances(["i-1"]))
    assert sdk.load().epoch == epoch


async def test_a_call_that_is_none_is_refused_unsent(cloud: Ec2Cloud, server: OddServer) -> None:
    error = await error_of(cloud.run_instances(RunRequest("t", {"NoSuchParameter": 1}, max_count=1)))
    assert (error.kind, error.code) == (K.INVALID, "ParamValidationError")
    assert server.asked == []


async def test_a_region_that_is_no_name_is_refused(sdk: LazySdk, metrics: DaemonMetrics) -> None:
    cloud = Ec2Cloud("not a region", None, SystemClock(), metrics, sdk=sdk)
    error = await error_of(cloud.describe_instances([]))
    await cloud.close()
    assert error.kind is K.INVALID


@pytest.mark.parametrize("off", [timedelta(hours=1), timedelta(hours=-1)])
async def test_a_clock_that_is_off_is_told(cloud: Ec2Cloud, server: OddServer, off: timedelta) -> None:
    date = format_datetime(datetime.now(UTC) + off, usegmt=True)  # noqa: TID251 - the adapter has the real clock here
    server.answer = lambda _: refusal("AuthFailure", "Not able to validate.", "401 Unauthorized", f"Date: {date}")
    error = await error_of(cloud.run_instances(REQUEST))
    assert error.kind is K.CLOCK_SKEW
    told = re.search(r"clock is ([+-]\d+) min from the server's", error.message)
    assert told is not None
    assert 60 * float(told[1]) == pytest.approx(-off.total_seconds(), abs=60)


async def test_a_server_that_ignores_filters_adds_nothing(cloud: Ec2Cloud, server: OddServer) -> None:
    server.answer = say(instances(instance("i-1"), instance("i-2", stack="of somebody else")))
    found = await cloud.describe_instances([("tag:stack", ("s",))])
    assert [machine.instance_id for machine in found] == ["i-1"]


async def test_a_machine_that_moved_to_a_later_page_is_told_once(cloud: Ec2Cloud, server: OddServer) -> None:
    first, last = instances(instance("i-1"), instance("i-2"), token="more"), instances(instance("i-1"))  # noqa: S106
    server.answer = lambda form: http(last if form.get("NextToken") == "more" else first)
    found = await cloud.describe_instances([("tag:stack", ("s",))])
    assert sorted(machine.instance_id for machine in found) == ["i-1", "i-2"]
    assert [form["MaxResults"] for form in server.asked] == ["1000", "1000"]


async def test_a_list_without_end_is_refused(cloud: Ec2Cloud, server: OddServer) -> None:
    server.answer = say(instances(instance("i-1"), token="again"))  # noqa: S106 - a page's token
    assert (await error_of(cloud.describe_instances([]))).kind is K.UNKNOWN_RESULT
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    "body",
    [
        launched(),
        launched(instance("i-1"), instance("i-2"), instance("i-3")),
        launched(instance("i-1", "another token")),
    ],
)
async def test_a_launch_answered_with_other_machines_is_an_unknown_result(
    cloud: Ec2Cloud, server: OddServer, body: str
) -> None:
    server.answer = say(body)
    assert (await error_of(cloud.run_instances(REQUEST))).kind is K.UNKNOWN_RESULT


async def test_health_is_found_where_a_refusal_names_no_ids(cloud: Ec2Cloud, server: OddServer) -> None:
    def answer(form: dict[str, str]) -> bytes:
        asked = [value for key, value in form.items() if key.startswith("InstanceId.")]
        if "i-bad" in asked:
            return refusal("InvalidInstanceID.NotFound", "some of them are not there", "400 Bad Request")
        items = "".join(
            f"<item><instanceId>{one}</instanceId><instanceState><name>running</name></instanceState>"
            "<instanceStatus><status>ok</status></instanceStatus></item>"
            for one in asked
        )
        return http(
            "<DescribeInstanceStatusResponse><instanceStatusSet>"
            f"{items}</instanceStatusSet></DescribeInstanceStatusResponse>"
        )

    server.answer = answer
    good = [f"i-{number}" for number in range(20)]
    found = await cloud.describe_health([*good[:7], "i-bad", *good[7:]])
    assert sorted(health.instance_id for health in found) == sorted(good)
    assert len(server.asked) < 15


async def test_more_ids_than_a_filter_takes_are_asked_for_in_several_calls(cloud: Ec2Cloud, server: OddServer) -> None:
    server.answer = lambda form: http(
        instances(*(instance(value) for key, value in form.items() if key.startswith("Filter.1.Value.")))
    )
    wanted = tuple(f"i-{number}" for number in range(450))
    found = await cloud.describe_instances([("instance-id", wanted)])
    assert [machine.instance_id for machine in found] == list(wanted)
    assert len(server.asked) == 3
