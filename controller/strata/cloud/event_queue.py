"""The port to the queue that EventBridge's events of a region come through. At least once, in no order, perhaps late:
what is read here only says where to look."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

LONGEST_POLL_S = 20.0
MOST_MESSAGES = 10  # of one receive, and of one delete


@dataclass(frozen=True, slots=True)
class QueueMessage:
    """`receipt` is what a delete names it by."""

    receipt: str
    body: str


class EventQueue(Protocol):
    """One queue."""

    async def receive(self) -> tuple[QueueMessage, ...]:
        """Up to MOST_MESSAGES messages; waits up to LONGEST_POLL_S for the first. Those that are not deleted come
        again. Raises CloudError."""
        ...

    async def delete(self, messages: Sequence[QueueMessage]) -> None:
        """Take these messages (at most MOST_MESSAGES) out for good. One that could not be taken out comes again.
        Raises CloudError."""
        ...
