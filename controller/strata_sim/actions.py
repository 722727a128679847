"""The table of actions: what each takes, who carries it out, which bucket pays for it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Generic, Literal, TypeVar

from strata_sim import buckets, cloudwatch, describe, inventory, messages, power, run, shapes, spot, tagging
from strata_sim.buckets import Rate
from strata_sim.calls import Trace
from strata_sim.region import Region
from strata_sim.shapes import Params, Struct

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Action(Generic[R]):
    """`rate` None: a Describe, whose class depends on whether it is filtered or paged."""

    name: str
    service: Literal["ec2", "ssm", "sts", "sqs", "cloudwatch"]
    shape: Struct
    handler: Callable[[Region, Params, Trace], R]
    rate: Rate | None = None

    def rate_of(self, params: Params) -> Rate:
        if self.rate is not None:
            return self.rate
        narrowed = params.get("Filters") or "MaxResults" in params or "NextToken" in params
        return buckets.FILTERED if narrowed else buckets.UNFILTERED

    @property
    def rates(self) -> tuple[Rate, ...]:
        """All request classes that the action may be paid from."""
        return (self.rate,) if self.rate is not None else (buckets.FILTERED, buckets.UNFILTERED)

    @property
    def mutating(self) -> bool:
        return self.service == "ec2" and self.rate is not None


RUN_INSTANCES: Final = Action("RunInstances", "ec2", shapes.RUN_INSTANCES, run.run_instances, buckets.LAUNCHING)
DESCRIBE_INSTANCES: Final = Action("DescribeInstances", "ec2", shapes.DESCRIBE_INSTANCES, describe.describe_instances)
DESCRIBE_INSTANCE_STATUS: Final = Action(
    "DescribeInstanceStatus", "ec2", shapes.DESCRIBE_INSTANCE_STATUS, describe.describe_instance_status
)
TERMINATE_INSTANCES: Final = Action(
    "TerminateInstances", "ec2", shapes.TERMINATE_INSTANCES, power.terminate_instances, buckets.TERMINATING
)
STOP_INSTANCES: Final = Action("StopInstances", "ec2", shapes.STOP_INSTANCES, power.stop_instances, buckets.MUTATING)
START_INSTANCES: Final = Action(
    "StartInstances", "ec2", shapes.START_INSTANCES, power.start_instances, buckets.LAUNCHING
)
REBOOT_INSTANCES: Final = Action(
    "RebootInstances", "ec2", shapes.REBOOT_INSTANCES, power.reboot_instances, buckets.MUTATING
)
MODIFY_INSTANCE_ATTRIBUTE: Final = Action(
    "ModifyInstanceAttribute",
    "ec2",
    shapes.MODIFY_INSTANCE_ATTRIBUTE,
    power.modify_instance_attribute,
    buckets.MUTATING,
)
CREATE_TAGS: Final = Action("CreateTags", "ec2", shapes.CREATE_TAGS, tagging.create_tags, buckets.TAGGING)
DELETE_TAGS: Final = Action("DeleteTags", "ec2", shapes.DELETE_TAGS, tagging.delete_tags, buckets.TAGGING)
DESCRIBE_TAGS: Final = Action("DescribeTags", "ec2", shapes.DESCRIBE_TAGS, tagging.describe_tags)
DESCRIBE_SUBNETS: Final = Action("DescribeSubnets", "ec2", shapes.DESCRIBE_SUBNETS, inventory.describe_subnets)
DESCRIBE_IMAGES: Final = Action("DescribeImages", "ec2", shapes.DESCRIBE_IMAGES, inventory.describe_images)
DESCRIBE_VPCS: Final = Action("DescribeVpcs", "ec2", shapes.DESCRIBE_VPCS, inventory.describe_vpcs)
GET_PARAMETERS: Final = Action(
    "GetParameters", "ssm", shapes.GET_PARAMETERS, inventory.get_parameters, buckets.PARAMETERS
)
GET_PARAMETER: Final = Action("GetParameter", "ssm", shapes.GET_PARAMETER, inventory.get_parameter, buckets.PARAMETERS)
GET_CALLER_IDENTITY: Final = Action(
    "GetCallerIdentity", "sts", shapes.GET_CALLER_IDENTITY, inventory.get_caller_identity
)
DESCRIBE_SPOT_INSTANCE_REQUESTS: Final = Action(
    "DescribeSpotInstanceRequests",
    "ec2",
    shapes.DESCRIBE_SPOT_INSTANCE_REQUESTS,
    spot.describe_spot_instance_requests,
)
RECEIVE_MESSAGE: Final = Action(
    "ReceiveMessage", "sqs", shapes.RECEIVE_MESSAGE, messages.receive_message, buckets.MESSAGES
)
DELETE_MESSAGE: Final = Action("DeleteMessage", "sqs", shapes.DELETE_MESSAGE, messages.delete_message, buckets.MESSAGES)
DELETE_MESSAGE_BATCH: Final = Action(
    "DeleteMessageBatch", "sqs", shapes.DELETE_MESSAGE_BATCH, messages.delete_message_batch, buckets.MESSAGES
)
GET_METRIC_DATA: Final = Action(
    "GetMetricData", "cloudwatch", cloudwatch.GET_METRIC_DATA, cloudwatch.get_metric_data, buckets.METRICS
)
DESCRIBE_ALARMS: Final = Action(
    "DescribeAlarms", "cloudwatch", cloudwatch.DESCRIBE_ALARMS, cloudwatch.describe_alarms, buckets.ALARMS
)

_ALL: tuple[Action[Any], ...] = (
    GET_METRIC_DATA,
    DESCRIBE_ALARMS,
    RUN_INSTANCES,
    DESCRIBE_INSTANCES,
    DESCRIBE_INSTANCE_STATUS,
    TERMINATE_INSTANCES,
    STOP_INSTANCES,
    START_INSTANCES,
    REBOOT_INSTANCES,
    MODIFY_INSTANCE_ATTRIBUTE,
    CREATE_TAGS,
    DELETE_TAGS,
    DESCRIBE_TAGS,
    DESCRIBE_SUBNETS,
    DESCRIBE_IMAGES,
    DESCRIBE_VPCS,
    GET_PARAMETERS,
    GET_PARAMETER,
    GET_CALLER_IDENTITY,
    DESCRIBE_SPOT_INSTANCE_REQUESTS,
    RECEIVE_MESSAGE,
    DELETE_MESSAGE,
    DELETE_MESSAGE_BATCH,
)
ACTIONS: Final[Mapping[str, Action[Any]]] = MappingProxyType({action.name: action for action in _ALL})
