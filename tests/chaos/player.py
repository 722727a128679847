"""A scenario's player with more verbs, which tells of each step whether it did anything."""

import asyncio
import contextlib
import functools
from collections.abc import Awaitable, Callable
from typing import Any

from tests.chaos.mischief import Mischief
from tests.kit.crash import Act, restart_dead
from tests.kit.fleet import REGION
from tests.kit.process import Process
from tests.kit.scenario import DAEMONS, LAYERS, STACKS, Player, Scenario, Step

from strata.engine.leadership import leader_of
from strata.errors import StoreError
from strata.resources import kinds
from strata.resources.instance import Instance
from strata.resources.layer import Layer
from strata.resources.stack import Stack
from strata.store.port import Delete, Put
from strata_sim.faults import Fault
from strata_sim.knobs import Limits

_LEASE_S = 15.0
_STRIDE_S = 4.0
_LAID_S = 90.0
_PROTECTED_S = 100.0
_ALWAYS_ACT = frozenset({"outage", "boots", "store_down", "compact"})


def places(seed: int) -> tuple[tuple[int, int], ...]:
    """The stack and layer numbers of a seed's world: small ones are quick."""
    return tuple((stack, layer) for stack in range(2 if seed % 5 == 0 else 1) for layer in range(len(LAYERS)))


class ChaosPlayer(Player):
    """What lasts ends by itself here, so that the world does not only get worse."""

    def __init__(self, act: Act, scenario: Scenario, mischief: Mischief) -> None:
        super().__init__(act, scenario)
        self._mischief = mischief
        self._acted = False

    async def begin(self) -> None:
        """As a scenario begins, but with fewer stacks."""
        await self._settle_foreigners()
        for name in DAEMONS[: self._scenario.daemons]:
            self._act.processes.start(name)
        for stack, layer in places(self._scenario.seed):
            name, namespace = LAYERS[layer], STACKS[stack]
            if layer == 0:
                await self._person.stack(namespace)
            wish = self._wishes[namespace, name]
            await self._person.apply(kinds.LAYER, name, wish.spec(self._scenario.healing), namespace)

    async def wait(self, duration_s: float) -> None:
        """As a scenario does, but in longer strides: calls and writes are judged when they are made all the same."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + duration_s
        while True:
            restart_dead(self._act.processes)
            self._act.laws.verify()
            if loop.time() >= until_s:
                return
            await asyncio.sleep(min(_STRIDE_S, until_s - loop.time()))

    async def play(self, step: Step) -> bool:
        """Play one step; whether it did anything. Raises AssertionError for a broken law."""
        wait_s, verb, arguments = step
        await self.wait(wait_s)
        self._acted, before = verb in _ALWAYS_ACT, self._wanted()
        with contextlib.suppress(StoreError):  # a person who finds the store away gives up
            done = getattr(self, f"do_{verb}")(*arguments)
            if asyncio.iscoroutine(done):
                await done
        self._act.laws.verify()
        return self._acted or self._wanted() != before

    async def end_faults(self) -> None:
        self._mischief.end()
        await super().end_faults()

    # -- processes -------------------------------------------------------------------------------------------

    def do_crash(self, daemon: int, points: int) -> None:
        """It dies at its ports, after so many points between two effects; init starts another one."""

        def doom(process: Process) -> None:
            self._mischief.doomed[process.name] = points

        self._on_process(daemon, doom)

    def do_kill(self, daemon: int, down_s: float) -> None:
        running = self._act.processes.running
        if DAEMONS[daemon % self._scenario.daemons] in running:
            self._acted = True
            self._mischief.note_awaits()
        super().do_kill(daemon, down_s)

    def do_freeze_leader(self, duration_s: float) -> None:
        leader = self._leader()
        if leader is not None:
            self.do_freeze(leader, duration_s)

    def do_depose(self) -> None:
        """Somebody revokes the leader's lease; another may lead before the first one knows."""
        holder = self._fleet.server.get(kinds.LEADER_KEY)
        if holder is not None:
            self._acted = True
            self._fleet.server.revoke(holder.lease_id)

    # -- machines --------------------------------------------------------------------------------------------

    def do_protect(self, which: int) -> None:
        """For a while: what is protected holds up the delete of its stack."""

        def protect(one: str) -> None:
            self._protect(one, protected=True)
            self._for(_PROTECTED_S, lambda: self._release(one))

        self._on_machine(which, protect)

    # -- EC2 -------------------------------------------------------------------------------------------------

    def do_fault(self, kind: Any, code: str, action: str, count: int) -> None:
        """Calls come seldom when they fail: what is left of it after a while befalls nobody."""
        laid = Fault(kind, code=code, actions=frozenset({action} if action else ()), count=count)
        self._controls.fault(laid)
        self._for(_LAID_S, lambda: setattr(laid, "probability", 0.0))

    def do_double(self, count: int) -> None:
        self._do(lambda: setattr(self._mischief, "doubled_count", count))

    def do_late(self, seconds: float, count: int) -> None:
        self._do(lambda: self._mischief.late_s.extend([seconds] * count))

    def do_partial(self, share: float, duration_s: float) -> None:
        """Lists that are not whole, for less time than it takes to prove that a machine is gone."""
        self._mischief.hidden_share = share
        self._for(duration_s, lambda: setattr(self._mischief, "hidden_share", 0.0))

    def do_lagging(self, seconds: float, uneven: bool, duration_s: float) -> None:  # noqa: FBT001 - data
        self.do_lag(seconds, uneven)
        self._for(duration_s, lambda: self._controls.lag(0))

    def do_slow(self, seconds: float, duration_s: float) -> None:
        self.do_latency(seconds)
        self._for(duration_s, lambda: self.do_latency(0.0))

    def do_storm(self, scale: float, duration_s: float) -> None:
        self.do_throttle(scale)
        self._for(duration_s, lambda: self._controls.throttle(None))

    def do_zone_out(self, zone: str, count: int, duration_s: float) -> None:
        self.do_capacity(zone, count)
        self._for(duration_s, lambda: self._controls.capacity("t3.small", f"{REGION}{zone}", None))

    def do_limited(self, count: int, duration_s: float) -> None:
        self.do_limit(count)
        self._for(duration_s, lambda: self._controls.limits(Limits()))

    # -- the store -------------------------------------------------------------------------------------------

    def do_store_frozen(self, duration_s: float) -> None:
        """Unlike one that was started anew, an etcd that wakes up finds that leases have run out."""
        server = self._fleet.server
        server.stop()

        def thaw() -> None:
            holder = server.get(kinds.LEADER_KEY)
            server.start()
            if holder is not None and duration_s > _LEASE_S:
                server.revoke(holder.lease_id)

        self._for(duration_s, thaw)

    def do_restore(self, revisions: int) -> None:
        """As people restore: etcd is away for longer than a lease, so that no call of before it is under way."""
        self._fleet.server.stop()
        self._for(_LEASE_S + 5.0, lambda: self._restored(revisions))

    async def do_spoil(self, kind: str, which: int, value: str, duration_s: float) -> None:
        """An object cannot be read until somebody puts it right."""
        known = set(self._poisoned)
        await self.do_poison(kind, which, value)
        for key in self._poisoned.keys() - known:
            self._for(duration_s, functools.partial(self._put_right, key))

    def do_no_space(self, duration_s: float) -> None:
        for daemon in range(self._scenario.daemons):
            self.do_full(daemon, duration_s)

    def _restored(self, revisions: int) -> None:
        with contextlib.suppress(StoreError):  # what is compacted is in no backup
            super().do_restore(revisions)
        self._fleet.server.start()

    def _put_right(self, key: str) -> None:
        value = self._poisoned.pop(key, None)
        self._fleet.server.txn([], [Delete(key) if value is None else Put(key, value)])

    # -- parts -----------------------------------------------------------------------------------------------

    def _release(self, one: str) -> None:
        if one in self._fleet.world.region(REGION).instances:  # else it is forgotten
            self._protect(one, protected=False)

    def _leader(self) -> int | None:
        holder = self._fleet.server.get(kinds.LEADER_KEY)
        name = leader_of(holder.value).identity.partition("-")[0] if holder is not None else ""
        return DAEMONS.index(name) if name in DAEMONS else None

    def _wanted(self) -> frozenset[tuple[Any, ...]]:
        """What people want now: it differs after a step that changed it."""
        laws = self._act.laws
        owners = (*laws.objects(Stack), *laws.objects(Layer))
        return frozenset((one.metadata.uid, one.metadata.generation, one.metadata.deleting) for one in owners)

    def _do(self, change: Callable[[], object]) -> None:
        self._acted = True
        change()

    def _for(self, duration_s: float, end: Callable[[], None]) -> None:
        self._acted = True
        self._in(duration_s, end)

    def _on_machine(self, which: int, change: Callable[[str], object]) -> None:
        super()._on_machine(which, lambda one: self._do(lambda: change(one)))

    def _on_process(self, daemon: int, change: Callable[[Process], object]) -> None:
        super()._on_process(daemon, lambda process: self._do(lambda: change(process)))

    async def _on_slot(self, which: int, change: Callable[[Instance], Awaitable[None]]) -> None:
        async def noted(slot: Instance) -> None:
            self._acted = not slot.metadata.deleting
            await change(slot)

        await super()._on_slot(which, noted)
