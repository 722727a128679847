"""SqsQueue: the port to an event queue, over boto3.

A receive hangs for up to 20 s in a thread of its own that dies with the process: what it was about to receive comes
again to the next reader, so nobody waits for it at the end. One connection to the queue's own host, beside those of
`calls.py`: a queue that hangs holds nothing else up.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from strata.clock import Clock
from strata.cloud.event_queue import LONGEST_POLL_S, MOST_MESSAGES, QueueMessage
from strata.cloud.lazy_sdk import LazySdk
from strata.errors import CloudError, CloudErrorKind

if TYPE_CHECKING:
    from strata.cloud.sdk import Client, Reply

T = TypeVar("T")
_VISIBILITY_S: Final = 60  # handling takes milliseconds; what a dead daemon took comes back after this


class SqsQueue:
    """Implements strata.cloud.event_queue.EventQueue. Belongs to one event loop, and to one reader."""

    def __init__(self, region: str, url: str, clock: Clock, *, sdk: LazySdk) -> None:
        self._region = region
        self._url = url
        parts = urlsplit(url)
        self._endpoint_url = (
            f"{parts.scheme}://{parts.netloc}"  # the URL's own host: also VPC endpoints and the simulator
        )
        self._clock = clock
        self._sdk = sdk
        self._client: Client | None = None

    async def receive(self) -> tuple[QueueMessage, ...]:
        asked = {
            "QueueUrl": self._url,
            "MaxNumberOfMessages": MOST_MESSAGES,
            "WaitTimeSeconds": int(LONGEST_POLL_S),
            "VisibilityTimeout": _VISIBILITY_S,
        }
        return await self._send("ReceiveMessage", asked, _read_messages)

    async def delete(self, messages: Sequence[QueueMessage]) -> None:
        entries = [{"Id": str(n), "ReceiptHandle": message.receipt} for n, message in enumerate(messages)]
        if entries:
            await self._send("DeleteMessageBatch", {"QueueUrl": self._url, "Entries": entries}, _read_nothing)

    async def _send(self, action: str, asked: Mapping[str, Any], read: "Callable[[Reply], T]") -> T:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def settle(settled: Callable[[], None]) -> None:
            if not answer.done():
                settled()

        def work() -> None:
            try:
                found = self._answer(action, asked, read)
                outcome = _later(answer.set_result, found)
            except Exception as error:  # noqa: BLE001 - the caller must hear of it, whatever it is
                outcome = _later(answer.set_exception, error)
            try:
                loop.call_soon_threadsafe(settle, outcome)
            except RuntimeError:  # the loop was closed meanwhile: nobody waits any more
                return

        threading.Thread(target=work, name=f"sqs-{self._region}", daemon=True).start()
        return await answer

    def _answer(self, action: str, asked: Mapping[str, Any], read: "Callable[[Reply], T]") -> T:
        sdk = self._sdk.load()
        epoch = sdk.epoch
        try:
            if self._client is None or self._client.epoch != epoch:
                self._client = sdk.client("sqs", self._region, self._endpoint_url)
            return read(self._client.call(action, asked, self._clock.now))
        except CloudError as error:
            if error.kind is CloudErrorKind.UNAUTHORIZED:
                sdk.doubt(epoch, self._clock.monotonic_s())
            raise


def _later(settle: Callable[[T], None], value: T) -> Callable[[], None]:
    return lambda: settle(value)


def _read_messages(reply: "Reply") -> tuple[QueueMessage, ...]:
    return tuple(QueueMessage(one["ReceiptHandle"], one.get("Body", "")) for one in reply.parsed.get("Messages", ()))


def _read_nothing(_: "Reply") -> None:
    """Entries that failed come again, as their messages do."""
