"""Whatever people write, what is let in becomes requests that EC2 takes: admission refuses what EC2 would refuse.

EC2 may still refuse what only it knows, such as an id that does not exist; the conditions of a layer say so.
"""

import copy
from datetime import UTC, datetime
from typing import Any

import msgspec
from hypothesis import event, example, given, settings
from hypothesis import strategies as st
from tests.kit import documents
from tests.kit.aws_limits import judge

from strata.planner.template import effective, launch_tags, people_tags, run_parameters, template_digest
from strata.resources.codec import decode
from strata.resources.instance import Instance
from strata.resources.layer import Layer, ResolvedImage
from strata.resources.machine import Market
from strata.resources.schema import definitions, judge_create
from strata.resources.stack import Stack

UUID = "0" * 8 + "-0000-4000-8000-" + "0" * 12
NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
LONGEST = ("a" * 40, "a" * 40, "a" * 63)  # of a stack, a layer and an instance
ODD_NAMES = ("a-" * 20 + "a", "A", "é", "a_b", "a\n", "", "a" * 64)
NAMES = st.sampled_from(
    [LONGEST] * 20 + [(*LONGEST[:n], odd, *LONGEST[n + 1 :]) for n in range(3) for odd in ODD_NAMES]
)
HOSTILE = st.text(max_size=300) | st.sampled_from(["aws:x", " x", "x ", "x" * 256, "ключ", "x\n", "\x00", "x" * 70000])


def ids(kind: str) -> st.SearchStrategy[str]:
    good, odd = ["0", "0123456789abcdef0", "z" * 57], ["z" * 500, "", "0\n", "0 ", "0*", "É"]
    return st.sampled_from(good * 3 + odd).map(f"{kind}-".__add__) | HOSTILE


WHOLE = {"image": {"id": "ami-0"}, "types": ["t3.small"]}
NET = [{"id": "subnet-0", "zone": "us-east-1a"}]
VOLUMES = st.fixed_dictionaries(
    {},
    optional={
        "sizeGiB": st.sampled_from([0, 1, 1024, 1025, 16384, 16385, 65536, 65537]),
        "type": st.sampled_from(["gp3", "gp2", "standard", "io2", "GP3"]),
    },
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "types": st.lists(st.sampled_from(["t3.small", "u-6tb1.metal", "m5", "t3.small\n", "x." * 33]), max_size=2),
    "image": st.fixed_dictionaries({"id": ids("ami")}),
    "keyName": HOSTILE,
    "instanceProfile": HOSTILE,
    "securityGroupIds": st.lists(ids("sg"), max_size=17, unique=True),
    "rootVolume": VOLUMES,
    "detailedMonitoring": st.booleans(),
    "userData": HOSTILE | st.sampled_from(["x" * 12288, "ü" * 6144, "ü" * 6145, "😀" * 4096, "x" * 16385]),
}
# A field or two at a time: of many odd ones together nothing would ever be let in.
CHANGES = st.lists(st.one_of(*(st.tuples(st.just(name), value) for name, value in FIELDS.items())), max_size=2)
TEMPLATES = CHANGES.map(lambda changes: WHOLE | dict(changes))
SUBNETS = st.lists(
    st.fixed_dictionaries({"id": ids("subnet"), "zone": st.just("us-east-1a")}), min_size=1, max_size=2,
    unique_by=lambda subnet: str(subnet["id"]),
)  # fmt: skip


def admitted(document: dict[str, Any], type_: Any) -> Any:
    """What the store would hold of it; None: it is refused."""
    document = copy.deepcopy(document)  # judging fills defaults in
    definition = next(found for found in definitions().values() if found.kind.kind == document["kind"])
    verdict = judge_create(definition, document)
    return None if verdict.causes or verdict.unknown else decode(type_, msgspec.json.encode(document))


def requests(stack: Stack, layer: Layer, instance: Instance, market: Market) -> list[tuple[str, dict[str, Any]]]:
    """RunInstances as the launcher sends it, and the tags that follow."""
    template = effective(stack, layer, instance)
    if template.image is None or not template.types:
        return []
    image = ResolvedImage(source="", id=template.image.id, root_device_name="/dev/xvda", resolved_at=NOW)
    digest = template_digest(template, image)
    stamped = launch_tags(cluster_id=UUID, stack=stack.metadata.name, launch_id=UUID, template=digest)
    tags = [{"Key": key, "Value": value} for key, value in people_tags(instance).items()]
    found: list[tuple[str, dict[str, Any]]] = [("CreateTags", {"Resources": ["i-0"], "Tags": tags})]
    for subnet in stack.spec.subnets:
        launch = run_parameters(
            template, image, type_=template.types[0], subnet=subnet, market=market, launch_tags=stamped
        )
        found.append(("RunInstances", {**launch, "ClientToken": UUID, "MinCount": 1, "MaxCount": 100}))
        found.append(("DescribeSubnets", {"Filters": [{"Name": "subnet-id", "Values": [subnet.id]}]}))
    found.append(("DescribeImages", {"Filters": [{"Name": "image-id", "Values": [image.id]}]}))
    return found


@settings(deadline=None)  # the first one reads botocore's model of EC2
@given(names=NAMES, subnets=st.just(NET) | SUBNETS, template=TEMPLATES, market=st.sampled_from(["on-demand", "spot"]))
@example(names=("a",) * 3, subnets=NET, template=WHOLE | {"keyName": " leading"}, market="spot")
@example(names=("a",) * 3, subnets=NET, template=WHOLE | {"keyName": "ключ"}, market="spot")
@example(
    names=("a",) * 3, subnets=NET, template=WHOLE | {"rootVolume": {"type": "gp2", "sizeGiB": 16385}}, market="spot"
)
@example(names=LONGEST, subnets=NET, template=WHOLE | {"userData": "ü" * 6144}, market="spot")
@example(names=("a",) * 3, subnets=[{"id": "subnet-" + "0" * 300, "zone": "us-east-1a"}], template=WHOLE, market="spot")
def test_what_is_let_in_is_what_ec2_takes(
    names: tuple[str, str, str], subnets: list[dict[str, str]], template: dict[str, Any], market: Market
) -> None:
    stack = admitted(documents.stack(names[0], subnets=subnets), Stack)
    layer = admitted(documents.layer(names[1], instance=template), Layer)
    instance = admitted(documents.instance(names[2], layers=[names[1]]), Instance)
    let_in = stack and layer and instance
    event(f"let in: {bool(let_in)}")
    if not let_in:
        return
    instance = msgspec.structs.replace(
        instance, metadata=msgspec.structs.replace(instance.metadata, namespace=names[0])
    )
    for action, request in requests(stack, layer, instance, market):
        assert judge("ec2", action, request) == []


def test_each_field_alone_is_let_in_at_its_limit_and_refused_beyond() -> None:
    for field, good, bad in (
        ("keyName", "k" * 255, "k" * 256),
        ("keyName", "a b", "a b "),
        ("userData", "ü" * 6144, "ü" * 6145),
        ("instanceProfile", "p" * 128, "p" * 129),
        ("securityGroupIds", [f"sg-{n}" for n in range(16)], [f"sg-{n}" for n in range(17)]),
        ("rootVolume", {"sizeGiB": 65536}, {"sizeGiB": 65537}),
        ("rootVolume", {"sizeGiB": 16384, "type": "gp2"}, {"sizeGiB": 16385, "type": "gp2"}),
        ("rootVolume", {"sizeGiB": 1024, "type": "standard"}, {"sizeGiB": 1025, "type": "standard"}),
        ("image", {"id": "ami-" + "0" * 60}, {"id": "ami-" + "0" * 61}),
    ):
        layer = admitted(documents.layer("web", instance=WHOLE | {field: good}), Layer)
        stack = admitted(documents.stack("todo"), Stack)
        instance = admitted(documents.instance("web-1"), Instance)
        judged = [judge("ec2", action, asked) for action, asked in requests(stack, layer, instance, "on-demand")]
        assert judged == [[]] * 6, (field, judged)
        assert admitted(documents.layer("web", instance=WHOLE | {field: bad}), Layer) is None, field
