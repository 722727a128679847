"""LayerRevision: a template that a layer had, kept so that it can be had again. Written by the controller alone."""

from strata.resources.meta import ObjectMeta, Record
from strata.resources.stack import InstanceTemplate


class LayerRevisionSpec(Record, frozen=True, kw_only=True):
    """`revision` counts up: the highest of a layer is the present one. `instance` is the whole template, the stack's
    defaults included, with its image as an id. `template` is the digest that machines made from it carry."""

    layer: str
    revision: int
    template: str
    instance: InstanceTemplate


class LayerRevisionStatus(Record, frozen=True, kw_only=True):
    """Nothing happens to a revision."""


class LayerRevision(Record, frozen=True, kw_only=True, omit_defaults=False):
    """metadata.name is `LAYER-DIGEST`, of everything in `spec.instance`."""

    api_version: str
    kind: str
    metadata: ObjectMeta
    spec: LayerRevisionSpec
    status: LayerRevisionStatus = LayerRevisionStatus()
