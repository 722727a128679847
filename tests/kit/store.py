"""MemoryStore with faults: what goes wrong between one daemon and its store.

What befalls the server itself (stop, start, compact, wipe, restore) is MemoryServer's: `store.server.compact(...)`.
"""

import asyncio
from collections.abc import Sequence

from strata.clock import Clock
from strata.errors import Ambiguous, NoSpace, StoreUnavailable
from strata.store.memory import MemoryStore
from strata.store.memory_server import MemoryServer
from strata.store.port import Compare, Operation, TxnResult


class FaultyStore(MemoryStore):
    """Does all that MemoryStore does until told otherwise."""

    def __init__(self, clock: Clock, server: MemoryServer | None = None) -> None:
        super().__init__(clock, server)
        self._is_cut_off = False
        self._is_full = False
        self._refusals = 0
        self._lost_replies = 0
        self._lost_requests = 0

    def cut_off(self) -> None:
        """Let this store reach nothing: reads and writes spend their budget, watches fall silent, leases run out."""
        self._is_cut_off = True
        self.server.wake()

    def reconnect(self) -> None:
        self._is_cut_off = False
        self.server.wake()

    def refuse_next_write(self, count: int = 1) -> None:
        """StoreUnavailable at once, and surely nothing written."""
        self._refusals += count

    def lose_next_reply(self, count: int = 1) -> None:
        """The next writes are done, and are Ambiguous."""
        self._lost_replies += count

    def lose_next_request(self, count: int = 1) -> None:
        """The next writes are not done, and are Ambiguous all the same."""
        self._lost_requests += count

    def fill_up(self) -> None:
        """Every write is NoSpace until `make_room`."""
        self._is_full = True

    def make_room(self) -> None:
        self._is_full = False

    def is_reachable(self) -> bool:
        return not self._is_cut_off and super().is_reachable()

    async def txn(self, compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult:
        if operations:
            await self._fail_before()
        result = await super().txn(compares, operations)
        if operations and self._lost_replies:
            self._lost_replies -= 1
            raise Ambiguous("the reply was lost")
        return result

    async def _fail_before(self) -> None:
        await asyncio.sleep(0)
        if self._is_full:
            raise NoSpace("database space exceeded")
        if self._refusals:
            self._refusals -= 1
            raise StoreUnavailable("refused")
        if self._lost_requests:
            self._lost_requests -= 1
            raise Ambiguous("the request was lost")
