"""The templates that a layer had: which revision is the present one, and which are kept."""

import msgspec

from strata.planner.facts import Known
from strata.planner.layer_plan import LayerSnapshot, Revisions
from strata.planner.template import effective, missing_fields, template_digest
from strata.resources.codec import to_plain
from strata.resources.digest import digest
from strata.resources.revision import LayerRevision, LayerRevisionSpec
from strata.resources.stack import ImageSource

KEPT = 10
_VERSION = "r1"  # of the digest in a revision's name


def plan_revisions(snapshot: LayerSnapshot) -> Revisions:
    """Write down a template that is the present one for the first time, or again; forget those beyond ten.

    One that comes back gets a new number: the highest is always the present one.
    """
    known = sorted(snapshot.revisions, key=_number, reverse=True)
    newest = known[0] if known else None
    if snapshot.stack is None or not isinstance(snapshot.image, Known):
        return Revisions(number=_number(newest) if newest else 0)
    template, image = effective(snapshot.stack, snapshot.layer), snapshot.image.value
    if missing_fields(template):
        return Revisions(number=_number(newest) if newest else 0)
    whole = msgspec.structs.replace(template, image=ImageSource(id=image.id))
    name = f"{snapshot.layer.metadata.name}-{digest(to_plain(whole), version=_VERSION)}"
    if newest is not None and newest.metadata.name == name:
        return Revisions(number=_number(newest), forget=tuple(known[KEPT:]))
    number = _number(newest) + 1 if newest else 1
    spec = LayerRevisionSpec(
        layer=snapshot.layer.metadata.name,
        revision=number,
        template=template_digest(template, image),
        instance=whole,
    )
    others = [one for one in known if one.metadata.name != name]
    return Revisions(number=number, write=(name, spec), forget=tuple(others[KEPT - 1 :]))


def _number(revision: LayerRevision) -> int:
    return revision.spec.revision
