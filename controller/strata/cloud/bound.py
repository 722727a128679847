"""BoundCloud: a region's Cloud that changes nothing once its credentials are known to be of another account.

With the credentials of another account every answer is complete, and empty: all machines would look lost.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog

from strata.cloud.port import BeforeSend, Cloud, Filter, RunRequest, nothing_before
from strata.errors import CloudError, CloudErrorKind
from strata.resources.machine import Image, Machine, MachineHealth, SpotRequest, Subnet

log = structlog.get_logger(__name__)

_FRESH_S = 60.0  # credentials may be replaced under a running process

Expect = Callable[[str], Awaitable[str]]  # (the account that is) -> the account that should be


class BoundCloud:
    """Implements strata.cloud.port.Cloud over another one."""

    def __init__(self, cloud: Cloud, expect: Expect) -> None:
        """`expect` is asked after each answer of account(). It raises CloudError if it cannot know now."""
        self._cloud = cloud
        self._expect = expect
        self._asked_s: float | None = None
        self._wrong: CloudError | None = None

    async def account(self) -> str:
        self._asked_s = asyncio.get_running_loop().time()
        account = await self._cloud.account()
        expected = await self._expect(account)
        if account == expected:
            self._wrong = None
            return account
        message = f"the credentials are of account {account}, and our machines are in account {expected}"
        self._wrong = CloudError(CloudErrorKind.WRONG_ACCOUNT, "WrongAccount", message, action="GetCallerIdentity")
        raise self._wrong

    async def describe_instances(self, filters: Sequence[Filter]) -> tuple[Machine, ...]:
        return await self._cloud.describe_instances(filters)

    async def describe_impaired(self) -> tuple[MachineHealth, ...]:
        return await self._cloud.describe_impaired()

    async def describe_health(self, instance_ids: Sequence[str]) -> tuple[MachineHealth, ...]:
        return await self._cloud.describe_health(instance_ids)

    async def describe_spot_requests(self, filters: Sequence[Filter]) -> tuple[SpotRequest, ...]:
        return await self._cloud.describe_spot_requests(filters)

    async def run_instances(self, request: RunRequest, before_send: BeforeSend = nothing_before) -> tuple[Machine, ...]:
        await self._require()
        return await self._cloud.run_instances(request, before_send)

    async def terminate_instances(self, instance_ids: Sequence[str]) -> None:
        await self._require()
        await self._cloud.terminate_instances(instance_ids)

    async def stop_instances(self, instance_ids: Sequence[str]) -> None:
        await self._require()
        await self._cloud.stop_instances(instance_ids)

    async def start_instances(self, instance_ids: Sequence[str]) -> None:
        await self._require()
        await self._cloud.start_instances(instance_ids)

    async def reboot_instances(self, instance_ids: Sequence[str]) -> None:
        await self._require()
        await self._cloud.reboot_instances(instance_ids)

    async def create_tags(self, resource_ids: Sequence[str], tags: Mapping[str, str]) -> None:
        await self._require()
        await self._cloud.create_tags(resource_ids, tags)

    async def get_parameters(self, names: Sequence[str]) -> dict[str, str]:
        return await self._cloud.get_parameters(names)

    async def describe_images(self, image_ids: Sequence[str]) -> tuple[Image, ...]:
        return await self._cloud.describe_images(image_ids)

    async def describe_subnets(self, subnet_ids: Sequence[str]) -> tuple[Subnet, ...]:
        return await self._cloud.describe_subnets(subnet_ids)

    async def _require(self) -> None:
        """Raise if the account is known to be another. That STS does not answer keeps nothing from being healed: a
        launch into another account finds no subnet there, and absence is never believed without STS's word."""
        now_s = asyncio.get_running_loop().time()
        if self._asked_s is None or now_s - self._asked_s >= _FRESH_S:
            try:
                await self.account()
            except CloudError as error:
                log.info("account not known", error=str(error))
        if self._wrong is not None:
            raise self._wrong
