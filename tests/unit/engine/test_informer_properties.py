"""Law 6: after any fault of a watch, the cache is the store again, and its subscribers heard enough to know."""

import asyncio
import random
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.kit.virtual_time import VirtualClock, run_virtual

from strata.engine.informer import Change, Informer
from strata.store.memory import MemoryStore
from strata.store.memory_server import MemoryServer
from strata.store.port import Delete, KeyValue, Operation, Put

NAMES = st.sampled_from(["/a/x", "/a/y", "/a/yy", "/b/z"])
OPERATIONS = st.one_of(
    st.builds(Put, NAMES, st.sampled_from([b"red", b"blue", b"", b"\xff"])),
    st.builds(Delete, NAMES),
)


@dataclass(frozen=True)
class Write:
    operations: list[Operation]


@dataclass(frozen=True)
class Sleep:
    duration_s: float


@dataclass(frozen=True)
class Fault:
    kind: str


Step = Write | Sleep | Fault

STEPS = st.lists(
    st.one_of(
        st.builds(Write, st.lists(OPERATIONS, min_size=1, max_size=4, unique_by=lambda operation: operation.key)),
        st.builds(Sleep, st.sampled_from([0.0, 0.001, 1.0, 25.0, 1_000.0])),
        st.builds(Fault, st.sampled_from(["stop", "start", "compact", "wipe", "restore", "restart"])),
    ),
    max_size=40,
)


def decode(kv: KeyValue) -> str:
    return kv.value.decode()


class World:
    def __init__(self, seed: int) -> None:
        self.server = MemoryServer()
        self.informer: Informer[str] = Informer(
            MemoryStore(VirtualClock(), self.server), "/a/", decode, clock=VirtualClock(), rng=random.Random(seed)
        )
        self.informer.add_index("value", lambda entry: [entry.obj] if entry.obj is not None else [])
        self.heard: dict[str, bytes] = {}  # what a subscriber that applies every change believes
        self.informer.subscribe(self.hear)
        self.backups = [self.server.revision]

    def hear(self, change: Change[str]) -> None:
        assert (change.old.value if change.old else None) == self.heard.get(change.key), "the news has no gap"
        if change.new is None:
            del self.heard[change.key]
        else:
            self.heard[change.key] = change.new.value

    def cache(self) -> dict[str, bytes]:
        return {entry.key: entry.value for entry in self.informer.entries()}

    def check(self) -> None:
        """The cache, its order, its indexes, its poisoned objects and the news all say what the store says."""
        truth = {kv.key: kv.value for kv in self.server.items("/a/")}
        assert self.cache() == truth
        assert self.heard == truth
        assert [entry.key for entry in self.informer.entries()] == sorted(truth)
        assert [entry.key for entry in self.informer.entries("/a/y")] == sorted(k for k in truth if k >= "/a/y")
        assert [entry.key for entry in self.informer.poisoned()] == sorted(k for k, v in truth.items() if v == b"\xff")
        for value in ("red", "blue", ""):
            filed = [entry.key for entry in self.informer.by_index("value", value)]
            assert filed == sorted(k for k, v in truth.items() if v == value.encode())

    def befall(self, kind: str) -> None:
        server = self.server
        if kind == "stop":
            self.server.stop()
        elif kind == "start":
            server.start()
        elif kind == "compact":
            server.compact(server.revision)
            self.backups = [server.revision]
        elif kind == "wipe":
            server.wipe()
            self.backups = [server.revision]
        elif kind == "restore":
            server.restore(min(self.backups[0], server.revision))


@settings(max_examples=200, deadline=None)
@given(STEPS, st.integers(0, 2**16))
def test_the_cache_equals_the_store_after_any_writes_and_any_faults(steps: list[Step], seed: int) -> None:
    async def main() -> None:
        world = World(seed)
        async with asyncio.TaskGroup() as group:
            run = group.create_task(world.informer.run())
            for step in steps:
                match step:
                    case Write(operations):
                        world.server.txn([], operations)  # as another client would, whether or not ours is cut off
                    case Sleep(duration_s):
                        await asyncio.sleep(duration_s)
                    case Fault("restart"):
                        run.cancel()
                        await asyncio.wait({run})
                        run = group.create_task(world.informer.run())
                    case Fault(kind):
                        world.befall(kind)
            world.server.start()
            await asyncio.sleep(60)
            world.check()
            run.cancel()

    run_virtual(main())
