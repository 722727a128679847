"""When a machine that EC2 still reports may be destroyed: the proof, and the breaker that bounds it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from strata.planner.facts import Known, MachineFact, Observed
from strata.resources import reasons
from strata.resources.duration import parse_duration
from strata.resources.instance import Instance, Phase
from strata.resources.layer import Healing


@dataclass(frozen=True, slots=True)
class Unhealthy:
    """Proof that this machine does not work."""

    instance: Instance
    instance_id: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """`proof` set: may be destroyed within the budget. `look_again_at`: when time alone could make a proof."""

    proof: Unhealthy | None = None
    look_again_at: datetime | None = None


def judge(instance: Instance, fact: MachineFact, healing: Healing, now: datetime) -> Verdict:
    """Judge one slot's machine. Only a fresh, known state of a machine that is pending or running can be a proof."""
    ec2 = instance.status.ec2
    if not healing.enabled or instance.metadata.deleting or ec2 is None or not isinstance(fact, Known):
        return Verdict()
    observed = fact.value
    if observed.machine.instance_id != ec2.instance_id or observed.machine.state not in {"pending", "running"}:
        return Verdict()
    if observed.checks == "impaired" and observed.impaired_since is not None:
        return _judge_impaired(instance, observed, observed.impaired_since, healing, now)
    return _judge_start(instance, observed, healing, now)


def _judge_impaired(
    instance: Instance, observed: Observed, since: datetime, healing: Healing, now: datetime
) -> Verdict:
    due = since + parse_duration(healing.impaired_after)
    if now < due:
        return Verdict(look_again_at=due)
    message = f"EC2's status checks of {observed.machine.instance_id} fail since {since:%Y-%m-%dT%H:%M:%SZ}"
    return Verdict(Unhealthy(instance, observed.machine.instance_id, reasons.IMPAIRED, message))


def _judge_start(instance: Instance, observed: Observed, healing: Healing, now: datetime) -> Verdict:
    """A machine that was once online is past its start; one whose checks nobody has read is not judged."""
    machine = observed.machine
    unread = machine.state == "running" and observed.checks is None
    started = instance.status.online_since is not None
    if started or instance.status.phase not in {Phase.PENDING, Phase.BOOTING} or unread or observed.checks == "ok":
        return Verdict()
    due = observed.starting_since + parse_duration(healing.start_deadline)
    if now < due:
        return Verdict(look_again_at=due)
    message = f"{machine.instance_id} is not online {healing.start_deadline} after its launch"
    return Verdict(Unhealthy(instance, machine.instance_id, reasons.START_DEADLINE, message))


def allowance(max_unhealthy: str, desired: int) -> int:
    """How many machines may fail at once before the layer is Protected: max(1, floor(share x desired)), or the count
    that was given."""
    if max_unhealthy.endswith("%"):
        return max(1, int(max_unhealthy[:-1]) * desired // 100)
    return max(1, int(max_unhealthy))


@dataclass(frozen=True, slots=True)
class Breaker:
    """`open`: nothing that runs is destroyed. `below_since`: since when it is below its limit while still open."""

    open: bool
    below_since: datetime | None = None
    closes_at: datetime | None = None


def breaker(
    *, was_open: bool, below_since: datetime | None, failing: int, allowed: int, now: datetime, protected_for_s: float
) -> Breaker:
    """Open above the limit; close by itself after `protected_for_s` below it."""
    if failing > allowed:
        return Breaker(open=True)
    if not was_open:
        return Breaker(open=False)
    since = below_since or now
    closes_at = since + timedelta(seconds=protected_for_s)
    if now >= closes_at:
        return Breaker(open=False)
    return Breaker(open=True, below_since=since, closes_at=closes_at)
