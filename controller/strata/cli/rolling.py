"""How far a layer's rollout is, as sentences; and which of its templates is which. Prints nothing."""

from dataclasses import dataclass
from typing import Any

from strata.cli.fields import dig, find_condition
from strata.cli.kinds import LAYER, REVISION
from strata.cli.output import label_of
from strata.cli.session import Session
from strata.resources import reasons

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Progress:
    """`done`: every machine is of the present template, and enough are online. `failed`: it stands still."""

    text: str
    done: bool = False
    failed: bool = False


def progress_of(layer: Json) -> Progress:
    """What a layer's status says of its rollout, if it speaks of the newest spec already."""
    label = label_of(LAYER, layer["metadata"]["name"])
    rollout = dig(layer, "status", "rollout")
    if (dig(layer, "status", "observedGeneration") or 0) < layer["metadata"].get("generation", 0):
        return Progress(f"waiting for the controller to see the last change of {label}")
    if rollout is None:
        return Progress(f"waiting for the controller to find the template of {label}: {_ready(layer)}")
    moving = find_condition(layer, "Progressing")
    if moving and moving.get("reason") == reasons.ROLLOUT_STALLED:
        return Progress(f"the rollout of {label} stands still: {moving.get('message')}", failed=True)
    renewed = f"{rollout.get('updated', 0)} of {rollout.get('total', 0)} of {label} are renewed"
    if rollout.get("outdated"):
        held = f"; held: {rollout['message']}" if rollout.get("message") else ""
        return Progress(f"{renewed}, {rollout['outdated']} outdated{held}")
    ready = find_condition(layer, "Ready")
    if not ready or ready["status"] != "True":
        return Progress(f"{renewed}; waiting for them: {_ready(layer)}")
    return Progress(f"{label} is rolled out: {ready.get('message')}", done=True)


def renewal_of(layer: Json) -> str | None:
    """`2 of 3 are renewed, 1 outdated (maxSurge 1, maxUnavailable 0)`; None where nothing is to be renewed."""
    rollout, update = dig(layer, "status", "rollout") or {}, dig(layer, "spec", "update") or {}
    if not rollout.get("outdated"):
        return None
    if update.get("strategy") == "OnDelete":
        return f"{rollout['outdated']} outdated; each is renewed when somebody deletes its Instance (OnDelete)"
    budget = f"maxSurge {update.get('maxSurge')}, maxUnavailable {update.get('maxUnavailable')}"
    done, total = rollout.get("updated", 0), rollout.get("total", 0)
    return f"{done} of {total} are renewed, {rollout['outdated']} outdated ({budget})"


def _ready(layer: Json) -> str:
    ready = find_condition(layer, "Ready") or {}
    return ": ".join(part for part in (ready.get("reason"), ready.get("message")) if part) or "not judged yet"


def revisions_of(session: Session, layer: Json) -> list[Json]:
    """The layer's templates, oldest first."""
    collection = REVISION.collection(layer["metadata"]["namespace"])
    items = session.client.list(collection)["items"]
    own = [one for one in items if _owner(one) == layer["metadata"]["uid"]]
    return sorted(own, key=number_of)


def number_of(revision: Json) -> int:
    number: int = revision["spec"]["revision"]
    return number


def _owner(revision: Json) -> str:
    owners = revision["metadata"].get("ownerReferences") or [{}]
    return str(owners[0].get("uid"))
