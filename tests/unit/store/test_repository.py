"""Transactions of the reconcilers: what they rest on, and what may change meanwhile."""

import pytest
from tests.kit.virtual_time import VirtualClock, run_virtual

from strata.errors import Conflict, NotLeader
from strata.store.memory import MemoryStore
from strata.store.memory_server import MemoryServer
from strata.store.port import CreateRevisionIs, Delete, KeyValue, Put
from strata.store.repository import Repository, Within, Write

LEADER, STACK, SLOT = "/leader", "/stack", "/slot"


def wish(kv: KeyValue) -> bytes:
    return kv.value.split(b" ")[0]


class World:
    """A store with a leader and a stack, of which the first word matters."""

    def __init__(self) -> None:
        self.store = MemoryStore(VirtualClock(), MemoryServer())

    async def begin(self) -> None:
        revision = (await self.store.txn([], [Put(LEADER, b"us")])).revision
        self.repository = Repository(self.store, CreateRevisionIs(LEADER, revision))
        await self.put(STACK, b"run 1")
        self.read = await self.store.get(STACK)

    async def put(self, key: str, value: bytes) -> None:
        await self.store.txn([], [Put(key, value)])

    async def write_slot(self) -> None:
        assert self.read is not None
        before = self.read
        within = Within(STACK, before.mod_revision, lambda now: wish(now) == wish(before))
        await self.repository.commit([Write(SLOT, b"made", 0)], within=within)

    async def slot(self) -> bytes | None:
        kv = await self.store.get(SLOT)
        return kv.value if kv else None


def test_a_report_on_what_it_rests_on_fails_no_transaction() -> None:
    async def act() -> None:
        world = World()
        await world.begin()
        await world.put(STACK, b"run 2")
        await world.write_slot()
        assert await world.slot() == b"made"

    run_virtual(act())


@pytest.mark.parametrize("change", [Put(STACK, b"pause 2"), Delete(STACK)], ids=["another wish", "its end"])
def test_another_wish_does(change: Put | Delete) -> None:
    async def act() -> None:
        world = World()
        await world.begin()
        await world.store.txn([], [change])
        with pytest.raises(Conflict) as conflict:
            await world.write_slot()
        assert conflict.value.keys == (STACK,)
        assert await world.slot() is None

    run_virtual(act())


def test_so_does_what_it_writes_whatever_the_reports() -> None:
    async def act() -> None:
        world = World()
        await world.begin()
        await world.put(SLOT, b"another's")
        await world.put(STACK, b"run 2")
        with pytest.raises(Conflict) as conflict:
            await world.write_slot()
        assert set(conflict.value.keys) == {STACK, SLOT}
        assert await world.slot() == b"another's"

    run_virtual(act())


def test_who_does_not_lead_writes_nothing_whatever_the_reports() -> None:
    async def act() -> None:
        world = World()
        await world.begin()
        await world.store.txn([], [Delete(LEADER)])
        await world.put(LEADER, b"them")
        await world.put(STACK, b"run 2")
        with pytest.raises(NotLeader):
            await world.write_slot()
        assert await world.slot() is None

    run_virtual(act())


def test_a_cache_is_behind_until_it_has_what_we_wrote() -> None:
    async def act() -> None:
        world = World()
        await world.begin()
        revision = await world.repository.commit([Write(SLOT, b"made", 0)])
        assert world.repository.wrote_after(SLOT, 0)
        assert world.repository.wrote_after(SLOT, revision - 1)
        assert not world.repository.wrote_after(SLOT, revision)
        await world.repository.commit([Write(SLOT, None, revision)])
        assert not world.repository.wrote_after(SLOT, 0)

    run_virtual(act())
