"""RunInstances: the token, then the rules, then as many machines as there is room for."""

from typing import NamedTuple

from strata_sim import run_rules
from strata_sim.buckets import LAUNCHED_INSTANCES
from strata_sim.calls import Trace
from strata_sim.errors import Ec2Error
from strata_sim.knobs import Pool
from strata_sim.machines import Birth, Instance, Life, Seen, View, Volume
from strata_sim.region import Region
from strata_sim.run_rules import Wish
from strata_sim.shapes import Params
from strata_sim.steps import PENDING, boot
from strata_sim.tokens import Launched, fingerprint


class Reservation(NamedTuple):
    reservation_id: str
    seen: list[Seen]


def run_instances(region: Region, params: Params, trace: Trace) -> Reservation:
    run_rules.check_counts(params)
    subnet = run_rules.subnet_of(region, params)
    token = params.get("ClientToken", "")
    repeated = region.tokens.repeat_of(token, subnet.zone, params, region.now_s)
    if repeated is not None:
        return _reservation(repeated)
    wish = run_rules.wish_of(region, params, subnet)
    pool = Pool(wish.type.name, subnet.zone, wish.market)
    count = _room(region, wish, pool, params)
    region.buckets.take("RunInstances", LAUNCHED_INSTANCES, region.now_s, count)
    region.knobs.capacity.use(pool, count)
    reservation_id = region.new_id("r")
    made = [_make(region, params, wish, reservation_id, n) for n in range(count)]
    region.tokens.record(token, subnet.zone, Launched(fingerprint(params), reservation_id, tuple(made)))
    trace.made.extend(one.id for one in made)
    return _reservation(Launched("", reservation_id, tuple(made)))


def _reservation(launched: Launched) -> Reservation:
    """The launch's machines as they are now: a repeated answer does not lag."""
    return Reservation(launched.reservation_id, [Seen(one, one.view) for one in launched.instances])


def _room(region: Region, wish: Wish, pool: Pool, params: Params) -> int:
    """How many machines there will be. Raises Ec2Error if fewer than MinCount, for what is scarcest."""
    least: int = params["MinCount"]
    wanted: int = params["MaxCount"]
    rooms = [
        (limit_room(region, wish.type.vcpus, wanted), limit_error(region)),
        (region.knobs.capacity.room(pool, wanted), capacity_error(region, pool)),
        (region.addresses[wish.subnet.id].free_count, _addresses_error(wish.subnet.id)),
    ]
    room, error = min(rooms, key=lambda pair: pair[0])
    if room < least:
        raise error
    return min(room, wanted)


def limit_room(region: Region, vcpus: int, wanted: int) -> int:
    """How many more machines of so many vCPUs the account's limits allow, up to `wanted`."""
    limits = region.knobs.limits
    if limits.instances is None and limits.vcpus is None:
        return wanted
    up = [one for one in region.instances.values() if one.view.state in {"pending", "running"}]
    room = wanted
    if limits.instances is not None:
        room = min(room, limits.instances - len(up))
    if limits.vcpus is not None:
        room = min(room, (limits.vcpus - sum(one.birth.vcpus for one in up)) // vcpus)
    return max(0, room)


def limit_error(region: Region) -> Ec2Error:
    limits = region.knobs.limits
    if limits.vcpus is not None:
        return Ec2Error(
            "VcpuLimitExceeded",
            f"You have requested more vCPU capacity than your current vCPU limit of {limits.vcpus} allows for the "
            f"instance bucket that the specified instance type belongs to.",
        )
    return Ec2Error(
        "InstanceLimitExceeded",
        f"You have requested more instances than your current instance limit of {limits.instances} allows.",
    )


def capacity_error(region: Region, pool: Pool) -> Ec2Error:
    if pool.market == "spot":
        return Ec2Error(
            "InsufficientInstanceCapacity", "There is no Spot capacity available that matches your request."
        )
    others = sorted({subnet.zone for subnet in region.spec.subnets} - {pool.zone})
    return Ec2Error(
        "InsufficientInstanceCapacity",
        f"We currently do not have sufficient {pool.type} capacity in the Availability Zone you requested "
        f"({pool.zone}). Our system will be working on provisioning additional capacity. You can currently get "
        f"{pool.type} capacity by not specifying an Availability Zone in your request or choosing "
        f"{', '.join(others)}.",
    )


def _addresses_error(subnet_id: str) -> Ec2Error:
    return Ec2Error(
        "InsufficientFreeAddressesInSubnet",
        f"There are not enough free addresses in subnet '{subnet_id}' to satisfy the requested number of instances.",
    )


def _make(region: Region, params: Params, wish: Wish, reservation_id: str, index: int) -> Instance:
    birth = _birth(region, params, wish, reservation_id, index)
    view = View(
        at_s=region.now_s,
        state="pending",
        reason=PENDING,
        launched_at=region.now(),
        private_ip=region.addresses[wish.subnet.id].take(),
        public_ip=region.public_addresses.take() if wish.subnet.map_public_ip else "",
        tags=wish.instance_tags,
    )
    instance = Instance(birth, [view], _life(region, birth, view), protected=params.get("DisableApiTermination", False))
    fate = region.knobs.boots.next()
    if fate == "impaired":
        instance.ills["instance"] = False
    elif fate is not None:
        instance.fate = fate
    region.add(instance)
    if birth.spot_request_id:
        region.tags[birth.spot_request_id] = dict(wish.spot_request_tags)
    if wish.volume_tags:
        region.tags.update((volume.volume_id, dict(wish.volume_tags)) for volume in birth.volumes)
    boot(region, instance, region.now_s)
    return instance


def _birth(region: Region, params: Params, wish: Wish, reservation_id: str, index: int) -> Birth:
    seq = region.next_seq()
    return Birth(
        seq=seq,
        instance_id=region.new_id("i"),
        reservation_id=reservation_id,
        client_token=params.get("ClientToken", ""),
        ami_launch_index=index,
        type=wish.type.name,
        vcpus=wish.type.vcpus,
        architecture=wish.image.architecture,
        image_id=wish.image.id,
        root_device_name=wish.image.root_device_name,
        zone=wish.subnet.zone,
        subnet_id=wish.subnet.id,
        vpc_id=wish.subnet.vpc_id,
        owner_id=region.account_id,
        interface_id=region.new_id("eni"),
        volumes=_volumes(region, params, wish),
        security_group_ids=wish.group_ids,
        key_name=params.get("KeyName", ""),
        profile_arn=wish.profile_arn,
        lifecycle=wish.market,
        monitoring=params.get("Monitoring", {}).get("Enabled", False),
        user_data=params.get("UserData", ""),
        shutdown_behavior=params.get("InstanceInitiatedShutdownBehavior", "stop"),
        metadata_options=wish.metadata_options,
        spot_request_id=f"sir-{seq:08x}" if wish.market == "spot" else "",
    )


def _volumes(region: Region, params: Params, wish: Wish) -> tuple[Volume, ...]:
    asked = {one["DeviceName"]: one.get("Ebs", {}) for one in params.get("BlockDeviceMappings", ())}
    asked.setdefault(wish.image.root_device_name, {})
    return tuple(
        Volume(
            device,
            region.new_id("vol"),
            ebs.get("DeleteOnTermination", True),
            ebs.get("Encrypted", False),
            ebs.get("VolumeSize", wish.image.root_size_gib),
        )
        for device, ebs in asked.items()
    )


def _life(region: Region, birth: Birth, view: View) -> Life:
    return Life(
        instance_id=birth.instance_id,
        client_token=birth.client_token,
        reservation_id=birth.reservation_id,
        zone=birth.zone,
        type=birth.type,
        made_at_s=region.now_s,
        made_by=region.caller,
        tags=view.tags,
    )
