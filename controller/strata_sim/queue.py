"""A queue of SQS's standard kind: at least once, in no promised order, invisible for a while once received."""

from dataclasses import dataclass
from typing import Final

_VISIBILITY_S: Final = 30.0
_RETENTION_S: Final = 3600.0  # AWS's default is four days; a world that nobody reads must not grow


@dataclass(slots=True)
class Message:
    """`receipt` is that of the newest receive; "" before the first."""

    message_id: str
    body: str
    sent_at_s: float
    visible_at_s: float
    receipt: str = ""


class Queue:
    """Times are the world's monotonic seconds."""

    def __init__(self) -> None:
        self._messages: dict[str, Message] = {}
        self._count = 0

    def send(self, body: str, at_s: float) -> None:
        """Put a message in, to be seen from this time on."""
        self._count += 1
        message_id = f"{self._count:08x}-0000-4000-8000-000000000000"
        self._messages[message_id] = Message(message_id, body, at_s, at_s)

    def has_visible(self, now_s: float) -> bool:
        return any(one.visible_at_s <= now_s for one in self._messages.values())

    def receive(self, count: int, now_s: float, visibility_s: float | None = None) -> list[Message]:
        """Up to `count` visible messages, oldest first, hidden from now on for a while."""
        self._forget_old(now_s)
        found = [one for one in self._messages.values() if one.visible_at_s <= now_s][:count]
        for one in found:
            self._count += 1
            one.receipt = f"{one.message_id}#{self._count}"
            one.visible_at_s = now_s + (_VISIBILITY_S if visibility_s is None else visibility_s)
        return found

    def delete(self, receipt: str) -> bool:
        """Take a message out for good; False: the receipt is none of this queue's. Twice is as good as once."""
        message_id, parted, _ = receipt.partition("#")
        self._messages.pop(message_id, None)
        return bool(parted)

    def depth(self) -> int:
        return len(self._messages)

    def _forget_old(self, now_s: float) -> None:
        while self._messages:
            oldest = next(iter(self._messages.values()))
            if now_s - oldest.sent_at_s <= _RETENTION_S:
                return
            del self._messages[oldest.message_id]
