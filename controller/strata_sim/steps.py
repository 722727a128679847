"""The edges of an instance's life, and the walks along them. Each step runs when it is due.

pending --pending_s--> running --status_ok_s--> checks passed
pending --------------> terminated              a boot that fails
running --stop--> stopping --stopping_s--> stopped --start--> pending
any live state --terminate--> shutting-down --shutting_down_s--> terminated --an hour--> forgotten
"""

from datetime import datetime
from typing import Literal

from strata_sim.machines import NO_REASON, PARTS, Check, Instance, Part, Reason
from strata_sim.region import Region

PENDING = Reason("pending", "pending")
_NOT_APPLICABLE: tuple[Check, Check, Check] = ("not-applicable", "not-applicable", "not-applicable")
_INITIALIZING: tuple[Check, Check, Check] = ("initializing", "initializing", "initializing")
_MESSAGES = {
    "Client.InstanceInitiatedShutdown": "Instance initiated shutdown",
    "Client.InternalError": "Client error on launch",
    "Client.UserInitiatedShutdown": "User initiated shutdown",
    "Server.InsufficientInstanceCapacity": "Insufficient capacity to launch the instance",
    "Server.InternalError": "Internal error on launch",
    "Server.ScheduledStop": "Stopped due to a scheduled retirement",
    "Server.SpotInstanceShutdown": "Stopped by spot interruption",
    "Server.SpotInstanceTermination": "Spot instance termination",
}
REASONS = frozenset(_MESSAGES)
USER = "Client.UserInitiatedShutdown"


def reason_of(code: str, now: datetime) -> Reason:
    """EC2's words for a code of REASONS."""
    who = "User initiated" if code == USER else code.partition(".")[0] + " initiated"
    return Reason(code, f"{code}: {_MESSAGES[code]}", f"{who} ({now:%Y-%m-%d %H:%M:%S} GMT)")


def boot(region: Region, instance: Instance, at_s: float) -> None:
    """Plan the way from pending onwards."""
    if instance.fate == "stuck":
        region.unplan(instance)
    elif instance.fate == "terminated":
        region.plan(instance, at_s + region.knobs.delays.pending_s, _fail)
    else:
        region.plan(instance, at_s + region.knobs.delays.pending_s, _run)


def begin_start(region: Region, instance: Instance, public_ip: str) -> None:
    now_s = region.now_s
    instance.ills = {part: True for part, lasting in instance.ills.items() if lasting}
    region.change(
        instance,
        now_s,
        state="pending",
        reason=PENDING,
        launched_at=region.now(),
        public_ip=public_ip,
        checks=_INITIALIZING,
        impaired_since=None,
    )
    boot(region, instance, now_s)


def begin_stop(region: Region, instance: Instance, code: str) -> None:
    now_s = region.now_s
    reason = reason_of(code, region.now())
    region.change(instance, now_s, state="stopping", reason=reason, checks=_NOT_APPLICABLE, impaired_since=None)
    region.plan(instance, now_s + region.knobs.delays.stopping_s, _stopped)


def begin_end(region: Region, instance: Instance, code: str, by: str, at_s: float | None = None) -> None:
    """`at_s`: when it was due, for an end that nobody asked for just now."""
    now_s = region.now_s if at_s is None else at_s
    reason = reason_of(code, region.now())
    instance.life.ended_at_s, instance.life.ended_by = now_s, by
    region.change(instance, now_s, state="shutting-down", reason=reason, checks=_NOT_APPLICABLE, impaired_since=None)
    region.plan(instance, now_s + region.knobs.delays.shutting_down_s, _end)


def set_ill(region: Region, instance: Instance, part: Part, *, lasting: bool) -> None:
    """Fail a status check from now on; a machine that boots fails it once its checks are made."""
    instance.ills[part] = lasting
    if instance.view.state == "running" and "initializing" not in instance.view.checks:
        _show_checks(region, instance, region.now_s)


def clear_ills(region: Region, instance: Instance, *parts: Part) -> None:
    for part in parts:
        instance.ills.pop(part, None)
    if instance.view.state == "running" and "initializing" not in instance.view.checks:
        _show_checks(region, instance, region.now_s)


def _show_checks(region: Region, instance: Instance, at_s: float) -> None:
    first, second, third = (_check(instance, part) for part in PARTS)
    since = (instance.view.impaired_since or region.now()) if instance.ills else None
    region.change(instance, at_s, checks=(first, second, third), impaired_since=since)


def _check(instance: Instance, part: Part) -> Literal["ok", "impaired"]:
    return "impaired" if part in instance.ills else "ok"


def _run(region: Region, instance: Instance, at_s: float) -> None:
    region.change(instance, at_s, state="running", reason=NO_REASON)
    region.plan(instance, at_s + region.knobs.delays.status_ok_s, _show_checks)


def _fail(region: Region, instance: Instance, at_s: float) -> None:
    instance.life.ended_at_s, instance.life.ended_by = at_s, "ec2"
    region.change(instance, at_s, reason=reason_of("Client.InternalError", region.now()))
    _end(region, instance, at_s)


def _stopped(region: Region, instance: Instance, at_s: float) -> None:
    if instance.view.public_ip:
        region.public_addresses.give_back(instance.view.public_ip)
    region.change(instance, at_s, state="stopped", public_ip="")


def _end(region: Region, instance: Instance, at_s: float) -> None:
    view = instance.view
    region.addresses[instance.birth.subnet_id].give_back(view.private_ip)
    if view.public_ip:
        region.public_addresses.give_back(view.public_ip)
    region.change(instance, at_s, state="terminated", private_ip="", public_ip="", checks=_NOT_APPLICABLE)
    region.plan(instance, at_s + region.knobs.delays.terminated_visible_s, _forget)


def _forget(region: Region, instance: Instance, _at_s: float) -> None:
    region.forget(instance)
