"""What becomes of Instances that people make by hand: no layer counts them, so their own wishes are all there is."""

from datetime import datetime

from strata.planner.forecast.timeline import Step, Verb
from strata.resources.instance import Instance

_REASON = "HandMade"


def hand_made_steps(before: Instance | None, after: Instance, now: datetime) -> list[Step]:
    """What changes for the machine of such an Instance once it is as `after` has it. `before` None: it is new."""
    was = "" if before is None else before.spec.power
    verbs: dict[tuple[str, str], Verb] = {
        ("", "running"): "make",
        ("stopped", "running"): "start" if after.status.ec2 else "make",
        ("running", "stopped"): "stop",
    }
    verb = verbs.get((was, after.spec.power))
    why = f"made by hand, spec.power is {after.spec.power}"
    return [] if verb is None else [Step(now, verb, (after.metadata.name,), _REASON, why)]
