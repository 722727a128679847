"""SQS as the faces serve it: the wait of a long poll, and its JSON 1.0 protocol."""

import asyncio
import hashlib
from typing import Any, Final

from strata_sim import actions
from strata_sim.errors import Ec2Error
from strata_sim.messages import Deleted
from strata_sim.queue import Message
from strata_sim.shapes import Params
from strata_sim.world import World

TARGET: Final = "AmazonSQS."
_LOOK_EVERY_S: Final = 0.1  # nobody wakes a long poll: the world has no timers
_OLD_CODES: Final = {
    "QueueDoesNotExist": "AWS.SimpleQueueService.NonExistentQueue",
    "EmptyBatchRequest": "AWS.SimpleQueueService.EmptyBatchRequest",
    "TooManyEntriesInBatchRequest": "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
}


async def wait_for_messages(world: World, region: str, params: Params) -> None:
    """Return when ReceiveMessage has something to give, when its wait is over, or at once where it will fail."""
    left_s = float(params.get("WaitTimeSeconds", 0))
    name = str(params.get("QueueUrl", "")).rpartition("/")[2]
    while left_s > 0 and not world.ending:
        place = world.region(region)
        queue = place.queues.get(name)
        faults = world.faults(region).laid()
        doomed = any(not one.actions or actions.RECEIVE_MESSAGE.name in one.actions for one in faults)
        if doomed or queue is None or queue.has_visible(place.now_s):
            return
        await asyncio.sleep(min(_LOOK_EVERY_S, left_s))
        left_s -= _LOOK_EVERY_S


def answer(world: World, region: str, name: str, params: Params, caller: str) -> dict[str, Any]:
    """Carry out an action of SQS's; what its JSON says. Raises Ec2Error."""
    if name == actions.RECEIVE_MESSAGE.name:
        found = world.call(region, actions.RECEIVE_MESSAGE, params, caller)
        return {"Messages": [_message(one) for one in found]} if found else {}
    if name == actions.DELETE_MESSAGE.name:
        world.call(region, actions.DELETE_MESSAGE, params, caller)
        return {}
    if name == actions.DELETE_MESSAGE_BATCH.name:
        return _deleted(world.call(region, actions.DELETE_MESSAGE_BATCH, params, caller))
    raise Ec2Error("UnknownOperationException", f"{TARGET}{name} is not simulated")


def error_headers(error: Ec2Error) -> dict[str, str]:
    """SQS names an error's code of the former protocol beside the present one."""
    return {"x-amzn-query-error": f"{_OLD_CODES.get(error.code, error.code)};Sender"}


def _message(one: Message) -> dict[str, Any]:
    digest = hashlib.md5(one.body.encode(), usedforsecurity=False).hexdigest()
    return {"MessageId": one.message_id, "ReceiptHandle": one.receipt, "MD5OfBody": digest, "Body": one.body}


def _deleted(result: Deleted) -> dict[str, Any]:
    failed = [
        {"Id": one, "Code": "ReceiptHandleIsInvalid", "Message": "The receipt handle is invalid", "SenderFault": True}
        for one in result.failed
    ]
    return {"Successful": [{"Id": one} for one in result.successful]} | ({"Failed": failed} if failed else {})
