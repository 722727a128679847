"""The laws, watched: every call to the simulated EC2 and every write to the store is judged when it is made.

What it judges by is the truth: the simulator's own records without lag, and the store's present objects. A breach is
noted (an exception would only fail one pass of the daemon) and raised by `verify`, which scenarios call all the time.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from tests.kit.slot_laws import JUST_NOW_S, SlotLaws, counts

from strata.resources import kinds, tags
from strata.resources.cluster import ClusterIdentity
from strata.resources.codec import decode, decode_object
from strata.resources.duration import parse_duration
from strata.resources.instance import Instance
from strata.resources.kinds import ObjectKey
from strata.resources.launch import Launch
from strata.resources.layer import Layer
from strata.resources.meta import Record
from strata.resources.stack import Stack
from strata.store.memory_server import MemoryServer
from strata.store.port import Compare, KeyEvent, Operation, StoreStatus, TxnResult
from strata_sim.calls import Call, CallLog
from strata_sim.machines import Instance as Made
from strata_sim.machines import Life, View
from strata_sim.witness import lives
from strata_sim.world import WORLD, World

MUTATING = frozenset(
    {"RunInstances", "TerminateInstances", "StopInstances", "StartInstances", "RebootInstances", "CreateTags"}
)
CONTROLLER, PERSON = "a controller", "a person"  # who writes to the store
STALE_S = 60.0  # how old a daemon's view of a machine may be when it acts, on top of the simulator's lag


class WatchedLog(CallLog):
    """Tells of each call as it is noted."""

    def __init__(self, listener: Callable[[Call], None]) -> None:
        super().__init__()
        self._listener = listener

    def add(self, **call: Any) -> Call:
        noted = super().add(**call)
        self._listener(noted)
        return noted


class WatchedServer(MemoryServer):
    """Tells of each transaction that changed something: who wrote, and what."""

    def __init__(self) -> None:
        super().__init__()
        self.listener: Callable[[str, Sequence[KeyEvent]], None] | None = None
        self.keeps_its_id = False  # a backup may be restored under the id that the store had

    def status(self) -> StoreStatus:
        status = super().status()
        return replace(status, store_id="memory") if self.keeps_its_id else status

    def txn(self, compares: Sequence[Compare], operations: Sequence[Operation]) -> TxnResult:
        before = self.revision
        result = super().txn(compares, operations)
        if self.revision > before and self.listener is not None:
            by_controller = any(compare.key == kinds.LEADER_KEY for compare in compares)
            self.listener(
                CONTROLLER if by_controller else PERSON, tuple(self.events(kinds.OBJECTS, before + 1, self.revision))
            )
        return result


class Laws:
    """Watches one world and one store."""

    def __init__(self, world: World, server: WatchedServer) -> None:
        self.breaches: list[str] = []
        self.mutations = 0  # calls of ours that changed, or meant to change, EC2
        self.writes = 0  # of objects, by controllers
        self._world = world
        self._server = server
        self._objects: dict[str, Record] = {}
        self._hidden: dict[str, tuple[float, Record | None]] = {}  # what nobody can read: since when, and what it was
        self._hidden_until_s: dict[str, float] = {}
        self._launches: dict[str, Launch] = {}  # also those that are no longer in the store
        self._assigned: dict[str, Launch] = {}  # by machine
        self._lost: set[str] = set()  # machines whose records were lost with the store
        self._paused_since_s: dict[str, float] = {}
        self._slots = SlotLaws(self._now_s, self._breach)
        world.log = WatchedLog(self._on_call)
        server.listener = self._on_write

    def verify(self) -> None:
        """Raise for the first breaches, if there are any."""
        self.check_machines()
        assert not self.breaches, "\n".join(self.breaches[:5])

    def store_went_back(self) -> None:
        """The store was restored or wiped: what its records do not say now, nobody can know any more."""
        self._objects.clear()
        self._launches.clear()
        self._assigned.clear()
        self._on_write(PERSON, tuple(KeyEvent(kv.key, kv, kv.mod_revision) for kv in self._server.items(kinds.OBJECTS)))
        known = {life.instance_id for life in lives(self._world) if self._launch_of(life) is not None}
        self._lost = {life.instance_id for life in lives(self._world)} - known

    # -- law 2: one machine a slot ---------------------------------------------------------------------------

    def check_machines(self) -> None:
        """Every live machine of ours can be matched to a slot of its own."""
        candidates = {
            life.instance_id: self._slots_of(life)
            for life in lives(self._world)
            if life.ended_at_s is None and life.tags.get(tags.LAUNCH) and life.instance_id not in self._lost
        }
        for instance_id in _unmatched(candidates):
            slots = candidates[instance_id]
            rivals = [other for other, uids in candidates.items() if set(uids) & set(slots) and other != instance_id]
            self._breach(f"law 2: {instance_id} and {', '.join(rivals) or 'no other'} are for the same slots {slots}")

    def _launch_of(self, life: Life) -> Launch | None:
        """The last launch that assigned the machine (an adopted one has another than its tag says), else its tag's."""
        return self._assigned.get(life.instance_id) or self._launches.get(life.tags.get(tags.LAUNCH, ""))

    def _slots_of(self, life: Life) -> tuple[str, ...]:
        """The uids of the slots that the machine may have been made for."""
        launch = self._launch_of(life)
        if launch is None:
            return (f"nobody knows of {life.tags[tags.LAUNCH]}",)
        own = [a.uid for a in launch.status.assignments if a.instance_id == life.instance_id]
        if own:
            return tuple(own)
        taken = {a.uid for a in launch.status.assignments}
        return tuple(member.uid for member in launch.spec.members if member.uid not in taken)

    # -- calls: laws 3, 4 and 7 ------------------------------------------------------------------------------

    def _on_call(self, call: Call) -> None:
        if call.caller == WORLD or call.caller.startswith("foreign") or call.action not in MUTATING:
            return
        self.mutations += 1
        named = [*call.parameters.get("InstanceIds", ()), *call.parameters.get("Resources", ())]
        for instance_id in named:
            self._check_ours(call, instance_id)
        if call.action == "RunInstances" and call.made:
            self.check_machines()
            self._check_pause(call, next(self._life(one) for one in call.made))
        if call.action == "TerminateInstances":
            for instance_id in call.ended:
                self._check_termination(call, instance_id)

    def _check_ours(self, call: Call, instance_id: str) -> None:
        life = self._life(instance_id)
        if life is not None and life.tags.get(tags.CLUSTER) != self.cluster().id:
            self._breach(f"law 4: {call.action} of {instance_id}, which is not ours")

    def _check_termination(self, call: Call, instance_id: str) -> None:
        why = self._unjustified(instance_id)
        if why:
            self._breach(f"law 7: {call.caller} terminated {instance_id} at {call.at_s:.1f} s: {why}")
        self._check_pause(call, self._life(instance_id))

    def _check_pause(self, call: Call, life: Life | None) -> None:
        stack = life.tags.get(tags.STACK, "") if life else ""
        since_s = self._paused_since_s.get(stack)
        if since_s is not None and call.at_s - since_s > STALE_S:
            self._breach(f"{call.action} at {call.at_s:.1f} s: stack {stack} is paused since {since_s:.1f} s")

    def _unjustified(self, instance_id: str) -> str:
        """Why this machine of ours should not have been ended; "" if spec, health or the protocol asked for it."""
        life, made = self._life(instance_id), self._made(instance_id)
        if life is None or made is None:
            return "it is not in the world"
        launch = self._launch_of(life)
        if launch is None or not self._is_stored(launch):
            return self._unjustified_orphan(instance_id)
        if launch.status.state == "sealed":
            return "its launch is not resolved yet"
        return self._unjustified_by_record(launch, made)

    def _unjustified_by_record(self, launch: Launch, made: Made) -> str:
        instance_id = made.id
        uid = next((a.uid for a in launch.status.assignments if a.instance_id == instance_id), None)
        members = [member for member in launch.spec.members if member.uid == uid]
        if not members:
            return self._unjustified_surplus(launch)
        key = kinds.INSTANCE.key(members[0].name, launch.metadata.namespace)
        since_s, slot = self._hidden.get(key, (self._now_s(), self._objects.get(key)))
        if self._now_s() - since_s > STALE_S:
            return "its slot cannot be read"
        if not isinstance(slot, Instance) or slot.metadata.uid != uid or slot.metadata.deleting:
            return ""  # nobody wants it any more
        if slot.status.launch is None or slot.status.launch.launch_id != launch.metadata.name:
            return ""  # the slot has moved on
        leave = slot.status.leave
        if leave is not None and leave.drained and leave.instance_id == made.id:
            return ""  # it is being renewed in place
        return self._unjustified_heal(slot, made)

    def _unjustified_surplus(self, launch: Launch) -> str:
        taken = {a.uid for a in launch.status.assignments}
        for member in launch.spec.members:
            key = kinds.INSTANCE.key(member.name, launch.metadata.namespace)
            if member.uid not in taken and self._server.get(key) is not None and key not in self._objects:
                return f"it may be that of {member.name}, which cannot be read"
        return ""

    def _unjustified_orphan(self, instance_id: str) -> str:
        record = self._server.get(f"{kinds.ORPHANS}{instance_id}")
        if record is not None:
            return "" if b'"decision":"delete"' in record.value else "it waits for a person's decision"
        if self.cluster().held_because:
            return f"orphans are held: {self.cluster().held_because}"
        return "" if instance_id not in self._lost else "the store lost its record"

    def _unjustified_heal(self, slot: Instance, made: Made) -> str:
        """The slot's own machine, wanted, was ended: it must have been proved bad."""
        stored = self._objects.get(kinds.LAYER.key(slot.spec.layers[0], slot.metadata.namespace))
        healing = stored.spec.healing if isinstance(stored, Layer) else None
        if healing is None or not healing.enabled:
            return f"{slot.metadata.name} wants it, and nothing heals"
        now_s, slack_s = self._now_s(), STALE_S + self._lag_s(made)
        past = _Past(made.views, now_s)
        if past.stopped_within(slack_s):
            return ""
        mark = slot.status.heal
        if mark is None or mark.instance_id != made.id:
            return f"{slot.metadata.name} wants it, it runs, and there is no mark"
        if past.impaired_s(slack_s) >= parse_duration(healing.impaired_after).total_seconds() - slack_s:
            return ""
        if past.not_ok_s(slack_s) >= parse_duration(healing.start_deadline).total_seconds() - slack_s:
            return ""
        return f"{slot.metadata.name} was marked ({mark.message}), and it works"

    # -- writes: law 3 ---------------------------------------------------------------------------------------

    def _on_write(self, writer: str, events: Iterable[KeyEvent]) -> None:
        events = tuple(events)
        before = {event.key: self._objects.get(event.key) for event in events}
        for event in events:
            self._take_in(event)
            old, new = before[event.key], self._objects.get(event.key)
            if isinstance(new, Instance):
                self._slots.see(old if isinstance(old, Instance) else None, new)
            if writer == PERSON and isinstance(old, Instance) and counts(old):
                self._note_taken(old, new)
        if writer != CONTROLLER:
            return
        self.writes += len(events)
        for event in events:
            old, new = before[event.key], self._objects.get(event.key)
            if isinstance(new, Instance) and new.spec.availability == "layer":
                self._check_slot(old if isinstance(old, Instance) else None, new)

    def _note_taken(self, old: Instance, new: Record | None) -> None:
        if not isinstance(new, Instance) or not counts(new):
            self._slots.taken_by_a_person(old)

    def _take_in(self, event: KeyEvent) -> None:
        key = kinds.parse_store_key(event.key)
        before = self._objects.pop(event.key, None)
        if event.key in self._hidden:
            self._hidden_until_s[event.key] = self._now_s()
        hidden = self._hidden.pop(event.key, (self._now_s(), before))
        if key is None:
            return
        if event.kv is None:
            if key.kind is kinds.STACK:
                self._paused_since_s.pop(key.name, None)
            return
        try:
            obj = decode_object(key.kind, event.kv.value, mod_revision=event.kv.mod_revision)
        except Exception:  # noqa: BLE001 - a poisoned object, put there on purpose
            self._hidden[event.key] = hidden
            return
        self._objects[event.key] = obj
        if isinstance(obj, Launch):
            self._launches[obj.metadata.name] = obj
            self._assigned.update((one.instance_id, obj) for one in obj.status.assignments)
        if isinstance(obj, Stack):
            self._note_pause(key, obj)

    def _note_pause(self, key: ObjectKey, stack: Stack) -> None:
        if stack.spec.paused:
            self._paused_since_s.setdefault(key.name, self._now_s())
        else:
            self._paused_since_s.pop(key.name, None)

    def _check_slot(self, old: Instance | None, new: Instance) -> None:
        namespace, name = new.metadata.namespace, new.spec.layers[0]
        layer = self._objects.get(kinds.LAYER.key(name, namespace))
        stack = self._objects.get(kinds.STACK.key(namespace))
        if isinstance(layer, Layer) and isinstance(stack, Stack):
            members = [one for one in self._members(namespace, name) if not one.metadata.deleting]
            hidden = self._hidden_slots(namespace, name)
            self._slots.check(old, new, layer=layer, stack=stack, members=members, hidden=hidden)

    def _hidden_slots(self, namespace: str, layer: str) -> int:
        """How many slots a daemon that decides now cannot read, or could not a moment ago."""
        prefix, now_s = kinds.INSTANCE.key(f"{layer}-", namespace), self._now_s()
        lately = {key for key, until_s in self._hidden_until_s.items() if now_s - until_s <= JUST_NOW_S}
        return sum(key.startswith(prefix) for key in lately | self._hidden.keys())

    def _members(self, namespace: str, layer: str) -> list[Instance]:
        prefix = kinds.INSTANCE.prefix(namespace)
        found = (obj for key, obj in self._objects.items() if key.startswith(prefix))
        return [one for one in found if isinstance(one, Instance) and one.spec.layers[0] == layer]

    # -- the truth -------------------------------------------------------------------------------------------

    def leaks(self) -> list[str]:
        """Live machines of ours that no slot has, and no person was told of."""
        found = []
        for life in lives(self._world):
            if life.ended_at_s is not None or life.tags.get(tags.CLUSTER) != self.cluster().id:
                continue
            held = self._server.get(f"{kinds.ORPHANS}{life.instance_id}") is not None
            if not held and not self._is_held_by_slot(life):
                found.append(life.instance_id)
        return found

    def _is_held_by_slot(self, life: Life) -> bool:
        launch = self._launch_of(life)
        if launch is None:
            return False
        uids = {a.uid for a in launch.status.assignments if a.instance_id == life.instance_id}
        return any(
            isinstance(obj, Instance)
            and obj.metadata.uid in uids
            and obj.status.launch is not None
            and obj.status.launch.launch_id == launch.metadata.name
            for obj in self._objects.values()
        )

    def open_launches(self) -> list[Launch]:
        return [launch for launch in self.objects(Launch) if launch.status.state == "sealed"]

    def ended(self) -> list[str]:
        """Machines of ours that we ended."""
        return [one.instance_id for one in lives(self._world) if one.ended_by not in {"", WORLD, "ec2"}]

    def objects(self, record: type[Any]) -> list[Any]:
        """The readable objects of one class, as they are in the store."""
        return [obj for obj in self._objects.values() if isinstance(obj, record)]

    def _is_stored(self, launch: Launch) -> bool:
        return self._server.get(kinds.LAUNCH.key(launch.metadata.name, launch.metadata.namespace)) is not None

    def cluster(self) -> ClusterIdentity:
        kv = self._server.get(kinds.CLUSTER_KEY)
        return decode(ClusterIdentity, kv.value) if kv else ClusterIdentity(id="none yet")

    def _life(self, instance_id: str) -> Life | None:
        return next((life for life in lives(self._world) if life.instance_id == instance_id), None)

    def _made(self, instance_id: str) -> Made | None:
        return next((r.instances[instance_id] for r in self._world.regions if instance_id in r.instances), None)

    def _lag_s(self, made: Made) -> float:
        return next(r.knobs.lag.seconds for r in self._world.regions if made.id in r.instances)

    def _now_s(self) -> float:
        return self._world.regions[0].now_s

    def _breach(self, what: str) -> None:
        if what not in self.breaches:
            self.breaches.append(what)


class _Past:
    """What a machine did up to now; its last view is the end that is being judged."""

    def __init__(self, views: Sequence[View], now_s: float) -> None:
        ends = [view.at_s for view in views[1:]] + [now_s]
        self._spans = [(view, view.at_s, end) for view, end in zip(views, ends, strict=True) if not _is_end(view)]
        self._now_s = now_s

    def stopped_within(self, slack_s: float) -> bool:
        return any(v.state in {"stopping", "stopped"} and end >= self._now_s - slack_s for v, _, end in self._spans)

    def impaired_s(self, slack_s: float) -> float:
        """How long its checks failed, if they did lately."""
        return self._longest(lambda view: "impaired" in view.checks, slack_s)

    def not_ok_s(self, slack_s: float) -> float:
        """How long it did not work, if it did not lately."""
        return self._longest(lambda view: view.state != "running" or set(view.checks) != {"ok"}, slack_s)

    def _longest(self, holds: Callable[[View], bool], slack_s: float) -> float:
        longest = run = 0.0
        for view, start, end in self._spans:
            run = run + (end - start) if holds(view) else 0.0
            if end >= self._now_s - slack_s:
                longest = max(longest, run)
        return longest


def _is_end(view: View) -> bool:
    return view.state in {"shutting-down", "terminated"}


def _unmatched(candidates: dict[str, tuple[str, ...]]) -> list[str]:
    """Machines left over when as many as can be are matched with a candidate of their own (augmenting paths)."""
    machine_of: dict[str, str] = {}

    def place(machine: str, tried: set[str]) -> bool:
        for uid in candidates[machine]:
            if uid in tried:
                continue
            tried.add(uid)
            if uid not in machine_of or place(machine_of[uid], tried):
                machine_of[uid] = machine
                return True
        return False

    return [machine for machine in candidates if not place(machine, set())]
