"""One region: its instances, the agenda of their transitions, and everything that a handler works on.

`settle` first, then act: what is due by the clock happens, in order, at the time it was due. There are no timers.
"""

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from ipaddress import IPv4Network
from typing import Any

from strata.clock import Clock
from strata_sim import events
from strata_sim.addresses import AddressBlock
from strata_sim.buckets import Buckets
from strata_sim.catalog import RegionSpec
from strata_sim.errors import Ec2Error
from strata_sim.index import Index
from strata_sim.knobs import Knobs
from strata_sim.machines import HISTORY_S, Instance, Life, View
from strata_sim.queue import Queue
from strata_sim.telemetry import Telemetry
from strata_sim.tokens import TokenLedger

Step = Callable[["Region", Instance, float], None]
_PUBLIC = "52.0.0.0/10"
_WHATEVER_PLAN = -1
EVENTS_QUEUE = "strata-events"  # where a rule sends all that EventBridge says of instances


class Region:
    """State only; the verbs stand in the modules of the actions and in `steps`."""

    def __init__(self, spec: RegionSpec, account_id: str, clock: Clock, rng: random.Random) -> None:
        self.spec = spec
        self.account_id = account_id
        self.rng = rng
        self.caller = ""  # of the call under way, for the lives' record
        self.knobs = Knobs()
        self.buckets = Buckets()
        self.tokens = TokenLedger()
        self.index = Index()
        self.telemetry = Telemetry()
        self.instances: dict[str, Instance] = {}
        self.by_seq: dict[int, Instance] = {}
        self.lives: list[Life] = []
        self.tags: dict[str, dict[str, str]] = {}  # of resources that are not instances
        self.volumes: dict[str, Instance] = {}
        self.spot: dict[str, Instance] = {}  # by the id of their spot request
        self.queues = {EVENTS_QUEUE: Queue()}
        self.vpcs = {vpc.id: vpc for vpc in spec.vpcs}
        self.subnets = {subnet.id: subnet for subnet in spec.subnets}
        self.images = {image.id: image for image in spec.images}
        self.types = {kind.name: kind for kind in spec.types}
        self.parameters = dict(spec.parameters)
        self.addresses = {subnet.id: AddressBlock(subnet.cidr) for subnet in spec.subnets}
        self.public_addresses = AddressBlock(str(IPv4Network(_PUBLIC)))
        self._clock = clock
        self._agenda: list[tuple[float, int, int, Instance, Step]] = []
        self._count = 0
        self._told = 0
        self._changed: deque[tuple[float, Instance]] = deque()

    @property
    def now_s(self) -> float:
        return self._clock.monotonic_s()

    def now(self) -> datetime:
        return self._clock.now()

    def wall_s(self, at_s: float) -> float:
        """The wall time, in Unix seconds, of a time of `now_s`."""
        return self.now().timestamp() + at_s - self.now_s

    def new_id(self, prefix: str) -> str:
        return f"{prefix}-{self.rng.getrandbits(68):017x}"

    def next_seq(self) -> int:
        self._count += 1
        return self._count

    def settle(self) -> None:
        """Let everything happen that is due by now."""
        now_s = self.now_s
        while self._agenda and self._agenda[0][0] <= now_s:
            at_s, _, plan, instance, step = heapq.heappop(self._agenda)
            if plan in {instance.plan, _WHATEVER_PLAN}:
                self._measure(at_s)
                step(self, instance, at_s)
        self._measure(now_s)
        while self._changed and self._changed[0][0] < now_s - HISTORY_S:
            self._changed.popleft()

    def _measure(self, until_s: float) -> None:
        self.telemetry.advance(self.index, self.by_seq, self.wall_s(until_s))

    def plan(self, instance: Instance, at_s: float, step: Step) -> None:
        """Let `step` happen at that time, unless another plan is made for the instance before."""
        instance.plan += 1
        heapq.heappush(self._agenda, (at_s, self.next_seq(), instance.plan, instance, step))

    def later(self, instance: Instance, at_s: float, step: Step) -> None:
        """Let `step` happen at that time whatever is planned meanwhile; it looks for itself whether it still may."""
        heapq.heappush(self._agenda, (at_s, self.next_seq(), _WHATEVER_PLAN, instance, step))

    def unplan(self, instance: Instance) -> None:
        instance.plan += 1

    def add(self, instance: Instance) -> None:
        self.instances[instance.id] = instance
        self.by_seq[instance.birth.seq] = instance
        self.volumes.update((volume.volume_id, instance) for volume in instance.birth.volumes)
        self.lives.append(instance.life)
        self.index.add(instance)
        self._changed.append((instance.view.at_s, instance))
        if instance.birth.spot_request_id:
            self.spot[instance.birth.spot_request_id] = instance
        self._tell_state(instance)

    def change(self, instance: Instance, at_s: float, **fields: Any) -> None:  # noqa: ANN401 - a view's fields
        """Give the instance a new view."""
        old = instance.view
        instance.push(replace(old, at_s=at_s, rendered="", rendered_status="", **fields))
        self.index.move(instance, old)
        self._changed.append((at_s, instance))
        if (running := instance.view.state == "running") != (old.state == "running"):
            self.telemetry.note_run(instance.id, self.wall_s(at_s), running=running)
        if instance.view.state != old.state:
            self._tell_state(instance)

    def tell(self, body: str, at_s: float) -> None:
        """Hand an event to the queue, as the knobs have it: late, several times, or not at all."""
        for _ in range(self.knobs.events.copies):
            self.queues[EVENTS_QUEUE].send(body, at_s + self.knobs.events.delay_s)

    def event_place(self) -> events.Place:
        self._told += 1
        return events.Place(self.account_id, self.spec.name, self.now(), self._told)

    def _tell_state(self, instance: Instance) -> None:
        body = events.state_change(self.event_place(), instance.id, instance.view.state)
        self.tell(body, instance.view.at_s)

    def forget(self, instance: Instance) -> None:
        """EC2 shows a terminated machine for about an hour. Its token is remembered for longer."""
        del self.instances[instance.id]
        del self.by_seq[instance.birth.seq]
        for volume in instance.birth.volumes:
            self.volumes.pop(volume.volume_id, None)
            self.tags.pop(volume.volume_id, None)
        self.spot.pop(instance.birth.spot_request_id, None)
        self.tags.pop(instance.birth.spot_request_id, None)
        self.index.remove(instance)
        self.telemetry.forget(instance.id)

    def changed_since(self, at_s: float) -> set[int]:
        """Sequence numbers of instances that a reader of that time may see otherwise than the index has them."""
        found = set()
        for changed_at_s, instance in reversed(self._changed):
            if changed_at_s < at_s:
                break
            found.add(instance.birth.seq)
        return found

    def observer(self) -> Callable[[Instance], View | None]:
        """How one call sees the instances: each as it was some lag ago, or not at all."""
        lag, now_s = self.knobs.lag, self.now_s
        if lag.seconds <= 0:
            return _present
        if not lag.uneven:
            return lambda instance: instance.seen_at(now_s - lag.seconds)
        salt = self.rng.getrandbits(32)
        return lambda instance: instance.seen_at(now_s - lag.seconds * _share(salt, instance.birth.seq))

    def require_instances(self, instance_ids: list[str]) -> list[Instance]:
        """The instances of these ids, all of them visible to this call. Raises Ec2Error, naming the others."""
        for one in instance_ids:
            if not one.startswith("i-"):
                raise Ec2Error("InvalidInstanceID.Malformed", f'Invalid id: "{one}" (expecting "i-...")')
        observe = self.observer()
        found = [self.instances.get(one) for one in instance_ids]
        missing = [i for i, one in zip(instance_ids, found, strict=True) if one is None or observe(one) is None]
        if missing:
            raise _not_found(missing)
        return list(dict.fromkeys(one for one in found if one is not None))


def _not_found(missing: list[str]) -> Ec2Error:
    ids = ", ".join(dict.fromkeys(missing))
    what = f"ID '{ids}' does" if len(set(missing)) == 1 else f"IDs '{ids}' do"
    return Ec2Error("InvalidInstanceID.NotFound", f"The instance {what} not exist")


def _present(instance: Instance) -> View | None:
    return instance.view


def _share(salt: int, seq: int) -> float:
    """A number in [0, 1), even over the instances, the same for an instance all through a call."""
    return ((salt ^ (seq * 2654435761)) * 2246822519 & 0xFFFFFFFF) / 2**32
