"""A layer's modelled slots: what plans do to them, and what time does."""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Literal

import msgspec

from strata.planner.facts import Known, MachineFact, Unknown
from strata.planner.forecast import machines
from strata.planner.forecast.machines import Assumptions, Make
from strata.planner.forecast.timeline import MachineRun, Moment
from strata.planner.layer_plan import LayerPlan, LayerSnapshot
from strata.planner.template import effective, image_key, missing_fields, template_digest
from strata.resources import reasons
from strata.resources.instance import Instance, Phase
from strata.resources.layer import Layer, ResolvedImage
from strata.resources.stack import Stack

_Due = Literal["online", "gone", "stopped"]
_STARTS = {Phase.REQUESTED, Phase.START_FAILED, Phase.TERMINATED, Phase.SHUTTING_DOWN}


@dataclass(slots=True)
class ModelFleet:
    """One layer and its slots. Changed by `carry_out` and `advance` alone; `runs` has every machine there ever was."""

    stack: Stack | None
    layer: Layer
    assumptions: Assumptions
    protected: frozenset[str] = frozenset()
    unreadable: frozenset[str] = frozenset()
    members: dict[str, Instance] = field(default_factory=dict)
    facts: dict[str, MachineFact] = field(default_factory=dict)
    runs: list[MachineRun] = field(default_factory=list)
    _running: dict[str, MachineRun] = field(default_factory=dict)
    _due: list[tuple[datetime, int, str, _Due]] = field(default_factory=list)
    _awaited: dict[str, int] = field(default_factory=dict)  # the number of what each slot waits for
    _serving: dict[str, datetime] = field(default_factory=dict)  # since when, by name
    _youngest_at: datetime | None = None
    _numbers: "count[int]" = field(default_factory=count)

    def settle(self, members: Iterable[Instance], now: datetime) -> None:
        """Take over slots as their statuses say; what they wait for succeeds from now on."""
        for member in members:
            self._put(member, now)
            self._settle(member, now)

    def snapshot(self, now: datetime) -> LayerSnapshot:
        """What a pass would see now, but for the signals."""
        return LayerSnapshot(
            now=now,
            layer=self.layer,
            stack=self.stack,
            members=tuple(self.members.values()),
            facts=self.facts,
            image=self._image(now),
            protected=self.protected,
            unreadable=self.unreadable,
        )

    def carry_out(self, plan: LayerPlan, now: datetime) -> None:
        """Do what the plan says, as passes, launcher and EC2 would."""
        self.layer = msgspec.structs.replace(self.layer, status=plan.status)
        for new in plan.create:
            self._launch(machines.slot_of(self.layer, new, now), now)
        for member in plan.delete:
            self._delete(self.members[member.metadata.name], now)
        for leaving in plan.leave:
            member = self.members[leaving.instance.metadata.name]
            self._put(machines.status_with(member, leave=leaving.leave), now)
            if leaving.leave.drained:
                self._replace(member, now)
        for member in plan.stay:
            self._put(machines.status_with(self.members[member.metadata.name], leave=None), now)
        for powered in plan.power:
            self._power(self.members[powered.instance.metadata.name], powered.power, now)
        for marked in plan.heal:
            member = machines.status_with(self.members[marked.instance.metadata.name], heal=marked.mark)
            self._put(member, now)
            self._replace(member, now)
        for member in plan.withdraw:
            self._put(machines.status_with(self.members[member.metadata.name], heal=None), now)

    @property
    def next_at(self) -> datetime | None:
        """When a machine comes online, or is gone, next."""
        return self._due[0][0] if self._due else None

    def advance(self, now: datetime) -> bool:
        """Let happen what is due by now; whether anything did."""
        happened = False
        while self._due and self._due[0][0] <= now:
            _, number, name, what = heapq.heappop(self._due)
            member = self.members.get(name)
            if member is None or self._awaited.get(name) != number:
                continue  # something else has come of the slot since
            happened = True
            if what == "gone":
                self._remove(name)
            elif what == "stopped" and member.status.phase == Phase.STOPPING:
                self._put(machines.stopped(member), now)
            elif what == "online" and member.status.phase in {Phase.PENDING, Phase.BOOTING}:
                self._put(machines.online(member, now), now)
        return happened

    def serving_count(self, now: datetime, *, for_at_least: timedelta = timedelta()) -> int:
        """How many slots do the layer's work, online for so long already and not on their way out."""
        since = now - for_at_least
        if self._youngest_at is None or self._youngest_at <= since:
            return len(self._serving)
        return sum(online_since <= since for online_since in self._serving.values())

    def moment(self, now: datetime) -> Moment:
        status = self.layer.status
        online = sum(member.status.phase == Phase.ONLINE for member in self.members.values())
        return Moment(now, status.desired, len(self._running), online, status.leaving, status.warm)

    # -- what becomes of one slot --------------------------------------------------------------------------------

    def _settle(self, member: Instance, now: datetime) -> None:
        phase, name = member.status.phase, member.metadata.name
        if member.metadata.deleting:
            self._later(member, "gone", now + self.assumptions.end)
        elif phase in {Phase.PENDING, Phase.BOOTING}:
            self._run(member, _launched_at(member) or now)
            self._later(member, "online", max(now, (_launched_at(member) or now) + self.assumptions.boot))
        elif phase in {Phase.ONLINE, Phase.CONNECTION_LOST}:
            self._run(member, _launched_at(member) or now)
        elif member.spec.power == "stopped":
            self._put(machines.stopped(self.members[name]), now)
        elif phase in _STARTS or member.status.ec2 is None:
            self._launch(member, now)
        else:
            self._power(member, "running", now)

    def _launch(self, slot: Instance, now: datetime) -> None:
        make = self._make(now)
        if make is None:
            self._put(slot, now)
            return
        slot = machines.launched(slot, make, f"{slot.metadata.name}/{next(self._numbers)}", now)
        self._put(slot, now)
        self._run(slot, now)
        self._later(slot, "online", now + self.assumptions.boot)

    def _replace(self, slot: Instance, now: datetime) -> None:
        """The slot's machine ends, and another one takes its place."""
        self._stop_paying(slot.metadata.name, now)
        self._launch(self.members[slot.metadata.name], now)

    def _delete(self, slot: Instance, now: datetime) -> None:
        self._stop_paying(slot.metadata.name, now)
        self._put(machines.deleting(slot, now), now)
        self._later(slot, "gone", now + self.assumptions.end)

    def _power(self, slot: Instance, power: Literal["running", "stopped"], now: datetime) -> None:
        if power == "stopped":
            self._stop_paying(slot.metadata.name, now)
            self._put(machines.stopping(slot), now)
            self._later(slot, "stopped", now + self.assumptions.stop)
        else:
            self._put(machines.starting(slot, now), now)
            self._run(slot, now)
            self._later(slot, "online", now + self.assumptions.warm_boot)

    def _put(self, slot: Instance, now: datetime) -> None:
        name = slot.metadata.name
        self.members[name] = slot
        self.facts[name] = machines.fact_of(slot, now)
        if machines.serves(slot):
            self._serving[name] = slot.status.online_since or now
        else:
            self._serving.pop(name, None)
        self._youngest_at = max(self._serving.values(), default=None)

    def _remove(self, name: str) -> None:
        del self.members[name], self.facts[name], self._awaited[name]

    def _later(self, slot: Instance, what: _Due, at: datetime) -> None:
        """The only thing that the slot waits for from now on."""
        number = self._awaited[slot.metadata.name] = next(self._numbers)
        heapq.heappush(self._due, (at, number, slot.metadata.name, what))

    def _run(self, slot: Instance, now: datetime) -> None:
        ec2 = slot.status.ec2
        run = MachineRun(slot.metadata.name, ec2.type if ec2 else "", ec2.lifecycle if ec2 else "on-demand", now)
        self._running[slot.metadata.name] = run
        self.runs.append(run)

    def _stop_paying(self, name: str, now: datetime) -> None:
        run = self._running.pop(name, None)
        if run is not None:
            run.ended_at = now

    # -- the template --------------------------------------------------------------------------------------------

    def _image(self, now: datetime) -> Known[ResolvedImage] | Unknown:
        """What the image came to; one that was never resolved is another than all there are."""
        if self.stack is None:
            return Unknown(reasons.STACK_NOT_FOUND)
        source = effective(self.stack, self.layer).image
        if source is None:
            return Unknown(reasons.TEMPLATE_INCOMPLETE, "neither the layer nor its stack says spec.instance.image")
        frozen = self.layer.status.image
        if frozen is not None and frozen.source == image_key(source):
            return Known(frozen)
        id_ = source.id or f"the AMI of {source.ssm_parameter}"
        return Known(ResolvedImage(source=image_key(source), id=id_, root_device_name="", resolved_at=now))

    def _make(self, now: datetime) -> Make | None:
        """None: nobody says how machines are made."""
        image = self._image(now)
        if self.stack is None or not isinstance(image, Known):
            return None
        template = effective(self.stack, self.layer)
        if missing_fields(template) or not template.types:
            return None
        return Make(template_digest(template, image.value), template.types[0])


def _launched_at(member: Instance) -> datetime | None:
    return member.status.ec2.launched_at if member.status.ec2 else None
