"""Turns the planner's cases, written as YAML for people, into snapshots; and plans back into what the cases say.

Zones are called a, b, c. Times are durations such as `6m`, before or after the moment of the plan. What a case does not
say is ordinary: slots are online, machines run, and their status checks pass.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from strata.planner.facts import Absent, Known, MachineFact, Notice, Observed, Unknown
from strata.planner.instance import InstancePlan
from strata.planner.instance_status import InstanceSnapshot
from strata.planner.layer import LayerPlan, LayerSnapshot
from strata.planner.policy import Policy
from strata.planner.template import image_key, template_digest
from strata.resources import reasons
from strata.resources.capacity import Capacity
from strata.resources.duration import parse_duration
from strata.resources.instance import (
    Ec2Status,
    Failures,
    HealMark,
    Instance,
    InstanceSpec,
    InstanceStatus,
    LaunchRef,
    Leave,
    Phase,
)
from strata.resources.launch import Assignment, Launch, LaunchSpec, LaunchStatus, Member
from strata.resources.layer import Healing, Layer, LayerSpec, LayerStatus, ResolvedImage
from strata.resources.machine import Machine
from strata.resources.meta import API_VERSION, Condition, ObjectMeta, find_condition
from strata.resources.stack import ImageSource, SharedTemplate, SpotShare, Stack, StackSpec, SubnetRef
from strata.resources.update import RolloutStatus, Shutdown, Update

CASES = Path(__file__).parent.parent / "cases" / "planner"
NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
POLICY = Policy(cluster_id="ours")
STACK, LAYER = "shop", "web"
_TEMPLATE = SharedTemplate(image=ImageSource(id="ami-1"), types=("t3.small",))
_IMAGE = ResolvedImage(source=image_key(ImageSource(id="ami-1")), id="ami-1", root_device_name="/d", resolved_at=NOW)
_DIGEST = template_digest(_TEMPLATE, _IMAGE)
_UNKNOWN = Unknown(reasons.UNKNOWN, "nobody knows")
Case = dict[str, Any]


def load(name: str) -> list[Any]:
    """The cases of one file, as pytest parameters. Each is a mapping with the sentence of its `case`."""
    cases: list[Case] = yaml.safe_load((CASES / f"{name}.yaml").read_text())
    return cases


def ago(text: str) -> datetime:
    """`-3h` is in the future: a clock that ran ahead wrote it."""
    ahead = text.startswith("-")
    return NOW + parse_duration(text[1:]) if ahead else NOW - parse_duration(text)


def stack(*, paused: bool = False, deleting: bool = False, zones: str = "abc") -> Stack:
    metadata = ObjectMeta(name=STACK, uid="stack", deletion_timestamp=NOW if deleting else None)
    subnets = tuple(SubnetRef(id=f"subnet-{zone}", zone=zone) for zone in zones)
    spec = StackSpec(region="us-east-1", vpc_id="vpc-0", subnets=subnets, instance=_TEMPLATE, paused=paused)
    return Stack(api_version=API_VERSION, kind="Stack", metadata=metadata, spec=spec)


def layer(said: Mapping[str, Any]) -> Layer:
    """`always`, `min`, `max`, `scale in`; healing's fields; `deleting`, `protected` (and `below limit for`); update's
    `strategy`, `surge`, `unavailable`, `rollout paused`, `max age`, `restarted`; `drain`: a duration, or no;
    `rolling`: so many were outdated before."""
    numbers = {name: said[name] for name in ("always", "min", "max") if name in said}
    numbers |= {"scale_in": said["scale in"]} if "scale in" in said else {}
    healing = Healing(
        enabled=said.get("healing", True),
        impaired_after=said.get("impaired after", "5m"),
        start_deadline=said.get("start deadline", "10m"),
        action=said.get("action", "replace"),
        max_unhealthy=str(said.get("max unhealthy", "30%")),
    )
    protected = Condition(type="Protected", status="True", reason="TooManyUnhealthy", last_transition_time=LONG_AGO)
    status = LayerStatus(
        image=_IMAGE,
        conditions=(protected,) if said.get("protected") else (),
        protected_below_since=ago(said["below limit for"]) if "below limit for" in said else None,
        rollout=RolloutStatus(template=_DIGEST, outdated=said.get("rolling", 0), since=LONG_AGO),
    )
    update = Update(
        strategy=said.get("strategy", "RollingUpdate"),
        max_surge=said.get("surge", 1),
        max_unavailable=said.get("unavailable", 0),
        paused=bool(said.get("rollout paused")),
        max_age=said.get("max age"),
        restarted_at=ago(said["restarted"]) if "restarted" in said else None,
    )
    drain = said.get("drain", "2m")
    shutdown = Shutdown(drain=drain is not False, timeout=drain or "2m")
    deleting = NOW if said.get("deleting") else None
    metadata = ObjectMeta(name=LAYER, namespace=STACK, uid="layer", deletion_timestamp=deleting)
    base, percentage = said.get("spot", (0, 0))
    share = SpotShare(on_demand_base=base, percentage=percentage) if "spot" in said else None
    spec = LayerSpec(
        capacity=Capacity(**numbers),
        healing=healing,
        update=update,
        shutdown=shutdown,
        instance=SharedTemplate(spot=share),
    )
    return Layer(api_version=API_VERSION, kind="Layer", metadata=metadata, spec=spec, status=status)


def slot(name: str, said: Mapping[str, Any] | None) -> Instance:
    """One slot. `phase`, `zone`, `machine`: none if it has none; `launch`: in flight, died, not filled; `marked`,
    `failures`, `failed`, `online for`, `power`, `deleting`, `by hand`, `old template`, `restarted`, `stopped by us`,
    `age`, `spot`, `market`, `fallback`; `leaves`: delete, stop, replace; `leaves because`, `leaving for`, `drained`."""
    said = said or {}
    has_launch = said.get("machine") != "none" or "launch" in said
    machine = _machine_id(name) if has_launch and "launch" not in said else ""
    phase = Phase(said.get("phase", "online" if machine else "requested"))
    status = InstanceStatus(
        phase=phase,
        attempt=1,
        launch=LaunchRef(launch_id="launch", attempt=1) if has_launch else None,
        template=("v1-older" if said.get("old template") else _DIGEST) if machine else "",
        ec2=_ec2(machine, said) if machine else None,
        heal=_mark(machine, said) if "marked" in said else None,
        leave=_leave(machine, said) if "leaves" in said else None,
        failures=_failures(said) if "failures" in said else None,
        online_since=ago(said.get("online for", "1d")) if phase == Phase.ONLINE or "online for" in said else None,
        restarted=machine if said.get("restarted") else "",
        stopped_as_wanted=bool(said.get("stopped by us")),
    )
    spec = InstanceSpec(
        layers=(LAYER,),
        power=said.get("power", "running"),
        zone=said.get("zone"),
        market=said.get("market", "on-demand"),
        availability="manual" if said.get("by hand") else "layer",
    )
    deleting = NOW if said.get("deleting") else None
    metadata = ObjectMeta(name=name, namespace=STACK, uid=f"uid-{name}", deletion_timestamp=deleting)
    return Instance(api_version=API_VERSION, kind="Instance", metadata=metadata, spec=spec, status=status)


def _machine_id(name: str) -> str:
    return f"i-{name}"


def _ec2(machine: str, said: Mapping[str, Any]) -> Ec2Status:
    return Ec2Status(
        instance_id=machine,
        state="running",
        type="t3.small",
        zone=said.get("zone", ""),
        lifecycle=_lifecycle(said),
        fallback=bool(said.get("fallback")),
        launched_at=ago(said.get("age", "4d")),
    )


def _lifecycle(said: Mapping[str, Any]) -> str:
    is_spot = said.get("spot") or (said.get("market") == "spot" and not said.get("fallback"))
    return "spot" if is_spot else "on-demand"


def _leave(machine: str, said: Mapping[str, Any]) -> Leave:
    return Leave(
        reason=said.get("leaves because", reasons.SCALED_IN),
        message="it goes",
        marked_at=ago(said.get("leaving for", "1m")),
        then=said["leaves"],
        instance_id=machine,
        drained=bool(said.get("drained")),
    )


def _mark(machine: str, said: Mapping[str, Any]) -> HealMark:
    marked_at = ago(said.get("marked for", "1m"))
    reason = said.get("marked because", reasons.IMPAIRED)
    return HealMark(instance_id=machine, action=said["marked"], reason=reason, message="it fails", marked_at=marked_at)


def _failures(said: Mapping[str, Any]) -> Failures:
    return Failures(count=said["failures"], last_at=ago(said.get("failed", "0s")), reason="LaunchFailed")


def fact(name: str, said: Mapping[str, Any] | None) -> MachineFact:
    """What EC2 says of its machine. `machine`: a state, absent, unknown; `checks`; `impaired for`; `starting for`;
    `started again`: since the status was written; `ended because`: EC2's reason; `notice`: interruption, rebalance."""
    said = said or {}
    state = said.get("machine", "running")
    if state == "absent":
        return Absent(ago("10m"), 2)
    if state in {"unknown", "none"} or "launch" in said:
        return _UNKNOWN
    machine = Machine(
        instance_id=_machine_id(name),
        state=state,
        type="t3.small",
        zone=said.get("zone", ""),
        subnet_id="",
        image_id="ami-1",
        launched_at=NOW if said.get("started again") else LONG_AGO,
        lifecycle=_lifecycle(said),
        state_reason=said.get("ended because", ""),
        tags=said.get("tags", {}),
    )
    notice = Notice(said["notice"], NOW) if "notice" in said else None
    impaired = ago(said["impaired for"]) if "impaired for" in said else None
    default = "impaired" if impaired else "ok"
    checks = None if said.get("checks") == "unread" else said.get("checks", default)
    return Known(Observed(machine, ago(said.get("starting for", "1d")), checks, impaired, notice))


def layer_snapshot(case: Case) -> LayerSnapshot:
    slots: dict[str, Any] = case.get("slots") or {}
    said = case.get("stack") or {}
    return LayerSnapshot(
        now=NOW,
        layer=layer(case["layer"]),
        stack=None if said == "missing" else stack(**said),
        members=tuple(slot(name, one) for name, one in slots.items()),
        facts={name: fact(name, one) for name, one in slots.items()},
        image=_UNKNOWN if case.get("image") == "unknown" else Known(_IMAGE),
        protected=frozenset(),
        unreadable=frozenset(case.get("unreadable", ())),
    )


def layer_plan(plan: LayerPlan) -> Case:
    """A plan as the cases say it; what is empty is left out, and so is the sum where `always` alone makes it."""
    because = {one.rule: one.instances for one in plan.status.because if one.instances}
    protected = find_condition(plan.status.conditions, "Protected")
    said: Case = {
        "desired": plan.status.desired,
        "because": because if len(because) > 1 else {},
        "adds": {new.name: new.zone for new in plan.create},
        "buys as spot": [new.name for new in plan.create if new.market == "spot"],
        "removes": [one.metadata.name for one in plan.delete],
        "sends off": {o.instance.metadata.name: o.leave.then for o in plan.leave if not o.leave.drained},
        "replaces": [one.instance.metadata.name for one in plan.leave if one.leave.drained],
        "takes back": [one.metadata.name for one in plan.stay],
        "stops": [one.instance.metadata.name for one in plan.power if one.power == "stopped"],
        "starts": [one.instance.metadata.name for one in plan.power if one.power == "running"],
        "heals": {one.instance.metadata.name: one.mark.action for one in plan.heal},
        "withdraws": [one.metadata.name for one in plan.withdraw],
        "protected": protected.reason if protected and protected.status == "True" else "",
        "rollout": plan.status.rollout.message if plan.status.rollout else "",
        "looks again in": _in(plan.again_at),
        "finished": plan.finished,
    }
    return {name: value for name, value in said.items() if value}


def _in(at: datetime | None) -> str:
    if at is None:
        return ""
    minutes, seconds = divmod(round((at - NOW).total_seconds()), 60)
    return (f"{minutes}m" if minutes else "") + (f"{seconds}s" if seconds or not minutes else "")


def instance_snapshot(case: Case) -> InstanceSnapshot:
    said = case["slot"] or {}
    name = said.get("name", "web-1")
    one = slot(name, said)
    return InstanceSnapshot(
        now=NOW,
        instance=one,
        layer=layer(case.get("layer") or {}),
        stack=stack(),
        launch=_launch(one, said) if one.status.launch else None,
        fact=fact(name, said),
        paused=bool(case.get("paused")),
        shielded=bool(case.get("protected")),
    )


def _launch(one: Instance, said: Mapping[str, Any]) -> Launch | None:
    outcome = said.get("launch", "filled")
    state = {"in flight": "sealed", "died": "dead"}.get(outcome, "assigned")
    own = Assignment(uid=one.metadata.uid, instance_id=_machine_id(one.metadata.name))
    return launch(
        state=state,
        sent_at=ago("1m"),
        resolved_at=None if state == "sealed" else NOW,
        assignments=(own,) if outcome == "filled" else (),
        died_because=said.get("died because", ""),
        members=(Member(name=one.metadata.name, uid=one.metadata.uid, attempt=1, layer=LAYER),),
    )


def launch(*, members: tuple[Member, ...] = (), created_at: datetime = NOW, **status: Any) -> Launch:
    spec = LaunchSpec(
        region="us-east-1",
        endpoint=None,
        type="t3.small",
        zone="a",
        template=_DIGEST,
        parameters={},
        members=members,
    )
    metadata = ObjectMeta(name="launch", namespace=STACK, uid="launch", creation_timestamp=created_at)
    return Launch(api_version=API_VERSION, kind="Launch", metadata=metadata, spec=spec, status=LaunchStatus(**status))


def instance_plan(plan: InstancePlan) -> Case:
    """A plan as the cases say it; what is empty is left out. Tags for people are no news."""
    status, action = plan.status, plan.action
    launched = find_condition(status.conditions, "Launched")
    said: Case = {
        "does": action.verb if action and action.verb != "tag" else "",
        "phase": status.phase.value,
        "wants a machine": status.launch is None and not plan.finished and status.phase == Phase.REQUESTED,
        "failures": status.failures.count if status.failures else 0,
        "marked": status.heal.action if status.heal else "",
        "reason": launched.reason if launched and launched.status == "False" else "",
        "looks again in": _in(plan.again_at) if plan.again_at and plan.again_at > NOW else "",
        "finished": plan.finished,
    }
    return {name: value for name, value in said.items() if value}
