"""How calls are sent: never cancelled once sent, fenced right before, counted, slowed down when throttled."""

import asyncio

import pytest
from tests.unit.cloud.odd_server import OddServer, http, instance, launched, refusal

from strata.clock import SystemClock
from strata.cloud.ec2 import Ec2Cloud
from strata.cloud.lazy_sdk import LazySdk
from strata.cloud.port import RunRequest
from strata.errors import CloudError, CloudErrorKind, NotLeader
from strata.metrics import DaemonMetrics

REQUEST = RunRequest("token", {"ImageId": "ami-1"}, max_count=1)
DONE = "<TerminateInstancesResponse><instancesSet/></TerminateInstancesResponse>"
POLL_S = 0.01
POLLS = 500


def count(metrics: DaemonMetrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(name, labels) or 0.0


async def asked(server: OddServer, calls: int) -> None:
    """Wait until so many calls have reached the server."""
    for _ in range(POLLS):
        if len(server.asked) >= calls:
            return
        await asyncio.sleep(POLL_S)
    raise AssertionError(f"{len(server.asked)} of {calls} calls arrived")


async def test_a_call_outlives_its_cancelled_caller(cloud: Ec2Cloud, server: OddServer, metrics: DaemonMetrics) -> None:
    server.answer = lambda _: http(launched(instance("i-1", "token")))
    server.hold.clear()
    async with asyncio.TaskGroup() as tasks:
        caller = tasks.create_task(cloud.run_instances(REQUEST))
        await asked(server, 1)
        caller.cancel()
    assert caller.cancelled()
    assert count(metrics, "strata_ec2_calls_total", action="RunInstances", code="ok") == 0
    server.hold.set()
    await cloud.close()  # waits for the call that runs
    await asyncio.sleep(0)
    assert count(metrics, "strata_ec2_calls_total", action="RunInstances", code="ok") == 1


async def test_a_call_that_fails_after_its_caller_left_is_still_accounted_for(
    cloud: Ec2Cloud, server: OddServer, metrics: DaemonMetrics
) -> None:
    server.answer = lambda _: refusal("RequestLimitExceeded", "slow down", "503 Service Unavailable")
    server.hold.clear()
    async with asyncio.TaskGroup() as tasks:
        caller = tasks.create_task(cloud.terminate_instances(["i-1"]))
        await asked(server, 1)
        caller.cancel()
    server.hold.set()
    await cloud.close()
    await asyncio.sleep(0)
    assert count(metrics, "strata_ec2_throttles_total", action="TerminateInstances", side="server") == 1


async def test_the_fence_is_asked_after_the_wait_and_stops_the_call(
    server: OddServer, sdk: LazySdk, metrics: DaemonMetrics
) -> None:
    leads = True

    def fence() -> None:
        if not leads:
            raise NotLeader

    server.answer = lambda _: http(launched(instance("i-1", "token")))
    cloud = Ec2Cloud("us-east-1", server.url, SystemClock(), metrics, sdk=sdk, fence=fence)
    await asyncio.gather(*(cloud.run_instances(REQUEST) for _ in range(5)))  # the bucket is empty now
    async with asyncio.TaskGroup() as tasks:
        late = tasks.create_task(refused(cloud))
        await asyncio.sleep(0.05)
        assert not late.done()
        leads = False
    server.answer = lambda _: http("<DescribeInstancesResponse><reservationSet/></DescribeInstancesResponse>")
    assert await cloud.describe_instances([]) == ()  # reading needs no leadership
    await cloud.close()
    assert [form["Action"] for form in server.asked] == ["RunInstances"] * 5 + ["DescribeInstances"]


async def refused(cloud: Ec2Cloud) -> None:
    with pytest.raises(NotLeader):
        await cloud.run_instances(REQUEST)


async def test_calls_that_stop_at_the_fence_leave_their_connections_free(
    server: OddServer, sdk: LazySdk, metrics: DaemonMetrics
) -> None:
    def fence() -> None:
        raise NotLeader

    cloud = Ec2Cloud("us-east-1", server.url, SystemClock(), metrics, sdk=sdk, fence=fence)
    for _ in range(30):
        with pytest.raises(NotLeader):
            await cloud.terminate_instances(["i-1"])
    await cloud.close()
    assert server.asked == []


async def test_a_throttled_action_is_held_back_and_counted(
    cloud: Ec2Cloud, server: OddServer, metrics: DaemonMetrics
) -> None:
    server.answer = lambda _: refusal("RequestLimitExceeded", "slow down", "503 Service Unavailable")
    with pytest.raises(CloudError) as caught:
        await cloud.terminate_instances(["i-1"])
    assert caught.value.kind is CloudErrorKind.THROTTLED
    server.answer = lambda _: http(DONE)
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    await cloud.terminate_instances(["i-1"])
    assert loop.time() - began_s > 0.3  # a token at half of 5 a second
    assert count(metrics, "strata_ec2_throttles_total", action="TerminateInstances", side="server") == 1
    assert count(metrics, "strata_ec2_throttles_total", action="TerminateInstances", side="client") == 1


async def test_calls_are_counted_by_action_and_code_and_timed(
    cloud: Ec2Cloud, server: OddServer, metrics: DaemonMetrics
) -> None:
    server.answer = lambda _: http(DONE)
    await cloud.terminate_instances(["i-1"])
    server.answer = lambda _: refusal("InvalidInstanceID.NotFound", "The instance ID 'i-1' does not exist", "400 Bad")
    with pytest.raises(CloudError):
        await cloud.terminate_instances(["i-1"])
    name = "strata_ec2_calls_total"
    assert count(metrics, name, action="TerminateInstances", code="ok") == 1
    assert count(metrics, name, action="TerminateInstances", code="InvalidInstanceID.NotFound") == 1
    assert count(metrics, "strata_ec2_call_duration_seconds_count", action="TerminateInstances") == 2


async def test_no_machines_to_change_is_no_call(cloud: Ec2Cloud, server: OddServer) -> None:
    await cloud.terminate_instances([])
    await cloud.create_tags([], {"Name": "x"})
    assert server.asked == []


async def test_what_is_sent_is_what_was_asked_for(cloud: Ec2Cloud, server: OddServer) -> None:
    server.answer = lambda _: http(launched(instance("i-1", "token"), instance("i-2", "token")))
    request = RunRequest("token", {"ImageId": "ami-1", "UserData": "#!/bin/sh\n"}, max_count=2)
    await cloud.run_instances(request)
    await cloud.run_instances(request)
    first, again = server.asked
    assert first == again
    assert (first["ClientToken"], first["MinCount"], first["MaxCount"]) == ("token", "1", "2")
