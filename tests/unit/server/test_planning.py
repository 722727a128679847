"""A plan tells what would become of the machines if documents were applied, and writes nothing."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from tests.kit import documents
from tests.kit.api import LAYERS, STACKS, Api, causes, ok, refused
from tests.kit.virtual_time import EPOCH

from strata.planner.template import image_key, template_digest
from strata.resources import codec
from strata.resources.instance import Ec2Status, Instance, InstanceSpec, InstanceStatus, LaunchRef, Phase
from strata.resources.kinds import INSTANCE, LAYER
from strata.resources.layer import ResolvedImage
from strata.resources.meta import API_VERSION, ObjectMeta
from strata.resources.stack import ImageSource, InstanceTemplate
from strata.store.port import Put

PATH = "/strata/v1/plan"
TEMPLATE = {"image": {"id": "ami-1"}, "types": ["t3.small"]}
IMAGE = ResolvedImage(source=image_key(ImageSource(id="ami-1")), id="ami-1", root_device_name="", resolved_at=EPOCH)
OFFICE = {"name": "office", "instances": 2, "from": "13:00", "to": "20:00"}  # it is noon, on a Monday


def stack(**instance: Any) -> dict[str, Any]:
    return documents.stack("todo", instance={**TEMPLATE, **instance})


def layer(**spec: Any) -> dict[str, Any]:
    document = documents.layer("web", **spec)
    return {**document, "metadata": {**document["metadata"], "namespace": "todo"}}


async def plan(api: Api, *wanted: dict[str, Any], hours: int = 24) -> dict[str, Any]:
    return ok(await api.client.post(PATH, json={"documents": list(wanted), "hours": hours}))


async def planned(api: Api, *wanted: dict[str, Any], hours: int = 24) -> list[tuple[str, str, list[str]]]:
    """When, after how many minutes; what; and with which instances: of the only layer."""
    (only,) = (await plan(api, *wanted, hours=hours))["layers"]
    return [(step["at"].removeprefix("2026-01-"), step["verb"], step["instances"]) for step in only["steps"]]


async def running(api: Api, count: int, **spec: Any) -> None:
    """A stack with the layer web, and so many machines of it that are online."""
    ok(await api.client.post(STACKS, json=stack()), 201)
    ok(await api.client.post(LAYERS, json=layer(capacity={"always": count}, **spec)), 201)
    kv = await api.store.get(LAYER.key("web", "todo"))
    assert kv is not None
    stored = codec.decode(LAYER.record, kv.value)
    status = msgspec.structs.replace(stored.status, desired=count, image=IMAGE)  # type: ignore[attr-defined]
    await api.store.txn([], [Put(kv.key, codec.with_status(kv.value, status))])
    for number in range(1, count + 1):
        await put(api, f"web-{number}")


async def put(api: Api, name: str) -> None:
    ec2 = Ec2Status(instance_id=f"i-{name}", state="running", type="t3.small", zone="us-east-1a", launched_at=EPOCH)
    template = InstanceTemplate(image=ImageSource(id="ami-1"), types=("t3.small",))
    status = InstanceStatus(
        phase=Phase.ONLINE,
        launch=LaunchRef(launch_id="l", attempt=1),
        template=template_digest(template, IMAGE),
        ec2=ec2,
        online_since=EPOCH - timedelta(days=1),
    )
    member = Instance(
        api_version=API_VERSION,
        kind="Instance",
        metadata=ObjectMeta(name=name, namespace="todo", uid=name),
        spec=InstanceSpec(layers=("web",), availability="layer"),
        status=status,
    )
    await api.store.txn([], [Put(INSTANCE.key(name, "todo"), codec.encode(member))])


async def everything(api: Api) -> list[tuple[str, bytes]]:
    return [(kv.key, kv.value) for kv in (await api.store.list("/strata/")).items]


async def test_a_stack_that_is_not_there_yet_is_planned_from_nothing(api: Api) -> None:
    assert await planned(api, stack(), layer(capacity={"always": 2})) == [("05T12:00:00Z", "make", ["web-1", "web-2"])]
    assert await everything(api) == []


async def test_windows_are_told_with_their_moments_and_the_sum(api: Api) -> None:
    answer = await plan(api, stack(), layer(capacity={"always": 1, "schedule": [OFFICE]}, shutdown={"drain": False}))
    (web,) = answer["layers"]
    assert [(step["at"], step["verb"], step["why"]) for step in web["steps"]] == [
        ("2026-01-05T12:00:00Z", "make", "wanted: 1 = 1 always"),
        ("2026-01-05T13:00:00Z", "make", "wanted: 3 = 1 always + 2 schedule/office"),
        ("2026-01-05T20:00:00Z", "end", "wanted: 1 = 1 always"),
    ]
    assert (web["new"], web["desired"], web["nextChange"]["at"]) == (True, 1, "2026-01-05T13:00:00Z")
    assert answer["until"] == "2026-01-06T12:00:00Z"


async def test_what_stays_as_it_is_does_nothing(api: Api) -> None:
    await running(api, 3)
    assert await planned(api, layer(capacity={"always": 3})) == []


async def test_a_smaller_number_drains_and_ends_the_highest(api: Api) -> None:
    await running(api, 3)
    assert await planned(api, layer(capacity={"always": 1})) == [
        ("05T12:00:00Z", "drain", ["web-3", "web-2"]),
        ("05T12:02:00Z", "end", ["web-2", "web-3"]),
    ]


async def test_another_template_rolls_the_machines_one_after_the_other(api: Api) -> None:
    await running(api, 2)
    steps = await planned(api, stack(userData="echo"), hours=1)
    assert [(at, verb) for at, verb, _ in steps] == [
        ("05T12:00:00Z", "make"),
        ("05T12:02:00Z", "make"),
        ("05T12:02:00Z", "drain"),
        ("05T12:04:00Z", "drain"),
        ("05T12:04:00Z", "end"),
        ("05T12:06:00Z", "end"),
    ]


async def test_all_layers_of_a_stack_that_changes_are_planned_and_only_those_named_else(api: Api) -> None:
    await running(api, 1)
    other = documents.layer("workers")
    ok(await api.client.post(LAYERS, json=other), 201)
    assert [one["name"] for one in (await plan(api, stack(keyName="new")))["layers"]] == ["web", "workers"]
    assert [one["name"] for one in (await plan(api, layer(capacity={"always": 2})))["layers"]] == ["web"]


async def test_a_paused_stack_does_nothing_and_says_so(api: Api) -> None:
    await running(api, 1)
    paused = stack()
    paused["spec"]["paused"] = True
    (web,) = (await plan(api, paused, layer(capacity={"always": 4})))["layers"]
    assert web["steps"] == []
    assert web["ready"]["reason"] == "Paused"


async def test_an_instance_made_by_hand_is_told_apart(api: Api) -> None:
    await running(api, 1)
    by_hand = documents.instance("extra")
    by_hand["metadata"]["namespace"] = "todo"
    answer = await plan(api, by_hand)
    assert answer["layers"] == []
    assert [(one["verb"], one["instances"], one["stack"]) for one in answer["instances"]] == [
        ("make", ["extra"], "todo")
    ]


async def test_nothing_is_written(api: Api) -> None:
    await running(api, 2)
    before = await everything(api)
    await plan(api, stack(keyName="new"), layer(capacity={"always": 9, "schedule": [OFFICE]}))
    assert await everything(api) == before


async def test_a_document_that_no_write_would_take_is_refused(api: Api) -> None:
    wrong = layer(capacity={"min": 5, "max": 2})
    answer = await api.client.post(PATH, json={"documents": [stack(), wrong]})
    assert causes(refused(answer, 422, "Invalid")) == {"spec.capacity.min"}
    unplanned = {"apiVersion": documents.API_VERSION, "kind": "Event", "metadata": {"name": "x"}}
    refused(await api.client.post(PATH, json={"documents": [unplanned]}), 400, "BadRequest")
    nowhere = documents.layer("web")
    refused(await api.client.post(PATH, json={"documents": [nowhere]}), 400, "BadRequest")


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"documents"}),
        ({"documents": []}, {"documents"}),
        ({"documents": [3]}, {"documents"}),
        ({"documents": [{}], "hours": 0}, {"hours"}),
        ({"documents": [{}], "hours": True}, {"hours"}),
        ({"documents": {}, "hours": 745, "why": "x"}, {"documents", "hours", "why"}),
    ],
)
async def test_a_request_that_cannot_be_meant_is_refused(api: Api, body: dict[str, Any], fields: set[str]) -> None:
    assert causes(refused(await api.client.post(PATH, json=body), 422, "Invalid")) == fields


async def test_a_plan_without_end_is_cut(api: Api) -> None:
    """A window that turns each minute for a month, on many machines: the daemon has other work."""
    flapping = [
        {"name": f"w{at}", "instances": 1, "cron": f"{at % 2}-59/2 * * * *", "duration": "1m"} for at in range(2)
    ]
    flapping[1]["instances"] = 2
    wanted = layer(capacity={"schedule": flapping}, shutdown={"drain": False})
    (web,) = (await plan(api, stack(), wanted, hours=744))["layers"]
    assert web["cutAt"] is not None
