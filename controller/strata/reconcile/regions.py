"""The regions in use: for each region and endpoint, one observer, launcher, reaper and set of caches."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from strata.cloud.port import Cloud
from strata.engine.supervisor import Supervisor
from strata.errors import CloudError
from strata.planner.facts import MachineFact, Unknown
from strata.planner.instance import assigned
from strata.reconcile.cloud_signals import CloudSignals
from strata.reconcile.event_reader import EventReader
from strata.reconcile.images import Images
from strata.reconcile.launcher import Launcher
from strata.reconcile.mutations import Mutations
from strata.reconcile.objects import Objects, Stored
from strata.reconcile.observer import RegionObserver
from strata.reconcile.reaper import Reaper
from strata.reconcile.subnets import Subnets
from strata.resources import reasons
from strata.resources.instance import Instance
from strata.resources.launch import Launch
from strata.resources.stack import Stack

Where = tuple[str, str | None]  # region, endpoint's name


@dataclass(slots=True, kw_only=True)
class Region:
    """All that acts on one region."""

    where: Where
    cloud: Cloud
    observer: RegionObserver
    mutations: Mutations
    launcher: Launcher
    reaper: Reaper
    images: Images
    subnets: Subnets
    signals: CloudSignals
    reader: EventReader | None


def where(stack: Stack) -> Where:
    return (stack.spec.region, stack.spec.endpoint)


def name_of(place: Where) -> str:
    """A place as logs, metrics and the cluster's identity have it."""
    return place[0] if place[1] is None else f"{place[0]}@{place[1]}"


def place_of(name: str) -> Where:
    """The place that name_of() gave this name."""
    region, _, endpoint = name.partition("@")
    return (region, endpoint or None)


class Regions:
    """Makes a region when the first stack names it, and keeps it for the leadership."""

    def __init__(self, make: Callable[[Where], Region], supervisor: Supervisor) -> None:
        self._make = make
        self._supervisor = supervisor
        self._regions: dict[Where, Region] = {}

    def ensure(self, place: Where) -> Region | Unknown:
        """The region, started; or why it cannot be (an endpoint that the settings do not name)."""
        region = self._regions.get(place)
        if region is not None:
            return region
        try:
            region = self._make(place)
        except CloudError as error:
            return Unknown(error.kind.value, error.message)
        self._regions[place] = region
        name = name_of(place)
        self._supervisor.add(f"observer {name}", region.observer.run)
        self._supervisor.add(f"mutations {name}", region.mutations.run)
        self._supervisor.add(f"launcher {name}", region.launcher.run)
        self._supervisor.add(f"reaper {name}", region.reaper.run)
        self._supervisor.add(f"signals {name}", region.signals.run)
        if region.reader is not None:
            self._supervisor.add(f"events {name}", region.reader.run)
        return region

    def of(self, stack: Stored[Stack] | None, launch: Stored[Launch] | None = None) -> Region | Unknown:
        """Where a stack's machines are; a launch knows it too, should its stack's object be lost."""
        if stack is not None:
            return self.ensure(where(stack.object))
        if launch is not None:
            return self.ensure((launch.object.spec.region, launch.object.spec.endpoint))
        return Unknown(reasons.STACK_NOT_FOUND, "there is no Stack that says where")

    def all(self) -> Iterable[Region]:
        return tuple(self._regions.values())


def fact_of(region: Region | Unknown, instance: Instance, launch: Launch | None) -> MachineFact:
    """What is known of the machine that fills this slot."""
    if isinstance(region, Unknown):
        return region
    instance_id = assigned(instance, launch)
    if instance_id:
        return region.observer.fact(instance_id, unwanted=instance.metadata.deleting)
    if launch is None and instance.status.launch is not None:
        return region.observer.lost_launch(instance.status.launch.launch_id)
    return Unknown(reasons.UNKNOWN, "no machine is assigned")


class StackListener:
    """Tells a region's observer which machines matter, from the cache, and passes on what it saw."""

    def __init__(
        self,
        place: Where,
        objects: Objects,
        *,
        on_changed: Callable[[set[str]], None],
        on_reachability: Callable[[Where], None],
        on_swept: Callable[[Where], None],
    ) -> None:
        self._place = place
        self._objects = objects
        self._on_changed = on_changed
        self._on_reachability = on_reachability
        self._on_swept = on_swept

    def stacks(self) -> list[Stored[Stack]]:
        return [stored for stored in self._objects.stacks() if where(stored.object) == self._place]

    def expected(self) -> Iterable[str]:
        for stack in self.stacks():
            yield from self._ids(self._objects.instances(stack.object.metadata.name))

    def unsettled(self) -> Iterable[str]:
        for stack in self.stacks():
            yield from self._ids(self._objects.unsettled(stack.object.metadata.name))

    def changed(self, instance_ids: set[str]) -> None:
        self._on_changed(instance_ids)

    def reachability_changed(self) -> None:
        self._on_reachability(self._place)

    def swept(self) -> None:
        self._on_swept(self._place)

    def _ids(self, instances: Iterable[Stored[Instance]]) -> Iterable[str]:
        for stored in instances:
            instance = stored.object
            ref = instance.status.launch
            launch = self._objects.launch(instance.metadata.namespace, ref.launch_id) if ref else None
            instance_id = assigned(instance, launch.object if launch else None)
            if instance_id:
                yield instance_id
