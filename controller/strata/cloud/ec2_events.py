"""EventBridge's events of EC2 as a queue hands them over, read without trust: whatever a message says, it says no more
than where to look."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

EventKind = Literal["state-change", "interruption", "rebalance"]
Refused = Literal["foreign", "malformed"]  # somebody else's, or nothing that anybody could read

_KINDS: Final[dict[str, EventKind]] = {
    "EC2 Instance State-change Notification": "state-change",
    "EC2 Spot Instance Interruption Warning": "interruption",
    "EC2 Instance Rebalance Recommendation": "rebalance",
}
_INSTANCE_ID: Final = re.compile(r"i-[0-9a-f]{8,17}")


@dataclass(frozen=True, slots=True)
class Ec2Event:
    """Something happened to this instance. `state` is the new one of a state change, else ""."""

    kind: EventKind
    instance_id: str
    at: datetime
    state: str = ""


class _Envelope(msgspec.Struct, rename="kebab"):
    detail_type: str
    source: str
    region: str
    time: datetime
    detail: dict[str, Any]


_envelopes = msgspec.json.Decoder(_Envelope)


def read_event(body: str, *, region: str) -> Ec2Event | Refused:
    """The event in a message's body. Total: a body is anything at all."""
    try:
        envelope = _envelopes.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return "malformed"
    kind = _KINDS.get(envelope.detail_type)
    if kind is None or envelope.source != "aws.ec2" or envelope.region != region:
        return "foreign"
    instance_id, state = envelope.detail.get("instance-id"), envelope.detail.get("state", "")
    if not isinstance(instance_id, str) or not _INSTANCE_ID.fullmatch(instance_id):
        return "malformed"
    if not isinstance(state, str) or envelope.time.tzinfo is None:
        return "malformed"
    return Ec2Event(kind, instance_id, envelope.time, state)
