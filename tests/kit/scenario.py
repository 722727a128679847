"""Scenarios: what befalls a world, as plain data that can be printed, shrunk, and played again; and their player.

A step is (seconds to wait, verb, arguments). A verb that finds nothing to act on does nothing. When all steps are
played the faults end, the world must come to rest as it was written; in the end all is deleted and must be gone.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import msgspec
from tests.kit.acting import a_world
from tests.kit.crash import Act, restart_dead, settled
from tests.kit.fleet import REGION, stack_spec
from tests.kit.process import Process, ProcessStore
from tests.kit.virtual_time import run_virtual
from tests.kit.wishes import Wish, unrest

from strata.cloud.port import RunRequest
from strata.errors import StoreError
from strata.reconcile.objects import timestamp
from strata.resources import kinds, tags
from strata.resources.cluster import Orphan
from strata.resources.codec import decode, encode
from strata.resources.instance import Instance
from strata.resources.stack import Stack
from strata.store.port import Delete, Put
from strata_sim.controls import ids
from strata_sim.faults import Fault
from strata_sim.inprocess import SimulatedCloud
from strata_sim.knobs import Events, Limits
from strata_sim.witness import live

STACKS = ("shop", "blog")
LAYERS = ("web", "db")
DAEMONS = ("a", "b")
REST_S = 3 * 3600.0
GONE_S = 3600.0

Step = tuple[float, str, tuple[Any, ...]]


class Scenario(NamedTuple):
    """`daemons`: how many processes; `healing`: what the layers do to a machine that fails. With an odd seed there is
    a queue of events."""

    seed: int
    daemons: int
    healing: Literal["replace", "restart"]
    steps: tuple[Step, ...]

    def to_text(self) -> str:
        return json.dumps(self, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> "Scenario":
        seed, daemons, healing, steps = json.loads(text)
        return cls(seed, daemons, healing, tuple((wait, verb, tuple(arguments)) for wait, verb, arguments in steps))


def play(scenario: Scenario) -> None:
    """Play it to its end. Raises AssertionError for a broken law, or a world that does not come to rest."""
    run_virtual(_play(scenario))


async def _play(scenario: Scenario) -> None:
    async with a_world(seed=scenario.seed, with_queue=bool(scenario.seed % 2)) as act:
        player = Player(act, scenario)
        await player.begin()
        for wait_s, verb, arguments in scenario.steps:
            await player.wait(wait_s)
            with contextlib.suppress(StoreError):  # a person who finds the store away gives up
                done = getattr(player, f"do_{verb}")(*arguments)
                if asyncio.iscoroutine(done):
                    await done
            act.laws.verify()
        await player.end_faults()
        await player.rest()
        await player.delete_all()


class Player:
    """Knows the verbs. Those that last end by themselves, or when the faults end."""

    def __init__(self, act: Act, scenario: Scenario) -> None:
        self._act = act
        self._fleet = act.fleet
        self._person = act.fleet.person
        self._controls = act.fleet.controls
        self._scenario = scenario
        self._later: dict[asyncio.TimerHandle, Callable[[], None]] = {}
        self._poisoned: dict[str, bytes | None] = {}
        self._foreign: set[str] = set()
        self._deleted: set[tuple[str, str]] = set()
        self._wishes = {
            (stack, layer): Wish(always=3 - number) for stack in STACKS for number, layer in enumerate(LAYERS)
        }

    async def begin(self) -> None:
        await self._settle_foreigners()
        for name in DAEMONS[: self._scenario.daemons]:
            self._act.processes.start(name)
        for stack in STACKS:
            await self._person.stack(stack)
            for layer in LAYERS:
                await self._person.apply(
                    kinds.LAYER, layer, self._wishes[stack, layer].spec(self._scenario.healing), stack
                )

    async def wait(self, duration_s: float) -> None:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + duration_s
        while True:
            restart_dead(self._act.processes)
            self._act.laws.verify()
            if loop.time() >= until_s:
                return
            await asyncio.sleep(min(1.0, until_s - loop.time()))

    # -- machines --------------------------------------------------------------------------------------------

    def do_terminate(self, which: int) -> None:
        self._on_machine(which, lambda one: self._controls.terminate(ids(one)))

    def do_stop(self, which: int) -> None:
        self._on_machine(which, lambda one: self._controls.stop(ids(one)))

    def do_impair(self, which: int) -> None:
        self._on_machine(which, lambda one: self._controls.impair(ids(one)))

    def do_recover(self, which: int) -> None:
        self._on_machine(which, lambda one: self._controls.heal(ids(one)))

    def do_protect(self, which: int) -> None:
        self._on_machine(which, lambda one: self._protect(one, protected=True))

    def do_boots(self, fate: Any, count: int) -> None:
        self._controls.boots(fate, count)

    # -- EC2 -------------------------------------------------------------------------------------------------

    def do_capacity(self, zone: str, count: int) -> None:
        self._controls.capacity("t3.small", f"{REGION}{zone}", count)

    def do_interrupt(self, which: int, rebalance: bool) -> None:  # noqa: FBT001 - data
        spot = [
            one for one in self._ours() if self._fleet.world.region(REGION).instances[one].birth.lifecycle == "spot"
        ]
        if spot:
            self._controls.interrupt(ids(spot[which % len(spot)]), rebalance=rebalance)

    def do_spot_capacity(self, zone: str, count: int) -> None:
        self._controls.capacity("t3.small", f"{REGION}{zone}", count, "spot")

    def do_events(self, delay_s: float, copies: int) -> None:
        self._controls.events(Events(delay_s, copies))

    def do_limit(self, count: int) -> None:
        self._controls.limits(Limits(instances=count))

    def do_lag(self, seconds: float, uneven: bool) -> None:  # noqa: FBT001 - data
        self._controls.lag(seconds, uneven=uneven)

    def do_latency(self, seconds: float) -> None:
        self._fleet.world.latency_s = seconds

    def do_fault(self, kind: Any, code: str, action: str, count: int) -> None:
        actions = frozenset({action} if action else ())
        self._controls.fault(Fault(kind, code=code, actions=actions, count=count))

    def do_outage(self, kind: Any, code: str, duration_s: float) -> None:
        """The whole region, until it is over."""
        self._controls.fault(Fault(kind, code=code, count=None))
        self._in(duration_s, self._controls.clear_faults)

    def do_throttle(self, scale: float) -> None:
        self._controls.throttle(scale)

    # -- the store -------------------------------------------------------------------------------------------

    def do_store_down(self, duration_s: float) -> None:
        self._fleet.server.stop()
        self._in(duration_s, self._fleet.server.start)

    def do_compact(self) -> None:
        self._fleet.server.compact(self._fleet.server.revision)

    def do_lose_write_replies(self, daemon: int, count: int) -> None:
        self._on_store(daemon, lambda store: store.lose_next_reply(count))

    def do_lose_writes(self, daemon: int, count: int) -> None:
        self._on_store(daemon, lambda store: store.lose_next_request(count))

    def do_refuse_writes(self, daemon: int, count: int) -> None:
        self._on_store(daemon, lambda store: store.refuse_next_write(count))

    def do_full(self, daemon: int, duration_s: float) -> None:
        def fill(store: ProcessStore) -> None:
            store.fill_up()
            self._in(duration_s, store.make_room)

        self._on_store(daemon, fill)

    async def do_poison(self, kind: str, which: int, value: str) -> None:
        """Something unreadable stands where an object stood, or where none is."""
        if kind == "new":
            key = kinds.INSTANCE.key(f"{LAYERS[0]}-{which}x", STACKS[which % 2])
        else:
            stored = await self._fleet.store.list(kinds.BY_PLURAL[kind].prefix())
            if not stored.items:
                return
            key = stored.items[which % len(stored.items)].key
        kv = await self._fleet.store.get(key)
        if key in self._poisoned or (kind == "new" and kv is not None):
            return
        self._poisoned[key] = kv.value if kv else None
        await self._fleet.store.txn([], [Put(key, value.encode())])

    def do_restore(self, revisions: int) -> None:
        """A backup from so many writes ago, but of this cluster."""
        server = self._fleet.server
        cluster = server.get(kinds.CLUSTER_KEY)
        if cluster is None:
            return
        server.restore(max(cluster.create_revision, server.revision - revisions))
        self._act.laws.store_went_back()

    # -- processes -------------------------------------------------------------------------------------------

    def do_kill(self, daemon: int, down_s: float) -> None:
        name = DAEMONS[daemon % self._scenario.daemons]
        if name in self._act.processes.running:
            self._act.processes.kill(name)
            self._in(down_s, lambda: self._start(name))

    def do_freeze(self, daemon: int, duration_s: float) -> None:
        def freeze(process: Process) -> None:
            process.freeze()
            self._in(duration_s, process.thaw)

        self._on_process(daemon, freeze)

    def do_cut_off(self, daemon: int, duration_s: float) -> None:
        def cut_off(store: ProcessStore) -> None:
            store.cut_off()
            self._in(duration_s, store.reconnect)

        self._on_store(daemon, cut_off)

    def do_clock(self, daemon: int, offset_s: float) -> None:
        def turn(process: Process) -> None:
            if process.daemon is not None:
                process.daemon.clock.offset_s = offset_s

        self._on_process(daemon, turn)

    # -- people ----------------------------------------------------------------------------------------------

    async def do_scale(self, stack: int, layer: int, count: int) -> None:
        await self._wish(stack, layer, always=count)

    async def do_types(self, stack: int, layer: int, count: int) -> None:
        await self._wish(stack, layer, always=count, types=("t3.medium", "t3.small"))

    async def do_template(self, stack: int, layer: int, number: int) -> None:
        """Another template; number 0 is the one that the layer had first."""
        await self._wish(stack, layer, template=number)

    async def do_manners(self, stack: int, layer: int, which: int) -> None:
        await self._wish(stack, layer, manners=which)

    async def do_spot(self, stack: int, layer: int, percentage: int) -> None:
        await self._wish(stack, layer, spot=percentage)

    async def do_hold(self, stack: int, layer: int, paused: bool) -> None:  # noqa: FBT001 - data
        """Pause a rollout, or let it go on."""
        await self._wish(stack, layer, held=paused)

    async def do_restart(self, stack: int, layer: int) -> None:
        await self._wish(stack, layer, restarted_at=timestamp(self._fleet.clock.now()))

    async def do_pause(self, stack: int) -> None:
        await self._edit_stack(STACKS[stack], paused=True)

    async def do_resume(self, stack: int) -> None:
        await self._edit_stack(STACKS[stack])

    async def do_delete_layer(self, stack: int, layer: int) -> None:
        key = kinds.LAYER.key(LAYERS[layer], STACKS[stack])
        if key not in self._poisoned:
            await self._person.delete(kinds.LAYER, LAYERS[layer], STACKS[stack])

    async def do_delete_stack(self, stack: int) -> None:
        if kinds.STACK.key(STACKS[stack]) not in self._poisoned:
            await self._person.delete(kinds.STACK, STACKS[stack])

    async def do_delete_slot(self, which: int) -> None:
        """A person deletes one slot; its layer makes another."""
        await self._on_slot(which, self._delete_slot)

    async def do_apply_stack(self, stack: int) -> None:
        """Anew, if it is gone."""
        key = kinds.STACK.key(STACKS[stack])
        if await self._fleet.store.get(key) is None:
            await self._person.stack(STACKS[stack])

    async def do_hand_made(self, stack: int, power: str, layers: int) -> None:
        key = kinds.INSTANCE.key("mine", STACKS[stack])
        if key not in self._poisoned and not await self._is_going(STACKS[stack], key):
            spec = {"layers": list(LAYERS[:layers]), "power": power}
            await self._person.apply(kinds.INSTANCE, "mine", spec, STACKS[stack])

    async def do_strip(self, which: int) -> None:
        """Somebody takes a slot out of the store by hand, finalizers and all."""
        await self._on_slot(which, self._strip)

    # -- the end ---------------------------------------------------------------------------------------------

    async def end_faults(self) -> None:
        """From here on nothing goes wrong any more. What nobody could mend is mended."""
        for timer, change in self._later.items():
            timer.cancel()
            change()
        self._later.clear()
        for process in self._act.processes.running.values():
            process.thaw()
            if process.store is not None:
                process.store.reconnect()
                process.store.make_room()
        self._fleet.server.start()
        self._fleet.world.latency_s = 0.0
        self._controls.clear_faults()
        self._controls.lag(0)
        self._controls.throttle(None)
        self._controls.limits(Limits())
        for zone in "abc":
            self._controls.capacity("t3.small", f"{REGION}{zone}", None)
            self._controls.capacity("t3.small", f"{REGION}{zone}", None, "spot")
        self._fleet.world.region(REGION).knobs.boots.fates.clear()
        for one in live(self._fleet.world):
            self._protect(one.id, protected=False)
            self._controls.heal(ids(one.id))
            if one.fate == "stuck":
                self._controls.terminate(ids(one.id))
        await self._take_poison_away()
        for number, stack in enumerate(STACKS):
            await self._edit_stack(stack)
            for layer, name in enumerate(LAYERS):
                if await self._fleet.store.get(kinds.LAYER.key(name, stack)) is not None:
                    await self._wish(number, layer, held=False)

    async def rest(self) -> None:
        """Laws 1 and 8: all that is written is so, nothing else is there, nothing moves any more."""
        act, limit_s = self._act, asyncio.get_running_loop().time() + REST_S
        while why := unrest(act.laws):
            assert asyncio.get_running_loop().time() < limit_s, f"no rest {REST_S:.0f} s after the last fault: {why}"
            await self.wait(5.0)
        await settled(act, within_s=REST_S)
        why = unrest(act.laws)
        assert not why, f"rested, and then: {why}"

    async def delete_all(self) -> None:
        for stack in STACKS:
            await self._person.delete(kinds.STACK, stack)
        for kv in (await self._fleet.store.list(kinds.ORPHANS)).items:  # only a person may end what was held
            orphan = msgspec.structs.replace(decode(Orphan, kv.value), decision="delete")
            await self._fleet.store.txn([], [Put(kv.key, encode(orphan))])
        for _ in range(int(GONE_S / 5)):
            left = [one.metadata.name for one in self._act.laws.objects(Stack)]
            if not left and not self._ours():
                break
            await self.wait(5.0)
        else:
            raise AssertionError(f"not gone {GONE_S:.0f} s after the delete: {left}, {self._ours()}")
        await settled(self._act)

    # -- parts -----------------------------------------------------------------------------------------------

    async def _wish(self, stack: int, layer: int, **changes: Any) -> None:
        place = (STACKS[stack], LAYERS[layer])
        self._wishes[place] = replace(self._wishes[place], **changes)
        await self._edit_layer(*place, self._wishes[place].spec(self._scenario.healing))

    async def _settle_foreigners(self) -> None:
        """Machines of others: without any of our tags, and with another cluster's."""
        cloud = SimulatedCloud(self._fleet.world, REGION, caller="foreign")
        theirs = [{"Key": tags.CLUSTER, "Value": "another"}, {"Key": tags.STACK, "Value": STACKS[0]}]
        image = "ami-0deb12000000000a1"
        for number, tag_list in enumerate(([{"Key": "Name", "Value": "web-1"}], theirs)):
            parameters = {
                "ImageId": image,
                "InstanceType": "t3.small",
                "SubnetId": "subnet-0a",
                "TagSpecifications": [{"ResourceType": "instance", "Tags": tag_list}],
            }
            made = await cloud.run_instances(RunRequest(f"foreign-{number}", parameters, 2))
            self._foreign |= {one.instance_id for one in made}

    def _ours(self) -> list[str]:
        return [one.id for one in live(self._fleet.world) if one.id not in self._foreign]

    def _on_machine(self, which: int, change: Callable[[str], object]) -> None:
        machines = self._ours()
        if machines:
            change(machines[which % len(machines)])

    def _protect(self, instance_id: str, *, protected: bool) -> None:
        self._fleet.world.region(REGION).instances[instance_id].protected = protected

    def _on_process(self, daemon: int, change: Callable[[Process], object]) -> None:
        process = self._act.processes.running.get(DAEMONS[daemon % self._scenario.daemons])
        if process is not None and not process.dead:
            change(process)

    def _on_store(self, daemon: int, change: Callable[[ProcessStore], None]) -> None:
        self._on_process(daemon, lambda process: None if process.store is None else change(process.store))

    def _start(self, name: str) -> None:
        if name not in self._act.processes.running:
            self._act.processes.start(name)

    def _in(self, delay_s: float, change: Callable[[], None]) -> None:
        def now() -> None:
            del self._later[timer]
            change()

        timer = asyncio.get_running_loop().call_later(delay_s, now)
        self._later[timer] = change

    async def _on_slot(self, which: int, change: Callable[[Instance], Awaitable[None]]) -> None:
        slots = sorted(self._act.laws.objects(Instance), key=lambda slot: slot.metadata.uid)
        if slots:
            await change(slots[which % len(slots)])

    async def _delete_slot(self, slot: Instance) -> None:
        await self._person.delete(kinds.INSTANCE, slot.metadata.name, slot.metadata.namespace)

    async def _strip(self, slot: Instance) -> None:
        await self._fleet.store.txn([], [Delete(kinds.INSTANCE.key(slot.metadata.name, slot.metadata.namespace))])

    async def _is_going(self, stack: str, key: str) -> bool:
        """What is being deleted, or whose stack is, cannot be written to."""
        found = [one for one in self._act.laws.objects(Stack) if one.metadata.name == stack]
        if not found or found[0].metadata.deleting:
            return True
        kv = await self._fleet.store.get(key)
        return kv is not None and "deletionTimestamp" in msgspec.json.decode(kv.value)["metadata"]

    async def _edit_layer(self, stack: str, layer: str, spec: dict[str, Any]) -> None:
        key = kinds.LAYER.key(layer, stack)
        if key not in self._poisoned and not await self._is_going(stack, key):
            await self._person.apply(kinds.LAYER, layer, spec, stack)

    async def _edit_stack(self, stack: str, **changes: Any) -> None:
        """A stack that is being deleted can be paused and resumed all the same."""
        key = kinds.STACK.key(stack)
        if key not in self._poisoned and await self._fleet.store.get(key) is not None:
            await self._person.apply(kinds.STACK, stack, stack_spec(**changes))

    async def _take_poison_away(self) -> None:
        for key, value in self._poisoned.items():
            await self._fleet.store.txn([], [Delete(key) if value is None else Put(key, value)])
        self._poisoned.clear()
