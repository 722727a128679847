"""A new slot of a layer, as an object."""

import random
import uuid
from datetime import datetime

from strata.planner.layer import LAYER_LABEL
from strata.resources.instance import Instance, InstanceSpec
from strata.resources.layer import Layer
from strata.resources.machine import Market
from strata.resources.meta import API_VERSION, FINALIZER, ObjectMeta, OwnerReference


def new_slot(layer: Layer, name: str, zone: str, market: Market, *, now: datetime, rng: random.Random) -> Instance:
    """An Instance of this layer. It has our finalizer from birth, so that it cannot go before its machine."""
    owner = OwnerReference(
        api_version=API_VERSION,
        kind="Layer",
        name=layer.metadata.name,
        uid=layer.metadata.uid,
        controller=True,
        block_owner_deletion=True,
    )
    return Instance(
        api_version=API_VERSION,
        kind="Instance",
        metadata=ObjectMeta(
            name=name,
            namespace=layer.metadata.namespace,
            uid=str(uuid.UUID(int=rng.getrandbits(128), version=4)),
            generation=1,
            creation_timestamp=now.replace(microsecond=0),
            finalizers=(FINALIZER,),
            owner_references=(owner,),
            labels={LAYER_LABEL: layer.metadata.name},
        ),
        spec=InstanceSpec(layers=(layer.metadata.name,), zone=zone, market=market, availability="layer"),
    )
