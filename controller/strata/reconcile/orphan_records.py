"""The records of the machines that nobody accounts for: written by the reaper of their region, decided on by people.

What has a record is ended only by a person's decision, so a record that nobody can decode is kept, and counts.
"""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec
import structlog

from strata.resources.cluster import Orphan
from strata.resources.codec import decode, encode
from strata.resources.kinds import ORPHANS
from strata.store.port import KeyValue, Store
from strata.store.repository import Repository, Write

log = structlog.get_logger(__name__)

_Place = tuple[str, str | None]


class Held(NamedTuple):
    """An orphan that waits for a person, and its record as it was read."""

    orphan: Orphan
    kv: KeyValue

    def removal(self) -> Write:
        return Write(self.kv.key, None, self.kv.mod_revision)


class OrphanRecords:
    """Those of one place, as the reaper last read or wrote them."""

    def __init__(self, store: Store, repository: Repository, place: _Place) -> None:
        self._store = store
        self._repository = repository
        self._place = place
        self.held: dict[str, Held] = {}  # by the machine's id
        self.unreadable: frozenset[str] = frozenset()  # ids; of any place
        self.count = 0  # of any place
        self.were_read = False

    def ids(self) -> frozenset[str]:
        """The machines that only a person may end."""
        return self.unreadable.union(self.held)

    def of_stack(self, stack: str) -> int:
        return sum(held.orphan.stack == stack for held in self.held.values())

    async def read(self) -> None:
        listing = await self._store.list(ORPHANS)
        readable = read_all(listing.items)
        self.held = {h.orphan.instance_id: h for h in readable if (h.orphan.region, h.orphan.endpoint) == self._place}
        unreadable = {kv.key.removeprefix(ORPHANS) for kv in listing.items} - {h.orphan.instance_id for h in readable}
        for instance_id in sorted(unreadable - self.unreadable):
            log.error("the record of an orphan cannot be read: the machine is left alone", machine=instance_id)
        self.unreadable = frozenset(unreadable)
        self.count = len(listing.items)
        self.were_read = True

    async def write(self, orphan: Orphan, before: KeyValue | None) -> None:
        key, value = f"{ORPHANS}{orphan.instance_id}", encode(orphan)
        revision = await self._repository.commit([Write(key, value, before.mod_revision if before else 0)])
        created = before.create_revision if before else revision
        self.held[orphan.instance_id] = Held(orphan, KeyValue(key, value, created, revision))

    async def forget(self, held: Held) -> None:
        await self._repository.commit([held.removal()])
        self.held.pop(held.orphan.instance_id, None)


def read_all(items: Iterable[KeyValue]) -> list[Held]:
    """Those that can be decoded."""
    found = []
    for kv in items:
        try:
            found.append(Held(decode(Orphan, kv.value), kv))
        except msgspec.MsgspecError:
            continue  # the caller knows by its key that it is there
    return found
