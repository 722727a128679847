"""EC2's query protocol, the way out: XML in EC2's namespace and shapes. An unchanged instance is rendered once."""

from collections.abc import Iterable, Mapping
from itertools import groupby
from xml.sax.saxutils import escape

from strata.resources.machine import MachineState
from strata_sim.catalog import ImageSpec, VpcSpec
from strata_sim.filters import reachability, stamp
from strata_sim.inventory import Identity, SubnetRow
from strata_sim.machines import STATE_CODES, Check, Instance, Seen, View
from strata_sim.paging import Page
from strata_sim.power import StateChange
from strata_sim.run import Reservation
from strata_sim.spot import SpotRequest
from strata_sim.tagging import TagRow

_EC2 = "http://ec2.amazonaws.com/doc/2016-11-15/"
_STS = "https://sts.amazonaws.com/doc/2011-06-15/"
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'


def answer(action: str, request_id: str, body: str) -> str:
    return f'{_HEAD}<{action}Response xmlns="{_EC2}"><requestId>{request_id}</requestId>{body}</{action}Response>'


def error(code: str, message: str, request_id: str) -> str:
    return (
        f"{_HEAD}<Response><Errors><Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
        f"</Errors><RequestID>{request_id}</RequestID></Response>"
    )


def done(_: None) -> str:
    return "<return>true</return>"


def reservation(one: Reservation) -> str:
    if not one.seen:
        return f"<reservationId>{one.reservation_id}</reservationId><instancesSet/>"
    return _reservation(one.reservation_id, one.seen)


def instances(page: Page[Seen]) -> str:
    groups = groupby(page.rows, key=lambda seen: seen.instance.birth.reservation_id)
    items = "".join(f"<item>{_reservation(reservation_id, list(group))}</item>" for reservation_id, group in groups)
    return f"<reservationSet>{items}</reservationSet>{_next(page.next_token)}"


def statuses(page: Page[Seen]) -> str:
    items = "".join(_status(seen) for seen in page.rows)
    return f"<instanceStatusSet>{items}</instanceStatusSet>{_next(page.next_token)}"


def changes(found: list[StateChange]) -> str:
    items = "".join(
        f"<item><instanceId>{one.instance_id}</instanceId><currentState>{_state(one.current)}</currentState>"
        f"<previousState>{_state(one.previous)}</previousState></item>"
        for one in found
    )
    return f"<instancesSet>{items}</instancesSet>"


def tag_rows(page: Page[TagRow]) -> str:
    items = "".join(
        f"<item><resourceId>{row.resource_id}</resourceId><resourceType>{row.resource_type}</resourceType>"
        f"<key>{escape(row.key)}</key><value>{escape(row.value)}</value></item>"
        for row in page.rows
    )
    return f"<tagSet>{items}</tagSet>{_next(page.next_token)}"


def subnets(page: Page[SubnetRow]) -> str:
    items = "".join(
        f"<item><subnetId>{row.spec.id}</subnetId><state>available</state><vpcId>{row.spec.vpc_id}</vpcId>"
        f"<cidrBlock>{row.spec.cidr}</cidrBlock><availableIpAddressCount>{row.free_count}</availableIpAddressCount>"
        f"<availabilityZone>{row.spec.zone}</availabilityZone><defaultForAz>true</defaultForAz>"
        f"<mapPublicIpOnLaunch>{_bool(row.spec.map_public_ip)}</mapPublicIpOnLaunch><ownerId>{row.owner_id}</ownerId>"
        f"{_tags(row.tags)}</item>"
        for row in page.rows
    )
    return f"<subnetSet>{items}</subnetSet>{_next(page.next_token)}"


def images(page: Page[ImageSpec]) -> str:
    items = "".join(
        f"<item><imageId>{image.id}</imageId><imageLocation>simulated/{escape(image.name)}</imageLocation>"
        f"<imageState>{image.state}</imageState><imageOwnerId>136693071363</imageOwnerId><isPublic>true</isPublic>"
        f"<architecture>{image.architecture}</architecture><imageType>machine</imageType>"
        f"<name>{escape(image.name)}</name><rootDeviceType>ebs</rootDeviceType>"
        f"<rootDeviceName>{image.root_device_name}</rootDeviceName><blockDeviceMapping><item>"
        f"<deviceName>{image.root_device_name}</deviceName><ebs><volumeSize>{image.root_size_gib}</volumeSize>"
        f"<deleteOnTermination>true</deleteOnTermination><volumeType>gp3</volumeType><encrypted>false</encrypted></ebs>"
        f"</item></blockDeviceMapping><virtualizationType>hvm</virtualizationType><hypervisor>xen</hypervisor></item>"
        for image in page.rows
    )
    return f"<imagesSet>{items}</imagesSet>{_next(page.next_token)}"


def vpcs(page: Page[VpcSpec]) -> str:
    items = "".join(
        f"<item><vpcId>{vpc.id}</vpcId><state>available</state><cidrBlock>{vpc.cidr}</cidrBlock>"
        f"<instanceTenancy>default</instanceTenancy><isDefault>true</isDefault></item>"
        for vpc in page.rows
    )
    return f"<vpcSet>{items}</vpcSet>{_next(page.next_token)}"


def spot_requests(page: Page[SpotRequest]) -> str:
    items = "".join(_spot_request(row) for row in page.rows)
    return f"<spotInstanceRequestSet>{items}</spotInstanceRequestSet>{_next(page.next_token)}"


def _spot_request(row: SpotRequest) -> str:
    birth = row.instance.birth
    return (
        f"<item><spotInstanceRequestId>{birth.spot_request_id}</spotInstanceRequestId><spotPrice>0.042000</spotPrice>"
        f"<type>one-time</type><state>{row.state}</state><status><code>{row.status_code}</code>"
        f"<updateTime>{stamp(row.view.launched_at)}</updateTime><message>{row.status_code}</message></status>"
        f"<instanceId>{birth.instance_id}</instanceId><createTime>{stamp(row.view.launched_at)}</createTime>"
        f"<productDescription>Linux/UNIX</productDescription>{_tags(row.tags)}"
        f"<launchedAvailabilityZone>{birth.zone}</launchedAvailabilityZone>"
        f"<instanceInterruptionBehavior>terminate</instanceInterruptionBehavior></item>"
    )


def identity(one: Identity, request_id: str) -> str:
    return (
        f'{_HEAD}<GetCallerIdentityResponse xmlns="{_STS}"><GetCallerIdentityResult><Arn>{escape(one.arn)}</Arn>'
        f"<UserId>{one.user_id}</UserId><Account>{one.account_id}</Account></GetCallerIdentityResult>"
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
    )


def _next(token: str) -> str:
    return f"<nextToken>{token}</nextToken>" if token else ""


def _bool(value: bool) -> str:  # noqa: FBT001 - a renderer of booleans
    return "true" if value else "false"


def _state(state: MachineState) -> str:
    return f"<code>{STATE_CODES[state]}</code><name>{state}</name>"


def _tags(tags: Mapping[str, str]) -> str:
    items = "".join(f"<item><key>{escape(k)}</key><value>{escape(v)}</value></item>" for k, v in tags.items())
    return f"<tagSet>{items}</tagSet>" if items else ""


def _reservation(reservation_id: str, group: list[Seen]) -> str:
    items = "".join(_instance(seen) for seen in group)
    return (
        f"<reservationId>{reservation_id}</reservationId><ownerId>{group[0].instance.birth.owner_id}</ownerId>"
        f"<groupSet/><instancesSet>{items}</instancesSet>"
    )


def _instance(seen: Seen) -> str:
    if not seen.view.rendered:
        seen.view.rendered = _render_instance(seen.instance, seen.view)
    return seen.view.rendered


def _render_instance(instance: Instance, view: View) -> str:
    birth = instance.birth
    return (
        f"<item><instanceId>{birth.instance_id}</instanceId><imageId>{birth.image_id}</imageId>"
        f"<instanceState>{_state(view.state)}</instanceState><privateDnsName>{_private_dns(view)}</privateDnsName>"
        f"<dnsName>{_public_dns(view)}</dnsName><reason>{escape(view.reason.transition)}</reason>"
        f"{_text('keyName', birth.key_name)}<amiLaunchIndex>{birth.ami_launch_index}</amiLaunchIndex><productCodes/>"
        f"<instanceType>{birth.type}</instanceType><launchTime>{stamp(view.launched_at)}</launchTime>"
        f"<placement><availabilityZone>{birth.zone}</availabilityZone><groupName/><tenancy>default</tenancy></placement>"
        f"<monitoring><state>{'enabled' if birth.monitoring else 'disabled'}</state></monitoring>"
        f"{_network(instance, view)}{_state_reason(view)}<architecture>{birth.architecture}</architecture>"
        f"<rootDeviceType>ebs</rootDeviceType><rootDeviceName>{birth.root_device_name}</rootDeviceName>"
        f"<blockDeviceMapping>{_volumes(instance)}</blockDeviceMapping>"
        f"<virtualizationType>hvm</virtualizationType><clientToken>{escape(birth.client_token)}</clientToken>"
        f"{_tags(view.tags)}<hypervisor>xen</hypervisor>{_profile(birth.profile_arn)}{_lifecycle(instance)}"
        f"<ebsOptimized>false</ebsOptimized><enaSupport>true</enaSupport>"
        f"<metadataOptions><state>applied</state>{_metadata(birth.metadata_options)}</metadataOptions></item>"
    )


def _text(name: str, value: str) -> str:
    return f"<{name}>{escape(value)}</{name}>" if value else ""


def _private_dns(view: View) -> str:
    return f"ip-{view.private_ip.replace('.', '-')}.ec2.internal" if view.private_ip else ""


def _public_dns(view: View) -> str:
    return f"ec2-{view.public_ip.replace('.', '-')}.compute-1.amazonaws.com" if view.public_ip else ""


def _network(instance: Instance, view: View) -> str:
    if not view.in_network:
        return "<groupSet/><networkInterfaceSet/>"
    birth = instance.birth
    groups = _groups(birth.security_group_ids)
    association = f"<association><publicIp>{view.public_ip}</publicIp></association>" if view.public_ip else ""
    return (
        f"<subnetId>{birth.subnet_id}</subnetId><vpcId>{birth.vpc_id}</vpcId>"
        f"{_text('privateIpAddress', view.private_ip)}{_text('ipAddress', view.public_ip)}"
        f"<sourceDestCheck>true</sourceDestCheck>{groups}<networkInterfaceSet><item>"
        f"<networkInterfaceId>{birth.interface_id}</networkInterfaceId><subnetId>{birth.subnet_id}</subnetId>"
        f"<vpcId>{birth.vpc_id}</vpcId><status>in-use</status>{_text('privateIpAddress', view.private_ip)}"
        f"{association}{groups}</item></networkInterfaceSet>"
    )


def _groups(group_ids: Iterable[str]) -> str:
    items = "".join(f"<item><groupId>{one}</groupId><groupName>{one}</groupName></item>" for one in group_ids)
    return f"<groupSet>{items}</groupSet>"


def _state_reason(view: View) -> str:
    if not view.reason.code:
        return ""
    return f"<stateReason><code>{view.reason.code}</code><message>{escape(view.reason.message)}</message></stateReason>"


def _volumes(instance: Instance) -> str:
    return "".join(
        f"<item><deviceName>{volume.device_name}</deviceName><ebs><volumeId>{volume.volume_id}</volumeId>"
        f"<status>attached</status><deleteOnTermination>{_bool(volume.delete_on_termination)}</deleteOnTermination>"
        f"</ebs></item>"
        for volume in instance.birth.volumes
    )


def _profile(arn: str) -> str:
    return f"<iamInstanceProfile><arn>{escape(arn)}</arn><id>AIPASIMULATED</id></iamInstanceProfile>" if arn else ""


def _lifecycle(instance: Instance) -> str:
    return "<instanceLifecycle>spot</instanceLifecycle>" if instance.birth.lifecycle == "spot" else ""


def _metadata(options: Mapping[str, str | int]) -> str:
    wire = ((name[0].lower() + name[1:], value) for name, value in options.items())
    return "".join(f"<{name}>{value}</{name}>" for name, value in wire)


def _status(seen: Seen) -> str:
    if not seen.view.rendered_status:
        seen.view.rendered_status = _render_status(seen.instance, seen.view)
    return seen.view.rendered_status


def _render_status(instance: Instance, view: View) -> str:
    instance_check, system_check, ebs_check = view.checks
    return (
        f"<item><instanceId>{instance.id}</instanceId><availabilityZone>{instance.birth.zone}</availabilityZone>"
        f"<instanceState>{_state(view.state)}</instanceState>"
        f"<systemStatus>{_check(system_check, view)}</systemStatus>"
        f"<instanceStatus>{_check(instance_check, view)}</instanceStatus>"
        f"<attachedEbsStatus>{_check(ebs_check, view)}</attachedEbsStatus></item>"
    )


def _check(check: Check, view: View) -> str:
    if check == "not-applicable":
        return f"<status>{check}</status>"
    since = ""
    if check == "impaired" and view.impaired_since is not None:
        since = f"<impairedSince>{stamp(view.impaired_since)}</impairedSince>"
    return (
        f"<status>{check}</status><details><item><name>reachability</name><status>{reachability(check)}</status>"
        f"{since}</item></details>"
    )
