"""The bodies that the admin API takes, and the rows that it gives.

Every body and query may name a `region`; else it is the world's first. A wrong body is 400 {"error": "why"}.
A selector is {"ids": ["i-..."], "tags": {"KEY": "VALUE" or null for any}}: by id, by tag, or both.

    GET /_sim/health        {"ok": true, "calls": 12}
    GET /_sim/world         {"accountId", "regions": [{name, vpcs, subnets, images, types, parameters, ...}], "delays",
                             "lag", "limits", "throttle": 1.0 or null, "latency_s",
                             "capacity": [{type, zone, market, count}]}
    GET /_sim/instances     {"instances": [{instanceId, state, reason, type, zone, subnetId, imageId, privateIp,
                             publicIp, lifecycle, launchedAt, clientToken, checks: {instance, system, ebs}, protected,
                             tags}]}, as they are (no lag); ?state=running&state=pending&tag=KEY=VALUE&tag=... narrows
    GET /_sim/lives         {"lives": [{instanceId, clientToken, reservationId, zone, type, madeAt_s, madeBy,
                             endedAt_s, endedBy, tags}], "doubled": {token: [reservation, ...]}}: all that ever was
    GET /_sim/calls?since=N {"calls": [{number, at, at_s, region, caller, action, token, parameters, code, answered,
                             made, ended, touched}], "last": M}: those after number N, at most 10,000

    GET /_sim/loads         {"loads": [{stack, layer, load: {mean, amplitude, period_s}, total, running, cpuPercent,
                             queue}]}
    GET /_sim/clock         {"now"}: the wall time of the world

    POST /_sim/terminate    selector, "reason": "Client.UserInitiatedShutdown"            -> {"ids": [...]}
    POST /_sim/stop         selector, "reason"                                            -> {"ids": [...]}
    POST /_sim/start        selector                                                      -> {"ids": [...]}
    POST /_sim/interrupt    selector, "rebalance": false                                  -> {"ids": [...]}
    POST /_sim/events       "delay_s", "copies": how EventBridge delivers to the queue strata-events
    POST /_sim/impair       selector, "part": "instance" | "system" | "ebs", "lasting"    -> {"ids": [...]}
    POST /_sim/heal         selector                                                      -> {"ids": [...]}
    POST /_sim/capacity     "type", "zone" (null: in each), "count" (null: any number), "market"
    POST /_sim/throttle     "scale": 0.1 of AWS's buckets, or "off": true, or "drain": "RunInstances"
    POST /_sim/load         "stack", "layer", "load": {"mean", "amplitude", "period_s"} in percent of a machine, or null
    POST /_sim/alarm        "name", "state": "OK" | "ALARM" | "INSUFFICIENT_DATA", "composite"
    POST /_sim/clock        "by_s" or "to": the wall time, forward, of all processes that share the clock -> {"now"}
    POST /_sim/lag          "seconds", "uneven"
    POST /_sim/delays       any of "pending_s", "status_ok_s", "stopping_s", "shutting_down_s", "terminated_visible_s"
    POST /_sim/limits       "instances", "vcpus" (null: no limit)
    POST /_sim/boots        "fate": "terminated" | "impaired" | "stuck", "count"
    POST /_sim/latency      "seconds"
    POST /_sim/faults       "kind": "refuse" | "unreachable" | "error-after" | "lose-reply", "code", "message",
                            "actions": ["RunInstances"], "count" (null: for good), "skip", "probability";
                            or "clear": true

Those without a shape answer {"ok": true}.
"""

from datetime import datetime
from typing import Annotated, Any

import msgspec

from strata.resources.signal import AlarmValue
from strata_sim.calls import Call
from strata_sim.controls import Selector
from strata_sim.faults import FaultKind
from strata_sim.knobs import Fate, Market
from strata_sim.load import Load
from strata_sim.machines import PARTS, Instance, Life, Part
from strata_sim.region import Region
from strata_sim.steps import USER

Answer = dict[str, Any]


class Body(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    region: str | None = None


class SelectionBody(Body, kw_only=True):
    ids: tuple[str, ...] = ()
    tags: dict[str, str | None] = {}

    def selector(self) -> Selector:
        return Selector(self.ids, self.tags)


class EndingBody(SelectionBody, kw_only=True):
    reason: str = USER


class InterruptingBody(SelectionBody, kw_only=True):
    rebalance: bool = False


class EventsBody(Body, kw_only=True):
    delay_s: float = 0.3
    copies: int = 1


class ImpairingBody(SelectionBody, kw_only=True):
    part: Part = "instance"
    lasting: bool = False


class CapacityBody(Body, kw_only=True):
    type: str
    zone: str | None = None
    count: int | None = None
    market: Market = "on-demand"


class ThrottleBody(Body, kw_only=True):
    scale: float | None = None
    off: bool = False
    drain: str | None = None


class LoadBody(Body, kw_only=True):
    stack: str
    layer: str
    load: Load | None = None


class AlarmBody(Body, kw_only=True):
    name: str
    state: AlarmValue
    composite: bool = False


class ClockBody(Body, kw_only=True):
    by_s: float | None = None
    to: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class LagBody(Body, kw_only=True):
    seconds: float
    uneven: bool = False


class DelaysBody(Body, kw_only=True):
    pending_s: float | None = None
    status_ok_s: float | None = None
    stopping_s: float | None = None
    shutting_down_s: float | None = None
    terminated_visible_s: float | None = None


class LimitsBody(Body, kw_only=True):
    instances: int | None = None
    vcpus: int | None = None


class BootsBody(Body, kw_only=True):
    fate: Fate
    count: int = 1


class LatencyBody(Body, kw_only=True):
    seconds: float


class FaultsBody(Body, kw_only=True):
    clear: bool = False
    kind: FaultKind = "refuse"
    code: str = "InternalError"
    message: str = "An internal error has occurred"
    actions: frozenset[str] = frozenset()
    count: int | None = 1
    skip: int = 0
    probability: float = 1.0


def instance_row(one: Instance) -> Answer:
    birth, view = one.birth, one.view
    return {
        "instanceId": birth.instance_id,
        "state": view.state,
        "reason": view.reason.code,
        "type": birth.type,
        "zone": birth.zone,
        "subnetId": birth.subnet_id,
        "imageId": birth.image_id,
        "privateIp": view.private_ip,
        "publicIp": view.public_ip,
        "lifecycle": birth.lifecycle,
        "launchedAt": view.launched_at,
        "clientToken": birth.client_token,
        "checks": dict(zip(PARTS, view.checks, strict=True)),
        "protected": one.protected,
        "tags": view.tags,
    }


def life_row(one: Life) -> Answer:
    return {
        "instanceId": one.instance_id,
        "clientToken": one.client_token,
        "reservationId": one.reservation_id,
        "zone": one.zone,
        "type": one.type,
        "madeAt_s": one.made_at_s,
        "madeBy": one.made_by,
        "endedAt_s": one.ended_at_s,
        "endedBy": one.ended_by,
        "tags": one.tags,
    }


def call_row(one: Call) -> Answer:
    return {
        "number": one.number,
        "at": one.at,
        "at_s": one.at_s,
        "region": one.region,
        "caller": one.caller,
        "action": one.action,
        "token": one.token,
        "parameters": one.parameters,
        "code": one.code,
        "answered": one.answered,
        "made": one.made,
        "ended": one.ended,
        "touched": one.touched,
    }


def load_rows(region: Region) -> list[Answer]:
    """The loads of a region's layers, as they were at the last tick."""
    return [
        {
            "stack": key.stack,
            "layer": key.layer,
            "load": load.load,
            "total": load.ticks[-1].total if load.ticks else load.load.total(0),
            "running": load.ticks[-1].running if load.ticks else None,
            "cpuPercent": load.ticks[-1].cpu_percent if load.ticks else None,
            "queue": load.queue,
        }
        for key, load in sorted(region.telemetry.loads.items())
    ]
