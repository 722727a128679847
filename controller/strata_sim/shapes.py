"""What every action takes: names as boto3 has them, names on the wire, and types.

One table serves both faces: the in-process one checks its arguments with it, the HTTP one decodes forms with it.
A parameter that is not here is refused, never ignored: a fake that ignores what it does not know proves nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from strata_sim.errors import Ec2Error, invalid_value

Params = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Scalar:
    kind: Literal["string", "integer", "boolean", "timestamp"]


@dataclass(frozen=True, slots=True)
class Many:
    """A list; on the wire its items are numbered from 1 behind the name."""

    of: "Shape"


@dataclass(frozen=True, slots=True)
class Struct:
    """`fields`: boto3's name -> (the wire's name, its shape)."""

    fields: Mapping[str, tuple[str, "Shape"]]
    required: tuple[str, ...] = ()


Shape = Scalar | Many | Struct

STRING, INTEGER, BOOLEAN, TIMESTAMP = Scalar("string"), Scalar("integer"), Scalar("boolean"), Scalar("timestamp")
_PYTHON: dict[str, type] = {"string": str, "integer": int, "boolean": bool, "timestamp": datetime}


def _same(**fields: Shape) -> dict[str, tuple[str, Shape]]:
    """Fields whose wire name is their own."""
    return {name: (name, shape) for name, shape in fields.items()}


def check(shape: Shape, value: object, path: str = "") -> Any:  # noqa: ANN401 - JSON
    """The value, copied; raises Ec2Error on an unknown parameter, a missing one or a wrong type."""
    match shape:
        case Struct():
            return _check_struct(shape, value, path)
        case Many(of=of):
            if not isinstance(value, list | tuple):
                raise invalid_value(path, value, "Expecting a list.")
            return [check(of, item, f"{path}.{n}") for n, item in enumerate(value, 1)]
        case Scalar(kind=kind):
            if type(value) is not _PYTHON[kind]:
                raise invalid_value(path, value, f"Expecting a value of type {kind}.")
            return value


def _check_struct(shape: Struct, value: object, path: str) -> Params:
    if not isinstance(value, Mapping):
        raise invalid_value(path, value, "Expecting a structure.")
    unknown = [name for name in value if name not in shape.fields]
    if unknown:
        raise unknown_parameter(f"{path}.{unknown[0]}".lstrip("."))
    for name in shape.required:
        if name not in value:
            raise Ec2Error("MissingParameter", f"The request must contain the parameter {f'{path}.{name}'.lstrip('.')}")
    return {name: check(shape.fields[name][1], item, f"{path}.{name}".lstrip(".")) for name, item in value.items()}


def unknown_parameter(name: str) -> Ec2Error:
    return Ec2Error("UnknownParameter", f"The parameter {name} is not recognized")


_IDS: dict[str, tuple[str, Shape]] = {"InstanceIds": ("InstanceId", Many(STRING))}
_DRY = _same(DryRun=BOOLEAN)
_FILTER = Struct({"Name": ("Name", STRING), "Values": ("Value", Many(STRING))}, required=("Name",))
_FILTERS: dict[str, tuple[str, Shape]] = {"Filters": ("Filter", Many(_FILTER))}
_PAGES = _same(MaxResults=INTEGER, NextToken=STRING)
_TAG = Struct(_same(Key=STRING, Value=STRING), required=("Key",))
_TAGS: dict[str, tuple[str, Shape]] = {"Tags": ("Tag", Many(_TAG))}
_EBS = Struct(
    _same(
        DeleteOnTermination=BOOLEAN,
        Encrypted=BOOLEAN,
        Iops=INTEGER,
        KmsKeyId=STRING,
        SnapshotId=STRING,
        Throughput=INTEGER,
        VolumeSize=INTEGER,
        VolumeType=STRING,
    )
)
_METADATA = Struct(
    _same(
        HttpEndpoint=STRING,
        HttpProtocolIpv6=STRING,
        HttpPutResponseHopLimit=INTEGER,
        HttpTokens=STRING,
        InstanceMetadataTags=STRING,
    )
)
_SPOT = Struct(_same(InstanceInterruptionBehavior=STRING, MaxPrice=STRING, SpotInstanceType=STRING))

RUN_INSTANCES = Struct(
    _DRY
    | {
        "BlockDeviceMappings": (
            "BlockDeviceMapping",
            Many(Struct(_same(DeviceName=STRING, Ebs=_EBS), required=("DeviceName",))),
        ),
        "SecurityGroupIds": ("SecurityGroupId", Many(STRING)),
        "TagSpecifications": ("TagSpecification", Many(Struct(_same(ResourceType=STRING) | _TAGS))),
    }
    | _same(
        ClientToken=STRING,
        CreditSpecification=Struct(_same(CpuCredits=STRING)),
        DisableApiTermination=BOOLEAN,
        EbsOptimized=BOOLEAN,
        IamInstanceProfile=Struct(_same(Arn=STRING, Name=STRING)),
        ImageId=STRING,
        InstanceInitiatedShutdownBehavior=STRING,
        InstanceMarketOptions=Struct(_same(MarketType=STRING, SpotOptions=_SPOT)),
        InstanceType=STRING,
        KeyName=STRING,
        MaintenanceOptions=Struct(_same(AutoRecovery=STRING)),
        MaxCount=INTEGER,
        MetadataOptions=_METADATA,
        MinCount=INTEGER,
        Monitoring=Struct(_same(Enabled=BOOLEAN), required=("Enabled",)),
        Placement=Struct(_same(AvailabilityZone=STRING, Tenancy=STRING)),
        SubnetId=STRING,
        UserData=STRING,
    ),
    required=("ImageId", "MinCount", "MaxCount"),
)
DESCRIBE_INSTANCES = Struct(_DRY | _IDS | _FILTERS | _PAGES)
DESCRIBE_INSTANCE_STATUS = Struct(_DRY | _IDS | _FILTERS | _PAGES | _same(IncludeAllInstances=BOOLEAN))
REBOOT_INSTANCES = START_INSTANCES = Struct(_DRY | _IDS, required=("InstanceIds",))
TERMINATE_INSTANCES = STOP_INSTANCES = Struct(
    _DRY | _IDS | _same(Force=BOOLEAN, SkipOsShutdown=BOOLEAN), required=("InstanceIds",)
)
_VALUE = Struct(_same(Value=BOOLEAN))
MODIFY_INSTANCE_ATTRIBUTE = Struct(
    _DRY | _same(InstanceId=STRING, DisableApiTermination=_VALUE), required=("InstanceId", "DisableApiTermination")
)
_RESOURCES: dict[str, tuple[str, Shape]] = {"Resources": ("ResourceId", Many(STRING))}
CREATE_TAGS = Struct(_DRY | _RESOURCES | _TAGS, required=("Resources", "Tags"))
DELETE_TAGS = Struct(_DRY | _RESOURCES | _TAGS, required=("Resources",))
DESCRIBE_TAGS = Struct(_DRY | _FILTERS | _PAGES)
DESCRIBE_SUBNETS = Struct(_DRY | _FILTERS | _PAGES | {"SubnetIds": ("SubnetId", Many(STRING))})
DESCRIBE_VPCS = Struct(_DRY | _FILTERS | _PAGES | {"VpcIds": ("VpcId", Many(STRING))})
DESCRIBE_IMAGES = Struct(
    _DRY
    | _FILTERS
    | _PAGES
    | _same(IncludeDeprecated=BOOLEAN)
    | {"ImageIds": ("ImageId", Many(STRING)), "Owners": ("Owner", Many(STRING))}
)
GET_PARAMETERS = Struct(_same(Names=Many(STRING), WithDecryption=BOOLEAN), required=("Names",))
GET_PARAMETER = Struct(_same(Name=STRING, WithDecryption=BOOLEAN), required=("Name",))
GET_CALLER_IDENTITY = Struct({})
DESCRIBE_SPOT_INSTANCE_REQUESTS = Struct(
    _DRY | _FILTERS | _PAGES | {"SpotInstanceRequestIds": ("SpotInstanceRequestId", Many(STRING))}
)
_QUEUE = _same(QueueUrl=STRING)
_RECEIPT = _same(ReceiptHandle=STRING)
RECEIVE_MESSAGE = Struct(
    _QUEUE | _same(MaxNumberOfMessages=INTEGER, WaitTimeSeconds=INTEGER, VisibilityTimeout=INTEGER),
    required=("QueueUrl",),
)
DELETE_MESSAGE = Struct(_QUEUE | _RECEIPT, required=("QueueUrl", "ReceiptHandle"))
DELETE_MESSAGE_BATCH = Struct(
    _QUEUE | _same(Entries=Many(Struct(_same(Id=STRING) | _RECEIPT, required=("Id", "ReceiptHandle")))),
    required=("QueueUrl", "Entries"),
)
