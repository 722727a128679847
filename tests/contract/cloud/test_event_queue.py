"""What every event queue does: {simulator in-process, simulator over HTTP, moto}."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass

import boto3
import pytest
from tests.contract.cloud.worlds import REGION, MotoFacts, SimulatedWorld, in_process, over_http, refusal

from strata.clock import SystemClock
from strata.cloud.event_queue import EventQueue, QueueMessage
from strata.cloud.lazy_sdk import LazySdk
from strata.cloud.sqs import SqsQueue
from strata.errors import CloudErrorKind
from strata_sim.controls import ids
from strata_sim.faults import Fault
from strata_sim.http import serving
from strata_sim.inprocess_queue import SimulatedQueue

_PATH = "123456789012/strata-events"


@dataclass(frozen=True)
class QueueWorld:
    """A queue, and somebody else's hand to put a message in."""

    queue: EventQueue
    send: Callable[[str], Awaitable[None]]


@dataclass(frozen=True)
class EventWorld:
    """A simulated EC2 and the queue that its events go to."""

    queue: EventQueue
    simulated: SimulatedWorld

    async def states(self) -> list[tuple[str, str]]:
        """All changes of state that are in the queue, as (id, state); they are taken out."""
        found = []
        while messages := await _soon(self.queue.receive()):
            details = [json.loads(message.body)["detail"] for message in messages]
            found += [(detail["instance-id"], detail["state"]) for detail in details]
            await self.queue.delete(messages)
            if len(messages) < 10:  # the next receive would wait for its 20 s
                break
        return found


async def _soon(receive: Awaitable[tuple[QueueMessage, ...]]) -> tuple[QueueMessage, ...]:
    async with asyncio.timeout(5):
        return await receive


def _by_control(world: SimulatedWorld) -> Callable[[str], Awaitable[None]]:
    async def send(body: str) -> None:
        world.controls.send(body)

    return send


@pytest.fixture(params=["in-process", "http", pytest.param("moto", marks=pytest.mark.moto)])
async def any_queue(request: pytest.FixtureRequest, sdk: LazySdk) -> AsyncIterator[QueueWorld]:
    if request.param == "in-process":
        simulated = in_process()
        yield QueueWorld(SimulatedQueue(simulated.world, REGION), _by_control(simulated))
    elif request.param == "http":
        simulated = in_process()
        async with serving(simulated.world) as endpoint:
            queue = SqsQueue(REGION, f"{endpoint}/{_PATH}", SystemClock(), sdk=sdk)
            yield QueueWorld(queue, _by_control(simulated))
    else:
        moto: MotoFacts = request.getfixturevalue("moto")
        with closing(boto3.client("sqs", region_name=REGION, endpoint_url=moto.endpoint)) as sqs:
            url = sqs.create_queue(QueueName="strata-events")["QueueUrl"]

            async def send(body: str) -> None:
                await asyncio.to_thread(sqs.send_message, QueueUrl=url, MessageBody=body)

            yield QueueWorld(SqsQueue(REGION, url, SystemClock(), sdk=sdk), send)


@pytest.fixture(params=["in-process", "http"])
async def events(request: pytest.FixtureRequest, sdk: LazySdk) -> AsyncIterator[EventWorld]:
    if request.param == "in-process":
        simulated = in_process()
        yield EventWorld(SimulatedQueue(simulated.world, REGION), simulated)
        return
    async with over_http(sdk) as simulated, serving(simulated.world) as endpoint:
        yield EventWorld(SqsQueue(REGION, f"{endpoint}/{_PATH}", SystemClock(), sdk=sdk), simulated)


async def test_a_message_is_received_whole_and_gone_once_it_is_deleted(any_queue: QueueWorld) -> None:
    body = json.dumps({"detail": {"instance-id": "i-1"}, "note": "<ä & b>"})
    await any_queue.send(body)
    (message,) = await _soon(any_queue.queue.receive())
    assert message.body == body
    await any_queue.queue.delete([message])
    await any_queue.queue.delete([message])  # twice is as good as once
    await any_queue.send("next")
    assert [one.body for one in await _soon(any_queue.queue.receive())] == ["next"]


async def test_a_receive_waits_for_a_message_that_comes(any_queue: QueueWorld) -> None:
    async with asyncio.TaskGroup() as group:
        receiving = group.create_task(_soon(any_queue.queue.receive()))
        await asyncio.sleep(0.3)
        assert not receiving.done()
        await any_queue.send("late")
    assert [message.body for message in receiving.result()] == ["late"]


async def test_a_receive_that_nobody_waits_for_any_more_holds_nothing_up(any_queue: QueueWorld) -> None:
    async with asyncio.TaskGroup() as group:
        receiving = group.create_task(any_queue.queue.receive())
        await asyncio.sleep(0.1)
        receiving.cancel()
    assert receiving.cancelled()


async def test_a_queue_that_does_not_exist_is_refused_for_good(sdk: LazySdk) -> None:
    async with over_http(sdk) as simulated, serving(simulated.world) as endpoint:
        queue = SqsQueue(REGION, f"{endpoint}/123456789012/none", SystemClock(), sdk=sdk)
        error = await refusal(_soon(queue.receive()))
    assert (error.kind, error.code) == (CloudErrorKind.INVALID, "AWS.SimpleQueueService.NonExistentQueue")


async def test_a_queue_that_cannot_be_reached_says_so(events: EventWorld) -> None:
    events.simulated.controls.fault(Fault("unreachable", actions=frozenset({"ReceiveMessage"}), count=None))
    error = await refusal(_soon(events.queue.receive()))
    assert error.kind in {CloudErrorKind.UNREACHABLE, CloudErrorKind.UNKNOWN_RESULT}  # HTTP cannot tell the two apart


async def test_every_change_of_a_machines_state_comes_through(events: EventWorld) -> None:
    simulated = events.simulated
    (machine,) = await simulated.cloud.run_instances(simulated.request("told"))
    simulated.settle()
    simulated.controls.terminate(ids(machine.instance_id))
    simulated.settle()
    states = await events.states()
    assert [state for _, state in states] == ["pending", "running", "shutting-down", "terminated"]
    assert {instance_id for instance_id, _ in states} == {machine.instance_id}
