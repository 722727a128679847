import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from tests.kit.virtual_time import VirtualClock

from strata.engine.informer import Change, Entry, Informer, InformerTiming, export_watch_age
from strata.errors import Regressed, StoreAuthError, StoreUnavailable
from strata.metrics import DaemonMetrics
from strata.store.memory import MemoryStore
from strata.store.memory_server import MemoryServer
from strata.store.port import Delete, KeyValue, Listing, Put, Store, StoreStatus, WatchBatch


def decode(kv: KeyValue) -> str:
    return kv.value.decode()


class World:
    """A store with an informer on /a/ and what a subscriber heard."""

    def __init__(self, store: Store | None = None, timing: InformerTiming | None = None) -> None:
        self.clock = VirtualClock()
        self.server = MemoryServer()
        self.writer = MemoryStore(self.clock, self.server)
        self.regressions: list[Regressed] = []
        self.informer: Informer[str] = Informer(
            store or MemoryStore(self.clock, self.server),
            "/a/",
            decode,
            clock=self.clock,
            rng=random.Random(1),
            timing=timing,
            on_regressed=self.regressions.append,
        )
        self.heard: list[Change[str]] = []
        self.informer.subscribe(self.heard.append)

    async def put(self, **values: str) -> None:
        await self.writer.txn([], [Put(f"/a/{name}", value.encode()) for name, value in values.items()])

    async def delete(self, name: str) -> None:
        await self.writer.txn([], [Delete(f"/a/{name}")])

    def cached(self) -> dict[str, str | None]:
        return {entry.key.removeprefix("/a/"): entry.obj for entry in self.informer.entries()}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.informer.run())
            await self.informer.wait_synced()
            yield
            task.cancel()


async def test_it_lists_and_then_follows() -> None:
    world = World()
    await world.put(x="1", y="2")
    await world.writer.txn([], [Put("/b/other", b"not ours")])
    assert not world.informer.synced
    async with world.running():
        assert world.cached() == {"x": "1", "y": "2"}
        await world.put(x="3")
        await world.delete("y")
        await asyncio.sleep(1)
        assert world.cached() == {"x": "3"}
        assert world.informer.revision == world.server.revision
    assert [(c.key, c.old and c.old.obj, c.new and c.new.obj, c.replay) for c in world.heard] == [
        ("/a/x", None, "1", True),
        ("/a/y", None, "2", True),
        ("/a/x", "1", "3", False),
        ("/a/y", "2", None, False),
    ]


async def test_a_prefix_is_read_in_key_order() -> None:
    world = World()
    await world.put(b="1", a="2", ab="3", c="4")
    async with world.running():
        assert [entry.key for entry in world.informer.entries("/a/a")] == ["/a/a", "/a/ab"]
        assert [entry.key for entry in world.informer.entries()] == ["/a/a", "/a/ab", "/a/b", "/a/c"]
        assert world.informer.entries("/b") == []
        missing = world.informer.get("/a/zz")
        assert missing is None


async def test_a_poisoned_object_is_listed_with_its_error_and_stops_no_other() -> None:
    world = World()
    await world.writer.txn([], [Put("/a/bad", b"\xff"), Put("/a/good", b"1")])
    async with world.running():
        (bad,) = world.informer.poisoned()
        assert (bad.key, bad.obj, bad.value) == ("/a/bad", None, b"\xff")
        assert "UnicodeDecodeError" in (bad.error or "")
        await world.writer.txn([], [Put("/a/later", b"\xfe"), Put("/a/good", b"2")])
        await asyncio.sleep(1)
        assert world.cached() == {"bad": None, "good": "2", "later": None}
        await world.put(bad="healed")
        await world.delete("later")
        await asyncio.sleep(1)
        assert world.informer.poisoned() == []


async def test_all_changes_of_a_revision_are_there_before_the_first_callback() -> None:
    world = World()
    seen: list[tuple[dict[str, str | None], int]] = []
    async with world.running():
        world.informer.subscribe(lambda _: seen.append((world.cached(), world.informer.revision)))
        await world.put(x="1", y="1")
        first = world.server.revision
        await world.put(x="2", y="2")
        await asyncio.sleep(1)
    assert seen == [
        ({"x": "1", "y": "1"}, first),
        ({"x": "1", "y": "1"}, first),
        ({"x": "2", "y": "2"}, first + 1),
        ({"x": "2", "y": "2"}, first + 1),
    ]


async def test_a_subscriber_that_raises_neither_stops_the_cache_nor_the_others() -> None:
    world = World()

    def broken(_: Change[str]) -> None:
        raise RuntimeError("broken")

    world.informer.subscribe(broken)
    late: list[Change[str]] = []
    world.informer.subscribe(late.append)
    await world.put(x="1")
    async with world.running():
        await world.put(y="2")
        await asyncio.sleep(1)
        assert world.cached() == {"x": "1", "y": "2"}
    assert [change.key for change in late] == [change.key for change in world.heard] == ["/a/x", "/a/y"]


async def test_who_subscribes_late_hears_what_is_there_and_who_leaves_hears_nothing_more() -> None:
    world = World()
    await world.put(x="1")
    async with world.running():
        heard: list[Change[str]] = []
        leave = world.informer.subscribe(heard.append)
        assert [(change.key, change.replay) for change in heard] == [("/a/x", True)]
        leave()
        await world.put(y="2")
        await asyncio.sleep(1)
        assert len(heard) == 1


async def test_an_index_follows_changes_and_files_what_was_there_before_it() -> None:
    world = World()
    await world.put(x="red", y="blue")

    def colour(entry: Entry[str]) -> list[str]:
        return [entry.obj] if entry.obj is not None else []

    def keys(value: str) -> list[str]:
        return [entry.key for entry in world.informer.by_index("colour", value)]

    async with world.running():
        world.informer.add_index("colour", colour)
        assert (keys("red"), keys("blue"), keys("none")) == (["/a/x"], ["/a/y"], [])
        await world.put(y="red", z="blue")
        await asyncio.sleep(1)
        assert (keys("red"), keys("blue")) == (["/a/x", "/a/y"], ["/a/z"])
        await world.delete("x")
        await asyncio.sleep(1)
        assert keys("red") == ["/a/y"]
        with pytest.raises(KeyError):
            world.informer.by_index("unknown", "red")


async def test_an_object_that_cannot_be_indexed_is_poisoned_and_not_silently_missing() -> None:
    world = World()

    def first_word(entry: Entry[str]) -> list[str]:
        return [(entry.obj or "").split()[0]]

    world.informer.add_index("word", first_word)
    await world.put(empty="", full="one two")
    async with world.running():
        (empty,) = world.informer.poisoned()
        assert empty.key == "/a/empty"
        assert empty.obj is None
        assert [entry.key for entry in world.informer.by_index("word", "one")] == ["/a/full"]


async def test_a_compaction_under_an_absent_watch_loses_neither_a_change_nor_a_delete() -> None:
    world = World()
    await world.put(x="1", y="1", same="1")
    async with world.running():
        same = world.informer.get("/a/same")
        world.heard.clear()
        world.server.stop()
        await asyncio.sleep(60)  # beyond the store's silence limit: the session has ended
        world.server.start()
        await world.put(y="2", z="1")
        await world.delete("x")
        world.server.compact(world.server.revision)
        await asyncio.sleep(30)
        assert world.cached() == {"same": "1", "y": "2", "z": "1"}
        assert world.informer.get("/a/same") is same
        assert sorted((c.key, c.new and c.new.obj, c.replay) for c in world.heard) == [
            ("/a/x", None, False),
            ("/a/y", "2", False),
            ("/a/z", "1", False),
        ]
        assert world.regressions == []


async def test_a_wiped_store_is_reported_before_the_cache_follows_it() -> None:
    world = World()
    await world.put(x="1")
    await world.put(y="1")
    at_report: list[dict[str, str | None]] = []
    async with world.running():
        world.informer._on_regressed = lambda _: at_report.append(world.cached())  # noqa: SLF001 - to look at the very moment
        world.server.wipe()
        await asyncio.sleep(30)
        assert at_report[0] == {"x": "1", "y": "1"}
        assert world.informer.regressed is not None
        assert world.cached() == {}
        await world.put(z="1")
        await asyncio.sleep(5)
        assert world.cached() == {"z": "1"}


async def test_a_restored_backup_with_equal_revisions_but_other_values_is_taken_over() -> None:
    world = World()
    await world.put(x="old")
    backup = world.server.revision
    await world.put(x="before")
    async with world.running():
        assert world.cached() == {"x": "before"}
        world.server.restore(backup)
        await world.put(x="after")  # at the very revision that "before" had
        await asyncio.sleep(60)
        assert world.cached() == {"x": "after"}
        assert world.regressions


async def test_another_store_is_reported_even_when_it_has_more_revisions_than_the_first() -> None:
    server = MemoryServer()
    store = DeafStore(server, "none")
    world = World(store, InformerTiming(session_s=10))
    world.server, world.writer = server, MemoryStore(world.clock, server)
    await world.put(x="1", y="1")
    async with world.running():
        store.fault = "refused"
        await asyncio.sleep(15)
        server.wipe()
        for count in range(100):
            await world.put(x=f"new {count}")
        await asyncio.sleep(60)
        assert world.cached() == {"x": "new 99"}
        assert len(world.regressions) == 1


async def test_a_store_that_went_back_under_its_own_id_is_reported() -> None:
    server = MemoryServer()
    store = DeafStore(server, "none")
    store.keeps_id = True  # a machine's disk was set back to a snapshot
    world = World(store, InformerTiming(session_s=10))
    world.server, world.writer = server, MemoryStore(world.clock, server)
    await world.put(x="1")
    await world.put(x="2")
    async with world.running():
        store.fault = "refused"
        await asyncio.sleep(15)
        server.wipe()
        await world.put(x="1")
        store.fault = "none"
        await asyncio.sleep(10)
        assert world.cached() == {"x": "1"}
        assert [(error.wanted, error.found) for error in world.regressions] == [(3, 2)]


async def test_a_user_who_may_not_ask_for_the_status_follows_all_the_same() -> None:
    server = MemoryServer()
    store = DeafStore(server, "none")
    store.hides_id = True
    world = World(store)
    world.server, world.writer = server, MemoryStore(world.clock, server)
    async with world.running():
        await world.put(x="1")
        await asyncio.sleep(1)
        assert world.cached() == {"x": "1"}


async def test_age_is_infinite_before_the_listing_and_grows_without_the_store() -> None:
    world = World()
    metrics = DaemonMetrics("test")
    export_watch_age(metrics, [world.informer])
    assert world.informer.age_s() == float("inf")
    async with world.running():
        await asyncio.sleep(100)
        assert world.informer.age_s() <= 6
        world.server.stop()
        await asyncio.sleep(100)
        assert world.informer.age_s() >= 99
        assert metrics.registry.get_sample_value("strata_watch_age_seconds") == world.informer.age_s()
        world.server.start()
        await asyncio.sleep(10)
        assert world.informer.age_s() <= 6


async def test_without_a_store_it_keeps_what_it_knows() -> None:
    world = World()
    await world.put(x="1")
    async with world.running():
        world.server.stop()
        await asyncio.sleep(3600)
        assert world.cached() == {"x": "1"}


class DeafStore(MemoryStore):
    """Its watches open and never say a word, or end at once, are refused, or do not open at all."""

    def __init__(self, server: MemoryServer, fault: str) -> None:
        super().__init__(VirtualClock(), server)
        self.fault = fault
        self.lists = 0
        self.keeps_id = False
        self.hides_id = False

    async def status(self) -> StoreStatus:
        if self.hides_id:
            raise StoreAuthError("permission denied")
        status = await super().status()
        return replace(status, store_id="always the same") if self.keeps_id else status

    async def list(self, prefix: str) -> Listing:
        self.lists += 1
        return await super().list(prefix)

    @asynccontextmanager
    async def watch(
        self, prefix: str, *, start_revision: int, with_previous: bool = False
    ) -> AsyncIterator[AsyncIterator[WatchBatch]]:
        if self.fault == "refused":
            raise StoreUnavailable("refused")
        if self.fault == "crash":
            raise ZeroDivisionError
        if self.fault == "stuck":
            await asyncio.Event().wait()
        async with super().watch(prefix, start_revision=start_revision, with_previous=with_previous) as batches:
            yield batches if self.fault == "none" else _deaf(self.fault)


async def _deaf(fault: str) -> AsyncIterator[WatchBatch]:
    if fault == "silent":
        await asyncio.Event().wait()
        yield WatchBatch((), 0)


@pytest.mark.parametrize("fault", ["silent", "ended", "refused", "stuck"])
async def test_under_any_watch_fault_a_change_is_seen_within_seconds_and_nothing_spins(fault: str) -> None:
    server = MemoryServer()
    store = DeafStore(server, fault)
    world = World(store, InformerTiming(silence_s=20))
    world.server, world.writer = server, MemoryStore(world.clock, server)
    await world.put(x="1")
    async with world.running():
        await world.put(x="2")
        await world.delete("x")
        await world.put(y="1")
        await asyncio.sleep(30)
        assert world.cached() == {"y": "1"}
        before = store.lists
        await asyncio.sleep(600)
        assert store.lists - before <= 600 / 2.5 + 1, "faults are retried with backoff"
        store.fault = "none"
        await asyncio.sleep(30)
        await world.put(y="2")
        await asyncio.sleep(0.1)
        assert world.cached() == {"y": "2"}


async def test_a_healthy_watch_is_renewed_and_the_prefix_listed_now_and_then() -> None:
    server = MemoryServer()
    store = DeafStore(server, "none")
    world = World(store, InformerTiming(session_s=100, relist_s=1_000))
    world.server, world.writer = server, MemoryStore(world.clock, server)
    async with world.running():
        for count in range(1_000):
            await world.put(x=str(count))
            await asyncio.sleep(10)
            assert world.cached() == {"x": str(count)}
    assert 8 <= store.lists <= 14
    assert [change.new and change.new.obj for change in world.heard] == [str(count) for count in range(1_000)]


async def test_after_a_crash_the_next_run_lists_again() -> None:
    server = MemoryServer()
    store = DeafStore(server, "crash")
    world = World(store)
    for run in (1, 2):
        with pytest.raises(ZeroDivisionError):
            await world.informer.run()
        assert store.lists == run


async def test_a_second_run_sees_what_happened_in_between() -> None:
    world = World()
    await world.put(x="1")
    async with world.running():
        pass
    await world.delete("x")
    await world.put(y="1")
    async with world.running():
        await asyncio.sleep(1)
        assert world.cached() == {"y": "1"}


async def test_a_replay_in_turns_tells_of_all_and_misses_no_change_meanwhile() -> None:
    world = World()
    names = [f"k{number:04}" for number in range(2_000)]
    for start in range(0, len(names), 100):
        await world.put(**dict.fromkeys(names[start : start + 100], "old"))
    seen: dict[str, str | None] = {}
    turns = 0

    def hear(change: Change[str]) -> None:
        seen[change.key] = change.new.obj if change.new else None

    async def count_turns() -> None:
        nonlocal turns
        for _ in range(100):
            await asyncio.sleep(0)
            turns += 1

    async with world.running(), asyncio.TaskGroup() as group:
        group.create_task(count_turns())
        changing = group.create_task(world.put(k0001="new", k1999="new"))
        async with world.informer.subscribed(hear):
            assert turns >= 3
            await changing
            await asyncio.sleep(0.1)
            assert seen == {entry.key: entry.obj for entry in world.informer.entries()}
            assert (seen["/a/k0001"], seen["/a/k1999"]) == ("new", "new")
