import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs
from tests.kit.virtual_time import EPOCH, VirtualClock, virtual_loop

from strata.engine.leadership import Election, Leader, Leadership, current_leader, leader_of
from strata.errors import Ambiguous, NotLeader
from strata.metrics import DaemonMetrics
from strata.store.memory import MemoryStore
from strata.store.memory_server import MemoryServer
from strata.store.port import Compare, Delete, Lease, ModRevisionIs, Operation, Put, TxnResult

KEY = "/strata/leader"
TTL_S = 15.0


class Wire(MemoryStore):
    """A daemon's store, whose connection can be cut; the server and the other daemons do not notice."""

    is_cut = False

    def is_reachable(self) -> bool:
        return super().is_reachable() and not self.is_cut


class Daemon:
    """A candidate, and when its scope began and ended."""

    def __init__(self, name: str, server: MemoryServer, store: Wire | None = None) -> None:
        self.clock = VirtualClock()
        self.store = store or Wire(self.clock, server)
        self.metrics = DaemonMetrics("test")
        self.election = Election(
            self.store,
            KEY,
            name,
            address=f"http://{name}",
            ttl_s=TTL_S,
            clock=self.clock,
            rng=random.Random(name),
            metrics=self.metrics,
        )
        self.terms: list[tuple[float, float]] = []
        self.leadership: Leadership | None = None
        self.unwinding_s = 0.0

    @property
    def leads(self) -> bool:
        return self.leadership is not None

    async def lead(self, leadership: Leadership) -> None:
        loop = asyncio.get_running_loop()
        began_s, self.leadership = loop.time(), leadership
        try:
            await asyncio.Event().wait()
        finally:
            if self.unwinding_s:
                await asyncio.sleep(self.unwinding_s)
            self.leadership = None
            self.terms.append((began_s, loop.time()))

    @asynccontextmanager
    async def running(
        self, lead: Callable[[Leadership], Awaitable[None]] | None = None
    ) -> AsyncIterator[asyncio.Task[None]]:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.election.run(lead or self.lead))
            yield task
            task.cancel()


async def _until(condition: Callable[[], bool], limit_s: float) -> float:
    """Wait for a condition; return how long that took."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    while not condition():
        assert loop.time() - began_s < limit_s, f"not so after {limit_s} s"
        await asyncio.sleep(0.05)
    return loop.time() - began_s


async def test_one_of_two_leads_and_its_key_says_who_and_where() -> None:
    server = MemoryServer()
    a, b = Daemon("a", server), Daemon("b", server)
    async with a.running():
        await _until(lambda: a.leads, 1)
        async with b.running():
            await asyncio.sleep(200)
            assert a.leads
            assert not b.leads
            kv = server.get(KEY)
            assert kv is not None
            assert json.loads(kv.value) == {"identity": "a", "address": "http://a", "since": EPOCH.isoformat()}
            assert await current_leader(b.store, KEY) == b.election.known_leader == Leader("a", "http://a", EPOCH)
            read = [daemon.metrics.registry.get_sample_value("strata_leader") for daemon in (a, b)]
            assert read == [1, 0]
    assert await current_leader(b.store, KEY) is None


async def test_a_clean_shutdown_hands_over_at_once() -> None:
    server = MemoryServer()
    a, b = Daemon("a", server), Daemon("b", server)
    async with a.running() as task:
        await _until(lambda: a.leads, 1)
        async with b.running():
            await asyncio.sleep(50)
            task.cancel()
            assert await _until(lambda: b.leads, 5) < 0.2
    assert b.terms[0][0] >= a.terms[0][1]


async def test_a_leader_cut_off_stops_before_another_can_start() -> None:
    server = MemoryServer()
    a, b = Daemon("a", server), Daemon("b", server)
    async with a.running():
        await _until(lambda: a.leads, 1)
        async with b.running():
            await asyncio.sleep(50)
            a.store.is_cut = True
            await _until(lambda: b.leads, 2 * TTL_S + 2)
            assert not a.leads
    assert b.terms[0][0] >= a.terms[0][1]


async def test_when_the_store_is_away_longer_than_the_lease_nobody_leads_and_later_one_does() -> None:
    server = MemoryServer()
    a = Daemon("a", server)
    async with a.running():
        await _until(lambda: a.leads, 1)
        held = a.leadership
        assert held is not None
        server.stop()
        took_s = await _until(lambda: not a.leads, TTL_S + 1)
        assert took_s >= TTL_S * 2 / 3 - 1, "a short absence does not end a leadership"
        with pytest.raises(NotLeader):
            held.require()
        await asyncio.sleep(300)
        server.start()
        await _until(lambda: a.leads, 60)
        assert a.leadership is not None
        assert a.leadership.fence != held.fence


async def test_the_fence_refuses_the_writes_of_a_former_leader() -> None:
    server = MemoryServer()
    a = Daemon("a", server)
    async with a.running():
        await _until(lambda: a.leads, 1)
        held = a.leadership
        assert held is not None
        assert (await a.store.txn([held.fence], [Put("/x", b"1")])).succeeded
    b = Daemon("b", server)
    async with b.running():
        await _until(lambda: b.leads, 20)
        assert not (await a.store.txn([held.fence], [Put("/x", b"2")])).succeeded
        assert b.leadership is not None
        assert (await b.store.txn([b.leadership.fence], [Put("/x", b"3")])).succeeded


async def test_require_wants_the_margin_and_remaining_falls_while_nobody_renews() -> None:
    server = MemoryServer()
    a = Daemon("a", server)
    async with a.running():
        await _until(lambda: a.leads, 1)
        assert a.leadership is not None
        a.leadership.require(4)
        server.stop()
        await asyncio.sleep(11.5)
        assert 0 < a.leadership.remaining_s() < 5
        a.leadership.require()
        with pytest.raises(NotLeader, match="remain"):
            a.leadership.require(5)


async def test_a_frozen_process_that_wakes_late_fails_before_any_of_its_tasks_had_a_turn() -> None:
    server = MemoryServer()
    a = Daemon("a", server)
    async with a.running():
        await _until(lambda: a.leads, 1)
        held = a.leadership
        assert held is not None
        held.require(4)
        virtual_loop().stall(60)
        assert held.lost
        with pytest.raises(NotLeader):
            held.require()
        await asyncio.sleep(0.1)
        assert a.leadership is not held


@pytest.mark.parametrize("how", ["deleted", "overwritten by another", "wiped", "restored"])
async def test_a_leader_whose_key_goes_stops_though_its_lease_lives(how: str) -> None:
    server = MemoryServer()
    server.txn([], [Put("/x", b"1")])
    backup = server.revision
    a = Daemon("a", server)
    async with a.running():
        await _until(lambda: a.leads, 1)
        held = a.leadership
        await asyncio.sleep(20)
        if how == "wiped":
            server.wipe()
        elif how == "restored":
            server.restore(backup)
        else:
            server.txn([], [Delete(KEY)])
        if how == "overwritten by another":
            server.txn([ModRevisionIs(KEY, 0)], [Put(KEY, b"{}")])
        await _until(lambda: a.leadership is not held, TTL_S)
        assert held is not None
        assert held.lost
        if how == "overwritten by another":
            await asyncio.sleep(60)
            assert not a.leads
            assert a.election.known_leader == Leader()
        else:
            await _until(lambda: a.leads, 20)


@pytest.mark.parametrize("ending", ["returns", "raises", "cancelled inside"])
async def test_a_scope_that_ends_gives_the_leadership_to_another(ending: str) -> None:
    server = MemoryServer()
    a, b = Daemon("a", server), Daemon("b", server)
    began = 0

    async def ends(_: Leadership) -> None:
        nonlocal began
        began += 1
        await asyncio.sleep(20)
        if ending == "raises":
            raise ZeroDivisionError
        if ending == "cancelled inside":
            raise asyncio.CancelledError

    async with a.running(ends) as task:
        await _until(lambda: began == 1, 1)
        async with b.running():
            await asyncio.sleep(10)
            assert not b.leads
            assert await _until(lambda: b.leads, 20) < 11
            assert not task.done()
        await _until(lambda: began == 2, 5)


async def test_the_lease_is_given_back_only_after_the_scope_has_unwound() -> None:
    server = MemoryServer()
    a, b = Daemon("a", server), Daemon("b", server)
    a.unwinding_s = 40  # a launch in flight, say: longer than the lease
    async with a.running() as task:
        await _until(lambda: a.leads, 1)
        held = a.leadership
        async with b.running():
            await asyncio.sleep(20)
            task.cancel()
            await asyncio.sleep(1)
            assert held is not None
            assert held.lost, "what unwinds must not act"
            with capture_logs() as logs:
                await asyncio.sleep(38)
            assert [line["log_level"] for line in logs] == ["error"], "a scope that does not end is complained of"
            assert a.leads
            assert not b.leads
            await _until(lambda: b.leads, 2)
    assert b.terms[0][0] >= a.terms[0][1]


class ToyLease:
    """A lease that is lost, or runs out, when the test says so; each without the other."""

    lease_id = 0
    ttl_s = TTL_S

    def __init__(self) -> None:
        self.until_s = 1_000.0
        self.is_lost = asyncio.Event()

    def safe_until_s(self) -> float:
        return self.until_s

    async def lost(self) -> None:
        await self.is_lost.wait()

    async def revoke(self) -> None:
        self.is_lost.set()


class ToyLeases(Wire):
    def __init__(self, server: MemoryServer) -> None:
        super().__init__(VirtualClock(), server)
        self.lease = ToyLease()

    async def grant(self, ttl_s: float) -> Lease:  # noqa: ARG002 - the port's signature
        return self.lease


@pytest.mark.parametrize("how", ["lost", "run out"])
async def test_either_end_of_a_lease_ends_the_scope_without_the_other(how: str) -> None:
    server = MemoryServer()
    store = ToyLeases(server)
    a = Daemon("a", server, store)
    async with a.running():
        await _until(lambda: a.leads, 1)
        await asyncio.sleep(5)
        if how == "lost":
            store.lease.is_lost.set()
        else:
            store.lease.until_s = 5.5
            virtual_loop().stall(1_000)
        assert await _until(lambda: not a.leads, 2) < 0.2


class ForgetfulStore(Wire):
    """Loses the reply to its first transaction, which was or was not applied."""

    def __init__(self, server: MemoryServer, *, applied: bool) -> None:
        super().__init__(VirtualClock(), server)
        self._applied = applied
        self._lost = False

    async def txn(self, compares: list[Compare], operations: list[Operation]) -> TxnResult:  # type: ignore[override]
        if self._lost:
            return await super().txn(compares, operations)
        self._lost = True
        if self._applied:
            await super().txn(compares, operations)
        raise Ambiguous("the reply was lost")


@pytest.mark.parametrize("applied", [True, False])
async def test_a_claim_whose_reply_is_lost_is_settled_by_reading(*, applied: bool) -> None:
    server = MemoryServer()
    a = Daemon("a", server, ForgetfulStore(server, applied=applied))
    async with a.running():
        took_s = await _until(lambda: a.leads, 10)
        if applied:
            assert took_s < 0.2, "the key hangs on our lease: we lead"
        kv = server.get(KEY)
        assert kv is not None
        assert a.leadership is not None
        assert a.leadership.fence.create_revision == kv.create_revision
        await asyncio.sleep(60)
        assert a.leads
        assert len(a.terms) == 0


@pytest.mark.parametrize("seed", range(5))
async def test_no_two_ever_lead_at_the_same_time_however_often_the_store_goes_and_they_freeze(seed: int) -> None:
    server = MemoryServer()
    a, b, c = (Daemon(name, server) for name in ("a", "b", "c"))
    rng = random.Random(seed)
    led = 0
    async with a.running(), b.running(), c.running():
        for _ in range(2_000):
            await asyncio.sleep(rng.uniform(0.01, 1))
            chance = rng.random()
            if chance < 0.02:
                server.stop()
            elif chance < 0.06:
                server.start()
            elif chance < 0.07:
                virtual_loop().stall(rng.uniform(1, 40))
            valid = [d for d in (a, b, c) if d.leadership is not None and not d.leadership.lost]
            assert len(valid) <= 1
            led += len(valid)
    assert led > 300
    assert len(a.terms) + len(b.terms) + len(c.terms) > 5


@pytest.mark.parametrize("value", [b"", b"\xff", b"[]", b"{}", b'{"identity": "a", "address": "b", "since": "x"}'])
async def test_an_unreadable_key_is_a_leader_of_whom_nothing_is_known(value: bytes) -> None:
    assert leader_of(value) == Leader()
