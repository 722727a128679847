"""TerminateInstances, StopInstances, StartInstances, RebootInstances, ModifyInstanceAttribute."""

from collections import Counter
from typing import NamedTuple

from strata.resources.machine import MachineState
from strata_sim.buckets import ENDED_INSTANCES, LAUNCHED_INSTANCES
from strata_sim.calls import Trace
from strata_sim.errors import Ec2Error
from strata_sim.knobs import Pool
from strata_sim.machines import Instance
from strata_sim.region import Region
from strata_sim.run import capacity_error, limit_error, limit_room
from strata_sim.shapes import Params
from strata_sim.steps import USER, begin_end, begin_start, begin_stop, clear_ills

_GONE = frozenset({"shutting-down", "terminated"})
_MAX_IDS = 1000


class StateChange(NamedTuple):
    instance_id: str
    previous: MachineState
    current: MachineState


def terminate_instances(region: Region, params: Params, trace: Trace) -> list[StateChange]:
    """Protection holds back the protected machine and all of the call's in its zone; those in other zones end, and the
    call fails all the same. So EC2's reference has it."""
    instances = _named(region, params)
    protected = [one for one in instances if one.protected and one.view.state not in _GONE]
    held = {one.birth.zone for one in protected}
    free = [one for one in instances if one.birth.zone not in held]
    ending = [one for one in free if one.view.state not in _GONE]
    region.buckets.take("TerminateInstances", ENDED_INSTANCES, region.now_s, len(ending))
    before = _states(free)
    for instance in ending:
        begin_end(region, instance, USER, region.caller)
        trace.ended.append(instance.id)
    if protected:
        raise Ec2Error(
            "OperationNotPermitted",
            f"The instance '{protected[0].id}' may not be terminated. Modify its 'disableApiTermination' instance "
            f"attribute and try again.",
        )
    return _changes(free, before)


def stop_instances(region: Region, params: Params, trace: Trace) -> list[StateChange]:
    instances = _named(region, params)
    for instance in instances:
        if instance.birth.lifecycle == "spot":
            raise Ec2Error("UnsupportedOperation", f"You can't stop the Spot Instance '{instance.id}'")
        _require_state(instance, ("running", "stopping", "stopped"), "stopped")
    stopping = [one for one in instances if one.view.state == "running"]
    region.buckets.take("StopInstances", ENDED_INSTANCES, region.now_s, len(stopping))
    before = _states(instances)
    for instance in stopping:
        begin_stop(region, instance, USER)
        trace.touched.append(instance.id)
    return _changes(instances, before)


def start_instances(region: Region, params: Params, trace: Trace) -> list[StateChange]:
    """All or none: a start needs capacity and room below the limits as a launch does."""
    instances = _named(region, params)
    for instance in instances:
        _require_state(instance, ("pending", "running", "stopped"), "started")
    starting = [one for one in instances if one.view.state == "stopped"]
    pools = Counter(Pool(one.birth.type, one.birth.zone, one.birth.lifecycle) for one in starting)
    _require_room(region, starting, pools)
    region.buckets.take("StartInstances", LAUNCHED_INSTANCES, region.now_s, len(starting))
    before = _states(instances)
    for pool, count in pools.items():
        region.knobs.capacity.use(pool, count)
    for instance in starting:
        has_public_ip = region.subnets[instance.birth.subnet_id].map_public_ip
        begin_start(region, instance, region.public_addresses.take() if has_public_ip else "")
        trace.touched.append(instance.id)
    return _changes(instances, before)


def reboot_instances(region: Region, params: Params, trace: Trace) -> None:
    """The state stays `running`; a software ill (the instance check) that is not lasting is cured."""
    instances = _named(region, params)
    for instance in instances:
        _require_state(instance, ("running",), "rebooted")
    for instance in instances:
        if instance.ills.get("instance") is False:
            clear_ills(region, instance, "instance")
        trace.touched.append(instance.id)


def modify_instance_attribute(region: Region, params: Params, trace: Trace) -> None:
    (instance,) = region.require_instances([params["InstanceId"]])
    _require_state(instance, ("pending", "running", "stopping", "stopped"), "modified")
    instance.protected = params["DisableApiTermination"].get("Value", False)
    trace.touched.append(instance.id)


def _named(region: Region, params: Params) -> list[Instance]:
    ids = params["InstanceIds"]
    if not ids:
        raise Ec2Error("MissingParameter", "The request must contain the parameter InstanceId")
    if len(ids) > _MAX_IDS:
        raise Ec2Error("InvalidParameterValue", f"At most {_MAX_IDS} instance IDs may be given")
    return region.require_instances(ids)


def _require_state(instance: Instance, allowed: tuple[MachineState, ...], done: str) -> None:
    if instance.view.state not in allowed:
        raise Ec2Error(
            "IncorrectInstanceState",
            f"The instance '{instance.id}' is not in a state from which it can be {done}.",
        )


def _require_room(region: Region, starting: list[Instance], pools: Counter[Pool]) -> None:
    vcpus = sum(one.birth.vcpus for one in starting)
    if starting and limit_room(region, -(-vcpus // len(starting)), len(starting)) < len(starting):
        raise limit_error(region)
    for pool, count in pools.items():
        if region.knobs.capacity.room(pool, count) < count:
            raise capacity_error(region, pool)


def _states(instances: list[Instance]) -> list[MachineState]:
    return [one.view.state for one in instances]


def _changes(instances: list[Instance], before: list[MachineState]) -> list[StateChange]:
    return [StateChange(one.id, old, one.view.state) for one, old in zip(instances, before, strict=True)]
