"""What `describe` and `why` say of one slot: how its machine was bought, and how it goes. Prints nothing."""

from datetime import datetime, timedelta
from typing import Any

from strata.cli import ages
from strata.cli.failures import ApiFailure
from strata.cli.fields import dig
from strata.cli.kinds import LAYER
from strata.cli.session import Session
from strata.resources.duration import parse_duration

Json = dict[str, Any]

_THEN = {"delete": "ends", "stop": "is stopped, and kept warm", "replace": "is replaced under its name"}


def layer_of(session: Session, instance: Json) -> Json | None:
    """The layer that an Instance belongs to first; None where it is gone."""
    layers = dig(instance, "spec", "layers") or []
    if not layers:
        return None
    try:
        return session.client.get(LAYER.path(layers[0], instance["metadata"]["namespace"]))
    except ApiFailure as failure:
        if not failure.not_found:
            raise
        return None


def bought(ec2: Json) -> str:
    """How EC2 was asked for a machine."""
    if ec2.get("fallback"):
        return "on-demand, for want of spot capacity"
    return str(ec2.get("lifecycle") or "on-demand")


def is_older(instance: Json, layer: Json | None) -> bool:
    """Whether its machine is made from another template than its layer's present one."""
    made_from, present = dig(instance, "status", "template"), dig(layer or {}, "status", "rollout", "template")
    return bool(made_from and present and made_from != present)


def leave_of(instance: Json, layer: Json | None, now: datetime) -> str | None:
    """`ScaledIn: 3 wanted, 4 there; ends in 95s`; None for one that stays, or goes
    already."""
    leave = dig(instance, "status", "leave")
    if not leave or instance["metadata"].get("deletionTimestamp"):
        return None
    then = _THEN[leave.get("then") or "delete"]
    return f"{leave['reason']}: {leave['message']}; {then} {_when(instance, leave, layer, now)}"


def _when(instance: Json, leave: Json, layer: Json | None, now: datetime) -> str:
    marked_at = ages.parse_time(leave.get("markedAt"))
    if leave.get("drained") or marked_at is None:
        return "now"
    left_s = (marked_at + _span(instance, layer) - now).total_seconds()
    return f"in {ages.human(left_s)}" if left_s > 0 else "as soon as the others can do without it"


def _span(instance: Json, layer: Json | None) -> timedelta:
    """How long its machine runs on."""
    shutdown = dig(layer or {}, "spec", "shutdown") or {}
    runs_on = shutdown.get("drain", True) and dig(instance, "status", "onlineSince")
    return parse_duration(shutdown.get("timeout") or "0s") if runs_on else timedelta()
