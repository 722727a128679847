"""The kinds, and where their objects stand in the store."""

from dataclasses import dataclass

from strata.resources.event import Event
from strata.resources.instance import Instance
from strata.resources.launch import Launch
from strata.resources.layer import Layer
from strata.resources.meta import Record
from strata.resources.revision import LayerRevision
from strata.resources.stack import Stack

ROOT = "/strata/"
OBJECTS = f"{ROOT}objects/"  # what reconcilers watch: one stream, so that one revision orders all kinds
EVENTS = f"{ROOT}events/"
ORPHANS = f"{ROOT}orphans/"
CLUSTER_KEY = f"{ROOT}cluster"
LEADER_KEY = f"{ROOT}leader"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object. `served` kinds have a CustomResourceDefinition in crds/ and an endpoint; clients write those
    that are `writable`."""

    kind: str
    plural: str
    record: type[Record]
    namespaced: bool
    served: bool = True
    writable: bool = True

    def key(self, name: str, namespace: str = "") -> str:
        """The store's key of this object."""
        return f"{self.prefix(namespace)}{name}"

    def prefix(self, namespace: str = "") -> str:
        """The store's prefix of all objects of this kind, or of those in one namespace."""
        return f"{OBJECTS}{self.plural}/{namespace}/" if namespace else f"{OBJECTS}{self.plural}/"


STACK = Kind("Stack", "stacks", Stack, namespaced=False)
LAYER = Kind("Layer", "layers", Layer, namespaced=True)
INSTANCE = Kind("Instance", "instances", Instance, namespaced=True)
LAYER_REVISION = Kind("LayerRevision", "layerrevisions", LayerRevision, namespaced=True, writable=False)
LAUNCH = Kind("Launch", "launches", Launch, namespaced=True, served=False)
EVENT = Kind("Event", "events", Event, namespaced=True, served=False)

BY_PLURAL = {kind.plural: kind for kind in (STACK, LAYER, INSTANCE, LAYER_REVISION, LAUNCH)}
SERVED = (STACK, LAYER, INSTANCE, LAYER_REVISION)


@dataclass(frozen=True, slots=True)
class ObjectKey:
    """Which object: what queues hold and log lines say."""

    kind: Kind
    name: str
    namespace: str = ""

    @property
    def store_key(self) -> str:
        return self.kind.key(self.name, self.namespace)

    def __str__(self) -> str:
        path = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind.kind.lower()}/{path}"


def parse_store_key(key: str) -> ObjectKey | None:
    """The object that stands at this key of the store; None for a key that is none."""
    if not key.startswith(OBJECTS):
        return None
    plural, *path = key.removeprefix(OBJECTS).split("/")
    kind = BY_PLURAL.get(plural)
    if kind is None or len(path) != (2 if kind.namespaced else 1):
        return None
    return ObjectKey(kind, path[-1], path[0] if kind.namespaced else "")
