"""What AWS documents about requests, as a judge of them: botocore's own service model, and limits that no model holds.

boto3 itself checks less than people think: names, types and what is required, and the least of a length or a number. It
checks no greatest length, no choice, no pattern. `judge` checks those of the model as well, then the numbers that stand
only in the documentation. It cannot check what only EC2 knows, such as whether an id exists.
"""

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import botocore.session
from botocore.model import ListShape, ServiceModel, Shape, StringShape, StructureShape
from botocore.validate import ParamValidator

Request = Mapping[str, Any]

_FILTERS = 50
_FILTER_VALUES = 200
_FILTER_VALUE_CHARS = 255
_TAGS = 50
_TAG_KEY_CHARS = 128
_TAG_VALUE_CHARS = 256
_TOKEN_CHARS = 64
_USER_DATA_BYTES = 16 * 1024  # raw, before botocore encodes it
_GROUP_ID = re.compile(r"sg-[0-9a-z]{1,60}")
_GROUPS = 16
_SIZES_GIB = {"gp3": 65536, "gp2": 16384, "standard": 1024}
_MACHINES = 1000
_STATUS_IDS = 100
_PAGE = range(5, 1001)
_METRIC_ID = re.compile(r"[a-z][A-Za-z0-9_]{0,254}")
_METRIC_QUERIES = 500
_ENTRIES = 10
_ENTRY_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def judge(service: str, action: str, request: Request) -> list[str]:
    """What AWS would refuse of this request, as boto3 takes it; [] if nothing."""
    operation = _model(service).operation_model(action)
    shape = operation.input_shape
    if shape is None:
        return [f"{action} takes no parameters"] if request else []
    report = ParamValidator().validate(request, shape)
    if report.has_errors():
        return [str(report.generate_report())]
    found = [*_by_model(shape, request, action), *_by_every_rule(shape, request)]
    return found + list(_BY_ACTION[action](request))


@functools.cache
def _model(service: str) -> ServiceModel:
    return botocore.session.get_session().get_service_model(service)


def _by_model(shape: Shape, value: Any, path: str) -> Iterator[str]:
    """What the model says and boto3 does not check."""
    if isinstance(shape, StructureShape):
        for name, member in value.items():
            yield from _by_model(shape.members[name], member, f"{path}.{name}")
    elif isinstance(shape, ListShape):
        yield from _length(shape, len(value), path)
        for index, member in enumerate(value):
            yield from _by_model(shape.member, member, f"{path}[{index}]")
    elif isinstance(shape, StringShape):
        yield from _length(shape, len(value), path)
        if shape.enum and value not in shape.enum:
            yield f"{path} is {value!r}, which is none of its choices"
        if "pattern" in shape.metadata and not re.fullmatch(shape.metadata["pattern"], value):
            yield f"{path} is {value!r}, which does not match its pattern"
    elif isinstance(value, int):
        yield from _length(shape, value, path)


def _length(shape: Shape, number: int, path: str) -> Iterator[str]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if (least is not None and number < least) or (most is not None and number > most):
        yield f"{path} has {number}, and its limits are {least} and {most}"


# -- what holds for every action that has it -----------------------------------------------------------------------


def _by_every_rule(shape: StructureShape, request: Request) -> Iterator[str]:
    if "Filters" in request:
        yield from _filters(request["Filters"], shape.members["Filters"].documentation)
    if len(request.get("ClientToken", "")) > _TOKEN_CHARS or not request.get("ClientToken", "").isascii():
        yield f"ClientToken has more than {_TOKEN_CHARS} ASCII characters"
    ids = request.get("InstanceIds", ())
    if len(ids) > _MACHINES:
        yield f"{len(ids)} instance ids in one call"
    if "MaxResults" in request and (ids or request["MaxResults"] not in _PAGE):
        yield "MaxResults beside ids, or out of its limits"


def _filters(filters: list[dict[str, Any]], documentation: str) -> Iterator[str]:
    if len(filters) > _FILTERS:
        yield f"{len(filters)} filters"
    for one in filters:
        name, values = one["Name"], one["Values"]
        told = "tag" if name.startswith("tag:") else name
        if f"<code>{told}</code>" not in documentation and f"<code>{told}:&lt;key&gt;</code>" not in documentation:
            yield f"{name} is no filter of this action"
        if not 1 <= len(values) <= _FILTER_VALUES:
            yield f"filter {name} has {len(values)} values"
        if any(not 1 <= len(value) <= _FILTER_VALUE_CHARS for value in values):
            yield f"a value of filter {name} is empty or too long"


def _tags(tags: list[dict[str, str]]) -> Iterator[str]:
    if len(tags) > _TAGS or len({tag["Key"] for tag in tags}) < len(tags):
        yield f"{len(tags)} tags, or a key twice"
    for tag in tags:
        if not 1 <= len(tag["Key"]) <= _TAG_KEY_CHARS or tag["Key"].lower().startswith("aws:"):
            yield f"tag key {tag['Key']!r}"
        if len(tag["Value"]) > _TAG_VALUE_CHARS:
            yield f"the value of tag {tag['Key']} has {len(tag['Value'])} characters"


# -- by action -----------------------------------------------------------------------------------------------------


def _run_instances(request: Request) -> Iterator[str]:
    if not 1 <= request["MinCount"] <= request["MaxCount"] <= _MACHINES:
        yield "MinCount or MaxCount"
    wrong = {name: request.get(name) for name, fits in _LAUNCH.items() if name in request and not fits(request[name])}
    if wrong:
        yield f"EC2 would not take {wrong}"
    for one in request["TagSpecifications"]:
        yield from _tags(one["Tags"])
    # Where a launch has them readable, EC2 refuses tag keys with a slash, and ours have one. An account or an image
    # may turn it on for all that do not say.
    if request["MetadataOptions"].get("InstanceMetadataTags") != "disabled":
        yield "tags may be readable from inside the machine"


def _fitting_volumes(mappings: list[dict[str, Any]]) -> bool:
    volumes = [mapping["Ebs"] for mapping in mappings]
    return all(1 <= one.get("VolumeSize", 1) <= _SIZES_GIB.get(one["VolumeType"], 0) for one in volumes)


_LAUNCH: Mapping[str, Callable[[Any], Any]] = {
    "ImageId": re.compile(r"ami-[0-9a-z]{1,60}").fullmatch,
    "SubnetId": re.compile(r"subnet-[0-9a-z]{1,57}").fullmatch,
    "SecurityGroupIds": lambda ids: len(ids) <= _GROUPS and all(_GROUP_ID.fullmatch(one) for one in ids),
    "KeyName": re.compile(r"[!-~]([ -~]{0,253}[!-~])?").fullmatch,
    "UserData": lambda text: len(text.encode()) <= _USER_DATA_BYTES,
    "IamInstanceProfile": lambda profile: re.fullmatch(r"[\w+=,.@-]{1,128}", profile["Name"], re.ASCII),
    "BlockDeviceMappings": _fitting_volumes,
}


def _create_tags(request: Request) -> Iterator[str]:
    if not 1 <= len(request["Resources"]) <= _MACHINES:
        yield f"{len(request['Resources'])} resources"
    yield from _tags(request["Tags"])


def _some_ids(request: Request) -> Iterator[str]:
    if not request["InstanceIds"]:
        yield "no instance ids"


def _instance_status(request: Request) -> Iterator[str]:
    if len(request.get("InstanceIds", ())) > _STATUS_IDS:
        yield f"{len(request['InstanceIds'])} instance ids"


def _metric_data(request: Request) -> Iterator[str]:
    queries = request["MetricDataQueries"]
    ids = {query["Id"] for query in queries}
    if not 1 <= len(queries) <= _METRIC_QUERIES or len(ids) < len(queries):
        yield f"{len(queries)} queries with {len(ids)} ids"
    if not all(_METRIC_ID.fullmatch(one) for one in ids):
        yield f"query ids {sorted(ids)}"
    if any(query["MetricStat"]["Period"] % 60 for query in queries):
        yield "a period that is no whole minutes"
    if request["StartTime"] >= request["EndTime"]:
        yield "a time that ends before it begins"


def _alarms(request: Request) -> Iterator[str]:
    if any(_CONTROL.search(name) for name in request["AlarmNames"]):
        yield "a control character in an alarm's name"


def _delete_messages(request: Request) -> Iterator[str]:
    ids = {entry["Id"] for entry in request["Entries"]}
    if not 1 <= len(request["Entries"]) <= _ENTRIES or len(ids) < len(request["Entries"]):
        yield f"{len(request['Entries'])} entries with {len(ids)} ids"
    if not all(_ENTRY_ID.fullmatch(one) for one in ids):
        yield f"entry ids {sorted(ids)}"


def _receive(request: Request) -> Iterator[str]:
    if request["MaxNumberOfMessages"] not in range(1, 11) or request["WaitTimeSeconds"] not in range(21):
        yield "MaxNumberOfMessages or WaitTimeSeconds"


def _nothing_more(_: Request) -> Iterator[str]:
    yield from ()


_BY_ACTION: Mapping[str, Callable[[Request], Iterator[str]]] = {
    "RunInstances": _run_instances,
    "StartInstances": _some_ids,
    "StopInstances": _some_ids,
    "RebootInstances": _some_ids,
    "TerminateInstances": _some_ids,
    "CreateTags": _create_tags,
    "DescribeInstances": _nothing_more,
    "DescribeInstanceStatus": _instance_status,
    "DescribeSpotInstanceRequests": _nothing_more,
    "DescribeImages": _nothing_more,
    "DescribeSubnets": _nothing_more,
    "GetParameters": _nothing_more,
    "GetCallerIdentity": _nothing_more,
    "GetMetricData": _metric_data,
    "DescribeAlarms": _alarms,
    "ReceiveMessage": _receive,
    "DeleteMessageBatch": _delete_messages,
}
