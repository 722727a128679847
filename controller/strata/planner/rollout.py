"""Which machines of a layer are outdated, and how they are renewed."""

from strata.planner.facts import Known
from strata.planner.layer_plan import LayerSnapshot
from strata.planner.template import effective, template_digest


def drifted(snapshot: LayerSnapshot) -> list[str]:
    """Names of members whose machine was made from another template, or is of a type that is no longer named."""
    if snapshot.stack is None or not isinstance(snapshot.image, Known):
        return []
    template = effective(snapshot.stack, snapshot.layer)
    wanted = template_digest(template, snapshot.image.value)
    types = template.types or ()
    return [
        m.metadata.name
        for m in snapshot.members
        if m.spec.availability == "layer"
        and m.status.template
        and m.status.ec2 is not None
        and (m.status.template != wanted or (m.status.ec2.type and m.status.ec2.type not in types))
    ]
