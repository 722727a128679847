"""Which machines the records account for: whose they are, or may be. Reads, and decides nothing."""

from collections.abc import Iterable

from strata.planner.orphans import Accounted
from strata.reconcile.objects import Objects
from strata.resources import kinds
from strata.resources.codec import decode_object
from strata.resources.instance import Instance
from strata.resources.launch import Launch
from strata.store.port import KeyValue


def has_machines(place: tuple[str, str | None], objects: Objects) -> bool:
    """Whether any record says that machines were made there."""
    launches = (stored.object for stored in objects.launches())
    return any((one.spec.region, one.spec.endpoint) == place and one.status.state == "assigned" for one in launches)


def accounted(launches: Iterable[Launch], instances: Iterable[Instance], unreadable: Iterable[bytes]) -> Accounted:
    """By launches, by slots (for what their status remembers), and by whatever is written in what nobody can decode."""
    launch_ids: set[str] = set()
    instance_ids: set[str] = set()
    for launch in launches:
        launch_ids.add(launch.metadata.name)
        instance_ids.update(assignment.instance_id for assignment in launch.status.assignments)
    for instance in instances:
        if instance.status.launch is not None:
            launch_ids.add(instance.status.launch.launch_id)
        if instance.status.ec2 is not None:
            instance_ids.add(instance.status.ec2.instance_id)
    return Accounted(frozenset(launch_ids), frozenset(instance_ids), tuple(unreadable))


def readable(items: Iterable[KeyValue]) -> tuple[list[Launch], list[bytes]]:
    """The Launches among these records, and the key and value of each that cannot be decoded."""
    launches: list[Launch] = []
    unreadable: list[bytes] = []
    for kv in items:
        try:
            launch: Launch = decode_object(kinds.LAUNCH, kv.value, mod_revision=kv.mod_revision)  # type: ignore[assignment]  # of this kind
            launches.append(launch)
        except Exception:  # noqa: BLE001 - whatever is wrong with it, the informer has said it
            unreadable.append(kv.key.encode() + kv.value)
    return launches, unreadable
