"""Namespaces: every Stack is one. Read-only: they come and go with their Stacks."""

from strata.resources.kinds import STACK
from strata.resources.schema import Column
from strata.server.resource import AGE, Document, Resource

_SHOWN = ("name", "uid", "creationTimestamp", "deletionTimestamp", "labels")


def _show(stack: Document) -> Document:
    metadata = stack["metadata"]
    shown = {name: metadata[name] for name in _SHOWN if metadata.get(name)}
    phase = "Terminating" if metadata.get("deletionTimestamp") else "Active"
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": shown, "spec": {}, "status": {"phase": phase}}


NAMESPACES = Resource(
    group="",
    version="v1",
    plural="namespaces",
    singular="namespace",
    kind="Namespace",
    namespaced=False,
    prefix=STACK.prefix(),
    show=_show,
    columns=(Column("Status", "string", ".status.phase", description="Active or Terminating"), AGE),
    selectable=frozenset({"metadata.name", "status.phase"}),
    short_names=("ns",),
)
