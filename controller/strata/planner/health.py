"""When a machine that EC2 still reports may be destroyed: the proof, and the breaker that bounds it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from strata.planner.facts import Known, MachineFact, Observed
from strata.resources import reasons
from strata.resources.duration import parse_duration
from strata.resources.instance import HealMark, Instance, Phase
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
    wanted = instance.spec.power == "running" and not instance.metadata.deleting
    if not healing.enabled or not wanted or ec2 is None or not isinstance(fact, Known):
        return Verdict()
    observed = fact.value
    if observed.machine.instance_id != ec2.instance_id or not _runs(observed):
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


def holds(mark: HealMark, observed: Observed, healing: Healing, now: datetime) -> bool | None:
    """Whether what a mark was made for is proved still, of this very machine and now: an outage of ours may lie
    between the two. None: it cannot be judged, for nobody has read the machine's checks."""
    machine = observed.machine
    if machine.instance_id != mark.instance_id or machine.state not in {"pending", "running"}:
        return False
    if machine.state == "running" and observed.checks is None:
        return None
    if mark.reason == reasons.START_DEADLINE:
        late = now >= observed.starting_since + parse_duration(healing.start_deadline)
        return late and observed.checks != "ok"
    since = observed.impaired_since if observed.checks == "impaired" else None
    return since is not None and now >= since + parse_duration(healing.impaired_after)


def under_repair(instance: Instance) -> bool:
    """Whether the slot uses up the budget: it is marked, and not online again since. Not so a machine that had stopped
    anyway, nor a slot that is not meant to run."""
    mark = instance.status.heal
    return mark is not None and mark.reason != reasons.STOPPED_EXTERNALLY and instance.spec.power == "running"


def void(instance: Instance, fact: MachineFact, healing: Healing, now: datetime) -> bool:
    """Whether the slot's mark, on a machine that is still there, is to be taken back: its proof is gone, or healing was
    switched off. A restart that has begun runs its course."""
    mark, ec2 = instance.status.heal, instance.status.ec2
    if mark is None or not under_repair(instance) or ec2 is None or ec2.instance_id != mark.instance_id:
        return False
    if mark.action == "restart" and instance.status.restarted == mark.instance_id:
        return False
    if not healing.enabled:
        return True
    return isinstance(fact, Known) and _runs(fact.value) and holds(mark, fact.value, healing, now) is False


def _runs(observed: Observed) -> bool:
    return observed.machine.state in {"pending", "running"}


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
    since = min(below_since or now, now)  # a clock that ran ahead wrote it: it must not wait for that time to come
    closes_at = since + timedelta(seconds=protected_for_s)
    if now >= closes_at:
        return Breaker(open=False)
    return Breaker(open=True, below_since=since, closes_at=closes_at)
