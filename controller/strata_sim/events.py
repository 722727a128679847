"""What EventBridge says of instances: the bodies that a rule hands to a queue."""

import json
from datetime import datetime
from typing import Any, Final

STATE_CHANGE: Final = "EC2 Instance State-change Notification"
INTERRUPTION: Final = "EC2 Spot Instance Interruption Warning"
REBALANCE: Final = "EC2 Instance Rebalance Recommendation"


def state_change(place: "Place", instance_id: str, state: str) -> str:
    return _body(place, STATE_CHANGE, instance_id, {"instance-id": instance_id, "state": state})


def interruption(place: "Place", instance_id: str) -> str:
    return _body(place, INTERRUPTION, instance_id, {"instance-id": instance_id, "instance-action": "terminate"})


def rebalance(place: "Place", instance_id: str) -> str:
    return _body(place, REBALANCE, instance_id, {"instance-id": instance_id})


class Place:
    """Where and when an event happens. `number` makes its id."""

    __slots__ = ("account_id", "at", "number", "region")

    def __init__(self, account_id: str, region: str, at: datetime, number: int) -> None:
        self.account_id = account_id
        self.region = region
        self.at = at
        self.number = number


def _body(place: Place, detail_type: str, instance_id: str, detail: dict[str, Any]) -> str:
    return json.dumps(
        {
            "version": "0",
            "id": f"{place.number:08x}-0000-4000-9000-000000000000",
            "detail-type": detail_type,
            "source": "aws.ec2",
            "account": place.account_id,
            "time": f"{place.at:%Y-%m-%dT%H:%M:%SZ}",
            "region": place.region,
            "resources": [f"arn:aws:ec2:{place.region}:{place.account_id}:instance/{instance_id}"],
            "detail": detail,
        }
    )
