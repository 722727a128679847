"""Which keys a change concerns. Level-triggered: it queues names, and forgets what happened.

News, which wakes a key from its backoff, is what people want (a spec's generation, a deletion), what EC2 says of a
machine, what came of a launch, and what another pass orders (a mark). A status that changed is not: most of them are
the failing pass's own.
"""

from strata.engine.informer import Change
from strata.engine.queue import Priority, WorkQueue
from strata.reconcile.layer_metrics import LayerTally
from strata.reconcile.objects import Objects
from strata.reconcile.regions import Regions, Where, where
from strata.resources import kinds
from strata.resources.instance import HealMark, Instance, LaunchRef, Leave
from strata.resources.kinds import ObjectKey
from strata.resources.launch import Launch
from strata.resources.layer import Layer
from strata.resources.meta import Record, is_true
from strata.resources.stack import Stack

_LAYER_AFTER_S = 0.05  # a layer looks at its slots once they have settled for a moment
_STACK_AFTER_S = 0.5  # likewise the stack's roll-up


class Routing:
    """Callbacks of the informer and the observers. All are synchronous and quick."""

    def __init__(self, queue: WorkQueue[ObjectKey], objects: Objects, regions: Regions, tally: LayerTally) -> None:
        self._queue = queue
        self._objects = objects
        self._regions = regions
        self._tally = tally

    def on_change(self, change: Change[Record]) -> None:
        """An object came, changed or went."""
        key = kinds.parse_store_key(change.key)
        if key is None:
            return
        priority = Priority.LOW if change.replay else Priority.NORMAL
        old = change.old.obj if change.old else None
        new = change.new.obj if change.new else None
        if key.kind is not kinds.LAUNCH:
            self._queue.add(key, priority, news=not change.replay and _is_news(old, new))
        obj = new if new is not None else old
        if isinstance(obj, Stack):
            self._on_stack(key, old, new, priority)
        elif isinstance(obj, Layer):
            self._on_layer(key, old, new, priority)
        elif isinstance(obj, Instance):
            self._on_instance(obj)
        elif isinstance(obj, Launch):
            self._on_launch(obj, priority)

    def on_machines(self, instance_ids: set[str]) -> None:
        """EC2 says other things of these machines than before."""
        for instance_id in instance_ids:
            for stored in self._objects.by_machine(instance_id):
                metadata = stored.object.metadata
                self._queue.add(ObjectKey(kinds.INSTANCE, metadata.name, metadata.namespace), news=True)
                self._queue_layers(stored.object)

    def on_reachability(self, place: Where) -> None:
        """A region can be read again, or no more."""
        for stack in self._objects.stacks():
            if where(stack.object) == place:
                self._queue.add(ObjectKey(kinds.STACK, stack.object.metadata.name), news=True)

    def on_swept(self, place: Where) -> None:
        for region in self._regions.all():
            if region.where == place:
                region.launcher.swept()
                region.reaper.swept()

    def _on_stack(self, key: ObjectKey, old: Record | None, new: Record | None, priority: Priority) -> None:
        """Only what people wrote concerns the children; the roll-up does not."""
        if isinstance(old, Stack) and isinstance(new, Stack) and _same_wish(old, new):
            return
        for layer in self._objects.layers(key.name):
            self._queue.add(ObjectKey(kinds.LAYER, layer.object.metadata.name, key.name), priority, news=True)
        for instance in self._objects.instances(key.name):
            self._queue.add(ObjectKey(kinds.INSTANCE, instance.object.metadata.name, key.name), priority, news=True)
        self._poke()

    def _on_layer(self, key: ObjectKey, old: Record | None, new: Record | None, priority: Priority) -> None:
        self._queue.add_after(ObjectKey(kinds.STACK, key.namespace), _STACK_AFTER_S)
        if new is None:
            self._tally.forget(key.namespace, key.name)
            for revision in self._objects.revisions(key.namespace, key.name):
                name = revision.object.metadata.name
                self._queue.add(ObjectKey(kinds.LAYER_REVISION, name, key.namespace), priority, news=True)
        if isinstance(old, Layer) and isinstance(new, Layer) and _same_wish(old, new):
            if old.status.image != new.status.image:
                self._poke()
            if _is_protected(old) == _is_protected(new):
                return
        for member in self._objects.members(key.namespace, key.name):
            slot = ObjectKey(kinds.INSTANCE, member.object.metadata.name, key.namespace)
            self._queue.add(slot, priority, news=True)
        self._poke()

    def _on_instance(self, instance: Instance) -> None:
        self._queue_layers(instance)
        self._queue.add_after(ObjectKey(kinds.STACK, instance.metadata.namespace), _STACK_AFTER_S)
        if instance.status.launch is None:
            self._poke()

    def _on_launch(self, launch: Launch, priority: Priority) -> None:
        for member in launch.spec.members:
            self._queue.add(ObjectKey(kinds.INSTANCE, member.name, launch.metadata.namespace), priority, news=True)
        if launch.status.state == "sealed":
            self._poke()
        else:
            self._queue.add_after(ObjectKey(kinds.STACK, launch.metadata.namespace), _STACK_AFTER_S)

    def _queue_layers(self, instance: Instance) -> None:
        for layer in instance.spec.layers:
            self._queue.add_after(ObjectKey(kinds.LAYER, layer, instance.metadata.namespace), _LAYER_AFTER_S)

    def _poke(self) -> None:
        for region in self._regions.all():
            region.launcher.poke()


def _is_news(old: Record | None, new: Record | None) -> bool:
    """Whether the object came, went, or changed otherwise than by a pass's report of it."""
    if isinstance(old, Stack | Layer) and isinstance(new, Stack | Layer):
        return not _same_wish(old, new)
    if isinstance(old, Instance) and isinstance(new, Instance):
        return not (_same_wish(old, new) and _orders(old) == _orders(new))
    return True


def _is_protected(layer: Layer) -> bool:
    """Orders to end machines that run wait for as long as it is."""
    return is_true(layer.status.conditions, "Protected")


def _orders(instance: Instance) -> tuple[HealMark | None, Leave | None, LaunchRef | None]:
    """What others write into an Instance's status: the Layer pass its mark and its order to leave, the launcher which
    launch it is in."""
    status = instance.status
    return (status.heal, status.leave, status.launch)


def _same_wish(old: Stack | Layer | Instance, new: Stack | Layer | Instance) -> bool:
    return (
        old.metadata.generation == new.metadata.generation
        and old.metadata.deletion_timestamp == new.metadata.deletion_timestamp
    )
