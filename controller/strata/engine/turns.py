"""Who may do a scarce thing next: a few at a time, the urgent first, and among equals each owner in turn.

A semaphore serves by arrival: then one owner's thousand make all others wait for them.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_URGENT_IN_A_ROW = 7  # one that is not urgent goes after so many that are: neither can starve the other

_Queue = OrderedDict[str, deque[asyncio.Future[None]]]  # by owner; whose turn is next comes first


class Turns:
    """At most `at_once` at a time."""

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._urgent: _Queue = OrderedDict()
        self._others: _Queue = OrderedDict()
        self._urgent_in_a_row = 0

    @asynccontextmanager
    async def turn(self, owner: str, *, urgent: bool) -> AsyncIterator[None]:
        """Wait for one's turn, and have it until the block ends."""
        await self._enter(owner, self._urgent if urgent else self._others)
        try:
            yield
        finally:
            self._pass_on()

    async def _enter(self, owner: str, queue: _Queue) -> None:
        if self._free:
            self._free -= 1
            return
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.setdefault(owner, deque()).append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if not mine.cancelled():
                self._pass_on()  # the turn was given to us, and we go
            raise

    def _pass_on(self) -> None:
        """Give a turn that ended to the next who waits."""
        while (following := self._next()) is not None:
            if not following.done():  # else it went while it waited
                following.set_result(None)
                return
        self._free += 1

    def _next(self) -> asyncio.Future[None] | None:
        if self._urgent and (not self._others or self._urgent_in_a_row < _URGENT_IN_A_ROW):
            self._urgent_in_a_row += 1
            return _pop(self._urgent)
        self._urgent_in_a_row = 0
        return _pop(self._others) if self._others else None


def _pop(queue: _Queue) -> asyncio.Future[None]:
    """The first of the owner whose turn it is; the owner's next comes after everybody else's."""
    owner, waiting = queue.popitem(last=False)
    first = waiting.popleft()
    if waiting:
        queue[owner] = waiting
    return first
