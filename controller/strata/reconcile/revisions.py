"""LayerRevisions as objects: made in the Layer pass's transaction, and gone when their layer is."""

import random
import uuid
from collections.abc import Iterable
from datetime import datetime

import msgspec

from strata.planner.layer import LAYER_LABEL
from strata.planner.layer_plan import Revisions
from strata.reconcile.objects import Objects, Stored
from strata.resources import kinds
from strata.resources.codec import encode
from strata.resources.kinds import ObjectKey
from strata.resources.layer import Layer
from strata.resources.meta import API_VERSION, ObjectMeta, OwnerReference
from strata.resources.revision import LayerRevision
from strata.store.repository import Repository, Write

_FORGET_A_PASS = 4  # a transaction holds only so much, and ever only one is too many


def revision_writes(
    layer: Layer, plan: Revisions, objects: Objects, *, now: datetime, rng: random.Random
) -> Iterable[Write]:
    """What the plan does to the layer's revisions, for the transaction that also writes the layer."""
    namespace = layer.metadata.namespace
    for old in plan.forget[:_FORGET_A_PASS]:
        stored = objects.revision(namespace, old.metadata.name)
        if stored is not None:
            yield stored.write(None)
    if plan.write is None:
        return
    name, spec = plan.write
    key = kinds.LAYER_REVISION.key(name, namespace)
    known = objects.revision(namespace, name)
    if known is not None and not objects.owner_gone(known.object.metadata):
        metadata = msgspec.structs.replace(known.object.metadata, generation=known.object.metadata.generation + 1)
    else:
        metadata = _metadata(layer, name, now, rng)
    revision = LayerRevision(api_version=API_VERSION, kind="LayerRevision", metadata=metadata, spec=spec)
    # Also over one that nobody can read: nobody else writes them, and all that is in it is known here.
    yield Write(key, encode(revision), objects.mod_revision_at(key))


def _metadata(layer: Layer, name: str, now: datetime, rng: random.Random) -> ObjectMeta:
    owner = OwnerReference(
        api_version=API_VERSION, kind="Layer", name=layer.metadata.name, uid=layer.metadata.uid, controller=True
    )
    return ObjectMeta(
        name=name,
        namespace=layer.metadata.namespace,
        uid=str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        generation=1,
        creation_timestamp=now.replace(microsecond=0),
        owner_references=(owner,),
        labels={LAYER_LABEL: layer.metadata.name},
    )


class RevisionPass:
    """Reconciles one LayerRevision: it goes once its layer is gone. Keeps no state."""

    def __init__(self, objects: Objects, repository: Repository) -> None:
        self._objects = objects
        self._repository = repository

    async def reconcile(self, key: ObjectKey) -> None:
        """Raises what the store raised."""
        stored: Stored[LayerRevision] | None = self._objects.revision(key.namespace, key.name)
        if stored is not None and self._objects.owner_gone(stored.object.metadata):
            await self._repository.commit([stored.write(None)])
