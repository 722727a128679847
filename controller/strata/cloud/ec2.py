"""Ec2Cloud: the port to EC2 and SSM of one region, over boto3. Says what each call asks and how its answer is read.

Lists are never trusted to be filtered, and never partial: all pages, or CloudError. Nothing here retries.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from strata.clock import Clock
from strata.cloud.calls import Calls, Fence, no_fence
from strata.cloud.filters import INSTANCE_FIELDS, SPOT_FIELDS, Matcher, require_checkable, within_limits
from strata.cloud.lazy_sdk import LazySdk
from strata.cloud.parser import Page, PageParser
from strata.cloud.port import MAX_FILTER_VALUES, BeforeSend, Filter, RunRequest, nothing_before
from strata.errors import CloudError, CloudErrorKind
from strata.metrics import DaemonMetrics
from strata.resources.machine import Image, Machine, MachineHealth, SpotRequest, Subnet

if TYPE_CHECKING:
    from strata.cloud.sdk import Reply

_PAGE: Final = 1000  # the most that EC2 gives
_STATUS_IDS: Final = 100  # DescribeInstanceStatus takes no more
_PARAMETERS: Final = 10  # nor does GetParameters
_TAGGED: Final = 500  # CreateTags takes 1,000, and asks for fewer
_CHECK_FILTERS: Final = ("instance-status.status", "system-status.status", "attached-ebs-status.status")

T = TypeVar("T")


class Ec2Cloud:
    """EC2 and SSM of one region at one endpoint; None is AWS. Implements strata.cloud.port.Cloud."""

    def __init__(
        self,
        region: str,
        endpoint_url: str | None,
        clock: Clock,
        metrics: DaemonMetrics,
        *,
        sdk: LazySdk | None = None,
        fence: Fence = no_fence,
        rate: float = 1.0,
    ) -> None:
        """Share `sdk` between the regions of a process: a session costs 36 MB. `fence` is called right before each
        mutating call is sent, after any wait for tokens, and raises if this process may not act (any more). `rate`
        times EC2's published limits is what the account has."""
        self._calls = Calls(sdk or LazySdk(), region, endpoint_url, clock, metrics, fence, rate=rate)
        self._parser = PageParser()

    async def close(self) -> None:
        """Wait for the calls that run, then close the connections."""
        await self._calls.close()

    async def account(self) -> str:
        """See Cloud. STS answers this to anybody whose credentials are valid: no policy needs to allow it."""
        return await self._calls.send("sts", "GetCallerIdentity", {}, _read_account)

    async def describe_instances(self, filters: Sequence[Filter]) -> tuple[Machine, ...]:
        """See Cloud. More than MAX_FILTER_VALUES values of a filter are asked for in several calls."""
        require_checkable(filters, INSTANCE_FIELDS)
        wanted = Matcher(filters, INSTANCE_FIELDS)

        def read(reply: "Reply") -> Page[Machine]:
            page = self._parser.describe_instances(reply.page)
            return Page(tuple(machine for machine in page.items if wanted(machine)), page.next_token)

        # By id: a machine may move to a later page, or match in two calls. What came last is newest.
        found: dict[str, Machine] = {}
        for some in within_limits(filters):
            asked = {"Filters": _filters(some)} if some else {}
            for machine in await self._all_pages("DescribeInstances", asked, read):
                found[machine.instance_id] = machine
        return tuple(found.values())

    async def describe_impaired(self) -> tuple[MachineHealth, ...]:
        """See Cloud. EC2 joins filters by AND, so it takes a call for each of the three checks."""
        found: dict[str, MachineHealth] = {}
        for name in _CHECK_FILTERS:
            asked = {"Filters": _filters([(name, ("impaired",))])}
            for health in await self._all_pages("DescribeInstanceStatus", asked, self._read_health):
                if health.checks == "impaired":
                    found[health.instance_id] = health
        return tuple(found.values())

    async def describe_health(self, instance_ids: Sequence[str]) -> tuple[MachineHealth, ...]:
        """See Cloud. One unknown id fails EC2's call, so the ids that the refusal names are left out and the rest asked
        for again; a refusal that names none halves the ids. Either way each call asks for fewer."""
        found: list[MachineHealth] = []
        todo = [list(ids) for ids in _chunks(dict.fromkeys(instance_ids), _STATUS_IDS)]
        while todo:
            ids = todo.pop()
            try:
                found.extend(await self._health_of(ids))
            except CloudError as error:
                if error.kind is not CloudErrorKind.NOT_FOUND and not error.ids:
                    raise
                todo.extend(_without(ids, error.ids))
        return tuple(found)

    async def describe_spot_requests(self, filters: Sequence[Filter]) -> tuple[SpotRequest, ...]:
        """See Cloud. Few at any time are what is asked for, so botocore may parse them."""
        require_checkable(filters, SPOT_FIELDS)
        wanted = Matcher(filters, SPOT_FIELDS)
        found: dict[str, SpotRequest] = {}
        for some in within_limits(filters):
            asked = {"Filters": _filters(some)} if some else {}
            for request in await self._all_pages("DescribeSpotInstanceRequests", asked, _read_spot_requests):
                if wanted(request):
                    found[request.request_id] = request
        return tuple(found.values())

    async def run_instances(self, request: RunRequest, before_send: BeforeSend = nothing_before) -> tuple[Machine, ...]:
        """See Cloud. An answer that can not be the whole answer to this request is an unknown result."""
        parameters = {
            **request.parameters,
            "ClientToken": request.client_token,
            "MinCount": request.min_count,
            "MaxCount": request.max_count,
        }
        return await self._calls.send(
            "ec2",
            "RunInstances",
            parameters,
            lambda reply: self._launched(reply, request),
            resources=request.max_count,
            before_send=before_send,
        )

    async def terminate_instances(self, instance_ids: Sequence[str]) -> None:
        await self._change("TerminateInstances", instance_ids)

    async def stop_instances(self, instance_ids: Sequence[str]) -> None:
        await self._change("StopInstances", instance_ids)

    async def start_instances(self, instance_ids: Sequence[str]) -> None:
        await self._change("StartInstances", instance_ids)

    async def reboot_instances(self, instance_ids: Sequence[str]) -> None:
        await self._change("RebootInstances", instance_ids)

    async def create_tags(self, resource_ids: Sequence[str], tags: Mapping[str, str]) -> None:
        pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
        for ids in _chunks(resource_ids, _TAGGED):
            await self._calls.send("ec2", "CreateTags", {"Resources": ids, "Tags": pairs}, _read_nothing)

    async def get_parameters(self, names: Sequence[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for some in _chunks(dict.fromkeys(names), _PARAMETERS):
            found |= await self._calls.send("ssm", "GetParameters", {"Names": some}, _read_parameters)
        return found

    async def describe_images(self, image_ids: Sequence[str]) -> tuple[Image, ...]:
        """See Cloud. By filter: with ImageIds, one image that is gone or not shared with us fails the whole call."""
        found: list[Image] = []
        for ids in _chunks(dict.fromkeys(image_ids), MAX_FILTER_VALUES):
            # Without IncludeDeprecated a filter hides images that a Stack may name; they can still be launched.
            # Not paged: pages of a filter on all public images may come empty, for thousands of calls.
            asked = {"Filters": _filters([("image-id", ids)]), "IncludeDeprecated": True}
            found += await self._all_pages("DescribeImages", asked, _read_images, paged=False)
        return tuple(image for image in found if image.image_id in set(image_ids))

    async def describe_subnets(self, subnet_ids: Sequence[str]) -> tuple[Subnet, ...]:
        found: list[Subnet] = []
        for ids in _chunks(dict.fromkeys(subnet_ids), MAX_FILTER_VALUES):
            found += await self._all_pages(
                "DescribeSubnets", {"Filters": _filters([("subnet-id", ids)])}, _read_subnets
            )
        return tuple(subnet for subnet in found if subnet.subnet_id in set(subnet_ids))

    async def _all_pages(
        self, action: str, asked: Mapping[str, Any], read: "Callable[[Reply], Page[T]]", *, paged: bool = True
    ) -> list[T]:
        """Every item of every page. Raises CloudError if only one page cannot be had."""
        found: list[T] = []
        parameters = {**asked, **({"MaxResults": _PAGE} if paged else {})}
        seen: set[str] = set()
        while True:
            page = await self._calls.send("ec2", action, parameters, read)
            found.extend(page.items)
            if page.next_token is None:
                return found
            if page.next_token in seen:
                message = "the list goes in circles: a NextToken came twice"
                raise CloudError(CloudErrorKind.UNKNOWN_RESULT, "UnusableAnswer", message, action=action)
            seen.add(page.next_token)
            parameters["NextToken"] = page.next_token

    async def _health_of(self, ids: list[str]) -> list[MachineHealth]:
        # IncludeAllInstances: else only running ones are told. MaxResults may not stand beside InstanceIds.
        asked = {"InstanceIds": ids, "IncludeAllInstances": True}
        page = await self._calls.send("ec2", "DescribeInstanceStatus by id", asked, self._read_health)
        if page.next_token is not None:
            message = "an answer by ids came in pages"
            raise CloudError(CloudErrorKind.UNKNOWN_RESULT, "UnusableAnswer", message, action="DescribeInstanceStatus")
        return [health for health in page.items if health.instance_id in set(ids)]

    async def _change(self, action: str, instance_ids: Sequence[str]) -> None:
        """Change the power of these machines. One call, so that a refusal leaves nothing half done."""
        if instance_ids:
            asked = {"InstanceIds": list(instance_ids)}
            await self._calls.send("ec2", action, asked, _read_nothing, resources=len(instance_ids))

    def _read_health(self, reply: "Reply") -> Page[MachineHealth]:
        return self._parser.describe_instance_status(reply.page)

    def _launched(self, reply: "Reply", request: RunRequest) -> tuple[Machine, ...]:
        machines = self._parser.run_instances(reply.page).items
        strange = [machine for machine in machines if machine.client_token not in ("", request.client_token)]
        if strange or not request.min_count <= len(machines) <= request.max_count:
            message = (
                f"{len(machines)} machines for {request.min_count} to {request.max_count}, {len(strange)} of others"
            )
            raise CloudError(CloudErrorKind.UNKNOWN_RESULT, "UnusableAnswer", message, action="RunInstances")
        return machines


def _read_nothing(_: "Reply") -> None:
    """The call's answer tells only what was asked for."""


def _read_account(reply: "Reply") -> str:
    return str(reply.parsed["Account"])


def _read_parameters(reply: "Reply") -> dict[str, str]:
    # A name may end in :version or :label, which the answer has in Selector.
    return {one["Name"] + one.get("Selector", ""): one["Value"] for one in reply.parsed["Parameters"]}


def _read_spot_requests(reply: "Reply") -> Page[SpotRequest]:
    requests = tuple(
        SpotRequest(
            request_id=one["SpotInstanceRequestId"],
            instance_id=one.get("InstanceId", ""),
            state=one["State"],
            status_code=one.get("Status", {}).get("Code", ""),
            tags={tag["Key"]: tag["Value"] for tag in one.get("Tags", ())},
        )
        for one in reply.parsed.get("SpotInstanceRequests", ())
    )
    return Page(requests, reply.parsed.get("NextToken") or None)


def _read_images(reply: "Reply") -> Page[Image]:
    images = tuple(
        Image(one["ImageId"], one.get("RootDeviceName", ""), one.get("Architecture", ""), one.get("State", ""))
        for one in reply.parsed["Images"]
    )
    return Page(images, reply.parsed.get("NextToken") or None)


def _read_subnets(reply: "Reply") -> Page[Subnet]:
    subnets = tuple(Subnet(one["SubnetId"], one["AvailabilityZone"], one["VpcId"]) for one in reply.parsed["Subnets"])
    return Page(subnets, reply.parsed.get("NextToken") or None)


def _filters(filters: Iterable[tuple[str, Sequence[str]]]) -> list[dict[str, Any]]:
    return [{"Name": name, "Values": list(values)} for name, values in filters]


def _chunks(values: Iterable[str], size: int) -> Iterator[list[str]]:
    rest = iter(values)
    while chunk := list(itertools.islice(rest, size)):
        yield chunk


def _without(ids: list[str], unknown: Sequence[str]) -> list[list[str]]:
    """What is left to ask for after a refusal: all but the ids that it named, else both halves."""
    known = [one for one in ids if one not in unknown]
    if len(known) < len(ids):
        return [known] if known else []
    half = len(ids) // 2
    return [ids[:half], ids[half:]] if half else []
