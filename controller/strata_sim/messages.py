"""SQS's actions. Waiting is for the faces: here a receive takes what is there."""

from typing import NamedTuple

from strata_sim.calls import Trace
from strata_sim.errors import Ec2Error
from strata_sim.queue import Message, Queue
from strata_sim.region import Region
from strata_sim.shapes import Params

_MOST = 10
_LONGEST_WAIT_S = 20


class Deleted(NamedTuple):
    """The entries' own ids."""

    successful: list[str]
    failed: list[str]


def receive_message(region: Region, params: Params, _trace: Trace) -> list[Message]:
    count: int = params.get("MaxNumberOfMessages", 1)
    if not 1 <= count <= _MOST:
        raise Ec2Error("InvalidParameterValue", f"MaxNumberOfMessages must be between 1 and {_MOST}, if provided.")
    if not 0 <= params.get("WaitTimeSeconds", 0) <= _LONGEST_WAIT_S:
        raise Ec2Error("InvalidParameterValue", f"WaitTimeSeconds must be >= 0 and <= {_LONGEST_WAIT_S}, if provided.")
    return queue_of(region, params).receive(count, region.now_s, params.get("VisibilityTimeout"))


def delete_message(region: Region, params: Params, _trace: Trace) -> None:
    if not queue_of(region, params).delete(params["ReceiptHandle"]):
        raise Ec2Error("ReceiptHandleIsInvalid", "The input receipt handle is invalid.")


def delete_message_batch(region: Region, params: Params, _trace: Trace) -> Deleted:
    queue, entries = queue_of(region, params), params["Entries"]
    if not entries:
        raise Ec2Error(
            "EmptyBatchRequest", "There should be at least one DeleteMessageBatchRequestEntry in the request."
        )
    if len(entries) > _MOST:
        raise Ec2Error("TooManyEntriesInBatchRequest", f"Maximum number of entries per request are {_MOST}.")
    done = {one["Id"]: queue.delete(one["ReceiptHandle"]) for one in entries}
    return Deleted([one for one, well in done.items() if well], [one for one, well in done.items() if not well])


def queue_of(region: Region, params: Params) -> Queue:
    """The queue of this URL: …/ACCOUNT/NAME. Raises Ec2Error."""
    path, _, name = params["QueueUrl"].rpartition("/")
    account_id = path.rpartition("/")[2]
    if account_id != region.account_id or name not in region.queues:
        raise Ec2Error("QueueDoesNotExist", "The specified queue does not exist.")
    return region.queues[name]
