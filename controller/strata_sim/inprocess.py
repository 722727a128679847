"""SimulatedCloud: the port to EC2 and SSM, straight on the simulator's core.

Each call waits on both sides of its effect, also for 0 s, so that a test can cut the caller there: before (nothing
was done) and after (it was done, and the caller never learnt it).
"""

import asyncio
import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from strata.cloud.error_table import cloud_error
from strata.cloud.port import MAX_FILTER_VALUES, BeforeSend, Filter, RunRequest, nothing_before
from strata.errors import CloudError, CloudErrorKind
from strata.resources.machine import CheckState, Image, Machine, MachineHealth, SpotRequest, Subnet
from strata_sim import actions
from strata_sim.actions import Action
from strata_sim.errors import Ec2Error, ReplyLostError, UnreachableError
from strata_sim.machines import Seen
from strata_sim.paging import Page
from strata_sim.shapes import Params
from strata_sim.world import World

R = TypeVar("R")
Row = TypeVar("Row")
_PAGE = 1000
_STATUS_IDS = 100  # DescribeInstanceStatus takes no more
_PARAMETERS = 10  # nor does GetParameters
_CHECK_FILTERS = ("instance-status.status", "system-status.status", "attached-ebs-status.status")
_WORST_FIRST: tuple[CheckState, ...] = ("impaired", "insufficient-data", "initializing", "ok", "not-applicable")


class SimulatedCloud:
    """One caller's view of one simulated region. `caller` names it in the call log."""

    def __init__(self, world: World, region: str, caller: str = "in-process") -> None:
        self._world = world
        self._region = region
        self._caller = caller

    async def account(self) -> str:
        return (await self._call(actions.GET_CALLER_IDENTITY, {})).account_id

    async def describe_instances(self, filters: Sequence[Filter]) -> tuple[Machine, ...]:
        rows = await self._all_pages(actions.DESCRIBE_INSTANCES, {"Filters": _filters(filters)})
        return tuple(machine_of(seen) for seen in rows)

    async def describe_impaired(self) -> tuple[MachineHealth, ...]:
        found: dict[str, MachineHealth] = {}
        for name in _CHECK_FILTERS:
            rows = await self._all_pages(
                actions.DESCRIBE_INSTANCE_STATUS, {"Filters": _filters([(name, ("impaired",))])}
            )
            found.update((seen.instance.id, health_of(seen)) for seen in rows)
        return tuple(found.values())

    async def describe_health(self, instance_ids: Sequence[str]) -> tuple[MachineHealth, ...]:
        found: list[MachineHealth] = []
        for ids in _chunks(instance_ids, _STATUS_IDS):
            found.extend(await self._known_health(ids))
        return tuple(found)

    async def describe_spot_requests(self, filters: Sequence[Filter]) -> tuple[SpotRequest, ...]:
        rows = await self._all_pages(actions.DESCRIBE_SPOT_INSTANCE_REQUESTS, {"Filters": _filters(filters)})
        return tuple(
            SpotRequest(row.instance.birth.spot_request_id, row.instance.id, row.state, row.status_code, row.tags)
            for row in rows
        )

    async def run_instances(self, request: RunRequest, before_send: BeforeSend = nothing_before) -> tuple[Machine, ...]:
        await before_send()
        params = _run_params(request)
        reservation = await self._call(actions.RUN_INSTANCES, params)
        return tuple(machine_of(seen) for seen in reservation.seen)

    async def terminate_instances(self, instance_ids: Sequence[str]) -> None:
        await self._by_ids(actions.TERMINATE_INSTANCES, instance_ids)

    async def stop_instances(self, instance_ids: Sequence[str]) -> None:
        await self._by_ids(actions.STOP_INSTANCES, instance_ids)

    async def start_instances(self, instance_ids: Sequence[str]) -> None:
        await self._by_ids(actions.START_INSTANCES, instance_ids)

    async def reboot_instances(self, instance_ids: Sequence[str]) -> None:
        await self._by_ids(actions.REBOOT_INSTANCES, instance_ids)

    async def create_tags(self, resource_ids: Sequence[str], tags: Mapping[str, str]) -> None:
        pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
        await self._call(actions.CREATE_TAGS, {"Resources": list(resource_ids), "Tags": pairs})

    async def get_parameters(self, names: Sequence[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for some in _chunks(names, _PARAMETERS):
            answer = await self._call(actions.GET_PARAMETERS, {"Names": some})
            found.update((one.name, one.value) for one in answer.found)
        return found

    async def describe_images(self, image_ids: Sequence[str]) -> tuple[Image, ...]:
        rows = [
            row
            for ids in _chunks(image_ids, MAX_FILTER_VALUES)
            for row in await self._all_pages(actions.DESCRIBE_IMAGES, {"Filters": _filters([("image-id", tuple(ids))])})
        ]
        return tuple(Image(row.id, row.root_device_name, row.architecture, row.state) for row in rows)

    async def describe_subnets(self, subnet_ids: Sequence[str]) -> tuple[Subnet, ...]:
        rows = [
            row
            for ids in _chunks(subnet_ids, MAX_FILTER_VALUES)
            for row in await self._all_pages(
                actions.DESCRIBE_SUBNETS, {"Filters": _filters([("subnet-id", tuple(ids))])}
            )
        ]
        return tuple(Subnet(row.spec.id, row.spec.zone, row.spec.vpc_id) for row in rows)

    async def _known_health(self, instance_ids: list[str]) -> list[MachineHealth]:
        """By id, without those that EC2 does not know; each refusal names some, so this ends."""
        ids = instance_ids
        while ids:
            try:
                page = await self._call(
                    actions.DESCRIBE_INSTANCE_STATUS, {"InstanceIds": ids, "IncludeAllInstances": True}
                )
            except CloudError as error:
                known = [one for one in ids if one not in error.ids]
                if error.kind is not CloudErrorKind.NOT_FOUND or len(known) == len(ids):
                    raise
                ids = known
            else:
                return [health_of(seen) for seen in page.rows]
        return []

    async def _by_ids(self, action: Action[R], instance_ids: Sequence[str]) -> None:
        await self._call(action, {"InstanceIds": list(instance_ids)})

    async def _all_pages(self, action: Action[Page[Row]], params: Params) -> list[Row]:
        rows: list[Row] = []
        page = await self._call(action, params | {"MaxResults": _PAGE})
        rows.extend(page.rows)
        while page.next_token:
            page = await self._call(action, params | {"MaxResults": _PAGE, "NextToken": page.next_token})
            rows.extend(page.rows)
        return rows

    async def _call(self, action: Action[R], params: Params) -> R:
        return await call(self._world, self._region, action, params, self._caller)


async def call(world: World, region: str, action: Action[R], params: Params, caller: str) -> R:
    """One call to the core, with its latency. Raises CloudError."""
    await asyncio.sleep(world.latency_s / 2)
    try:
        answer = world.call(region, action, params, caller)
    except Ec2Error as error:
        await asyncio.sleep(world.latency_s / 2)
        raise cloud_error(error.code, error.message, action=action.name, status=error.http_status) from None
    except ReplyLostError as error:
        await asyncio.sleep(world.latency_s / 2)
        raise CloudError(CloudErrorKind.UNKNOWN_RESULT, "ReplyLost", str(error), action=action.name) from None
    except UnreachableError as error:
        raise CloudError(CloudErrorKind.UNREACHABLE, "Unreachable", str(error), action=action.name) from None
    await asyncio.sleep(world.latency_s / 2)
    return answer


def machine_of(seen: Seen) -> Machine:
    birth, view = seen.instance.birth, seen.view
    return Machine(
        instance_id=birth.instance_id,
        state=view.state,
        type=birth.type,
        zone=birth.zone,
        subnet_id=birth.subnet_id if view.in_network else "",
        image_id=birth.image_id,
        launched_at=view.launched_at,
        ami_launch_index=birth.ami_launch_index,
        client_token=birth.client_token,
        private_ip=view.private_ip,
        public_ip=view.public_ip,
        lifecycle=birth.lifecycle,
        state_reason=view.reason.code,
        tags=view.tags,
    )


def health_of(seen: Seen) -> MachineHealth:
    checks = next(check for check in _WORST_FIRST if check in seen.view.checks)
    return MachineHealth(seen.instance.id, seen.view.state, checks, seen.view.impaired_since)


def _run_params(request: RunRequest) -> Params:
    """boto3's arguments as boto3 sends them: it encodes UserData."""
    params: dict[str, Any] = dict(request.parameters)
    if "UserData" in params:
        params["UserData"] = base64.b64encode(params["UserData"].encode()).decode()
    return params | {
        "ClientToken": request.client_token,
        "MinCount": request.min_count,
        "MaxCount": request.max_count,
    }


def _filters(filters: Sequence[Filter]) -> list[dict[str, Any]]:
    return [{"Name": name, "Values": list(values)} for name, values in filters]


def _chunks(items: Sequence[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])
