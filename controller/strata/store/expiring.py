"""Leases that nobody renews, for keys that vanish by themselves. Shared: one lease for many keys, not one for each."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from strata.clock import Clock

_MAX_KEYS = 500  # they are deleted in one revision: keep it small
_MIN_WINDOW_S = 2
_MAX_WINDOW_S = 300


@dataclass(slots=True)
class _Shared:
    lease_id: int
    open_until_s: float
    keys: int = 0


class ExpiringLeases:
    """Hands out leases that live at least as long as asked, from the moment the key is written."""

    def __init__(self, grant: Callable[[int], Awaitable[int]], clock: Clock) -> None:
        self._grant = grant
        self._clock = clock
        self._shared: dict[int, _Shared] = {}
        self._lock = asyncio.Lock()

    async def lease_for(self, ttl_s: int) -> int:
        """A lease of `ttl_s` and a window more: given out in the window's first half; the other half is for the put."""
        async with self._lock:
            now_s = self._clock.monotonic_s()
            shared = self._shared.get(ttl_s)
            if shared is None or now_s >= shared.open_until_s or shared.keys >= _MAX_KEYS:
                window_s = min(max(ttl_s // 10, _MIN_WINDOW_S), _MAX_WINDOW_S)
                lease_id = await self._grant(ttl_s + window_s)
                shared = self._shared[ttl_s] = _Shared(lease_id, now_s + window_s / 2)
            shared.keys += 1
            return shared.lease_id

    def forget(self, lease_id: int) -> None:
        """Hand this lease out no more: the store does not know it."""
        self._shared = {ttl_s: shared for ttl_s, shared in self._shared.items() if shared.lease_id != lease_id}
