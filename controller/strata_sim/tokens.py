"""Client tokens: which launch a token stands for, and until when EC2 remembers it."""

import hashlib
import json
from dataclasses import dataclass

from strata_sim.errors import Ec2Error
from strata_sim.machines import Instance
from strata_sim.shapes import Params

REMEMBERED_S = 86400.0  # after the last of the launch's machines is terminated
_NOT_COMPARED = ("ClientToken", "DryRun")


@dataclass(frozen=True, slots=True)
class Launched:
    """What was made under a token."""

    fingerprint: str
    reservation_id: str
    instances: tuple[Instance, ...]


class TokenLedger:
    """Launches by (token, zone): the same token in another zone is another launch. A launch that failed is not here,
    so the same token may try again."""

    def __init__(self) -> None:
        self._launched: dict[tuple[str, str], Launched] = {}

    def repeat_of(self, token: str, zone: str, params: Params, now_s: float) -> Launched | None:
        """The launch that these parameters repeat, or None if they ask for a new one. Raises Ec2Error."""
        found = self._launched.get((token, zone)) if token else None
        if found is None:
            return None
        if _forgotten(found, now_s):
            del self._launched[token, zone]
            return None
        if found.fingerprint != fingerprint(params):
            raise Ec2Error(
                "IdempotentParameterMismatch",
                f"Arguments on this idempotent request are inconsistent with arguments used in previous request(s). "
                f"(ClientToken {token})",
            )
        if all(instance.view.state == "terminated" for instance in found.instances):
            raise Ec2Error(
                "IdempotentInstanceTerminated", f"The instances launched with the client token {token} are terminated"
            )
        return found

    def record(self, token: str, zone: str, launched: Launched) -> None:
        if token:
            self._launched[token, zone] = launched


def fingerprint(params: Params) -> str:
    """Equal for equal requests: every parameter counts, MinCount and MaxCount too, but for the token itself."""
    compared = {name: value for name, value in params.items() if name not in _NOT_COMPARED}
    return hashlib.sha256(json.dumps(compared, sort_keys=True).encode()).hexdigest()


def _forgotten(launched: Launched, now_s: float) -> bool:
    views = [instance.view for instance in launched.instances]
    return all(view.state == "terminated" and now_s - view.at_s > REMEMBERED_S for view in views)
