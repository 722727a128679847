"""SimulatedQueue: the port to an event queue, straight on the simulator's core."""

import asyncio
from collections.abc import Sequence
from typing import TypeVar

from strata.cloud.error_table import cloud_error
from strata.cloud.event_queue import LONGEST_POLL_S, MOST_MESSAGES, QueueMessage
from strata.errors import CloudError, CloudErrorKind
from strata_sim import actions, sqs_face
from strata_sim.actions import Action
from strata_sim.errors import Ec2Error, ReplyLostError, UnreachableError
from strata_sim.region import EVENTS_QUEUE
from strata_sim.shapes import Params
from strata_sim.world import World

R = TypeVar("R")


class SimulatedQueue:
    """The queue of all events of one simulated region. `caller` names its reader in the call log."""

    def __init__(self, world: World, region: str, caller: str = "in-process") -> None:
        self._world = world
        self._region = region
        self._caller = caller
        self._url = f"http://127.0.0.1/{world.catalog.account_id}/{EVENTS_QUEUE}"

    async def receive(self) -> tuple[QueueMessage, ...]:
        asked = {
            "QueueUrl": self._url,
            "MaxNumberOfMessages": MOST_MESSAGES,
            "WaitTimeSeconds": int(LONGEST_POLL_S),
        }
        await sqs_face.wait_for_messages(self._world, self._region, asked)
        found = await self._call(actions.RECEIVE_MESSAGE, asked)
        return tuple(QueueMessage(one.receipt, one.body) for one in found)

    async def delete(self, messages: Sequence[QueueMessage]) -> None:
        entries = [{"Id": str(n), "ReceiptHandle": message.receipt} for n, message in enumerate(messages)]
        await self._call(actions.DELETE_MESSAGE_BATCH, {"QueueUrl": self._url, "Entries": entries})

    async def _call(self, action: Action[R], params: Params) -> R:
        await asyncio.sleep(self._world.latency_s / 2)
        try:
            answer = self._world.call(self._region, action, params, self._caller)
        except Ec2Error as error:
            raise cloud_error(error.code, error.message, action=action.name, status=error.http_status) from None
        except ReplyLostError as error:
            raise CloudError(CloudErrorKind.UNKNOWN_RESULT, "ReplyLost", str(error), action=action.name) from None
        except UnreachableError as error:
            raise CloudError(CloudErrorKind.UNREACHABLE, "Unreachable", str(error), action=action.name) from None
        await asyncio.sleep(self._world.latency_s / 2)
        return answer
