"""Stack: one environment, its region, its subnets and the defaults of its machines."""

import msgspec

from strata.resources.meta import Condition, ObjectMeta, Record


class ImageSource(Record, frozen=True, kw_only=True):
    """Exactly one of the two: an AMI id, or the name of an SSM parameter that holds one."""

    id: str = ""
    ssm_parameter: str = ""


class RootVolume(Record, frozen=True, kw_only=True):
    size_gib: int | None = msgspec.field(default=None, name="sizeGiB")
    type: str = "gp3"
    encrypted: bool = True


class InstanceTemplate(Record, frozen=True, kw_only=True):
    """How a machine is made. On a stack: defaults; on a layer or an instance: overrides, field by field
    (None: not said here)."""

    image: ImageSource | None = None
    types: tuple[str, ...] | None = None
    key_name: str | None = None
    instance_profile: str | None = None
    security_group_ids: tuple[str, ...] | None = None
    root_volume: RootVolume | None = None
    detailed_monitoring: bool | None = None
    user_data: str | None = None


class SpotShare(Record, frozen=True, kw_only=True):
    """Of a layer's slots the first `on_demand_base` are bought on demand, and of the others `percentage` as spot,
    rounded down."""

    on_demand_base: int = 0
    percentage: int


class SharedTemplate(InstanceTemplate, frozen=True, kw_only=True):
    """How the machines of a stack, or of a layer, are made, and how many of a layer's are bought as spot. The share is
    no property of any one machine: it is in no digest of a template, and no override of an instance's."""

    spot: SpotShare | None = None


class SubnetRef(Record, frozen=True, kw_only=True):
    id: str
    zone: str


class StackSpec(Record, frozen=True, kw_only=True):
    region: str
    vpc_id: str
    endpoint: str | None = None
    subnets: tuple[SubnetRef, ...] = ()
    instance: SharedTemplate = SharedTemplate()
    paused: bool = False


class StackStatus(Record, frozen=True, kw_only=True):
    observed_generation: int = 0
    instances: dict[str, int] = msgspec.field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()


class Stack(Record, frozen=True, kw_only=True, omit_defaults=False):
    api_version: str
    kind: str
    metadata: ObjectMeta
    spec: StackSpec
    status: StackStatus = StackStatus()
