"""Which machines `strata sim` means."""

from typing import Any

import click
import pytest

from strata.cli.client import Client
from strata.cli.failures import CliFailure
from strata.cli.kubeconfig import Connection
from strata.local.victims import resolve


def instance(name: str, layer: str, machine: str | None) -> dict[str, Any]:
    status = {"ec2": {"instanceId": machine}} if machine else {}
    return {"metadata": {"name": name, "namespace": "todo"}, "spec": {"layers": [layer]}, "status": status}


class Served(Client):
    """A server that has these instances in the stack `todo`, and no network."""

    def __init__(self, *items: dict[str, Any]) -> None:
        super().__init__(Connection(url="http://nowhere", source="a test"), timeout_s=1)
        self._items = {f"/apis/strata.dev/v1alpha1/namespaces/todo/instances/{i['metadata']['name']}": i for i in items}

    def get(self, path: str, **_: Any) -> dict[str, Any]:
        return self._items[path]

    def list(self, path: str, **_: Any) -> dict[str, Any]:
        return {"items": [item for name, item in self._items.items() if name.startswith(f"{path}/")]}


SERVED = Served(
    instance("web-1", "web", "i-1"),
    instance("web-2", "web", None),
    instance("web-3", "web", "i-3"),
    instance("db-1", "db", "i-9"),
)


def ids(*targets: str, count: int = 1) -> list[str]:
    return resolve(targets, count=count, namespace=lambda: "todo", client=lambda: SERVED)


def test_ids_are_taken_as_they_are_without_asking_anybody() -> None:
    def nobody() -> Client:
        raise AssertionError("was asked")

    assert resolve(["i-1", "i-2", "i-1"], count=1, namespace=lambda: "", client=nobody) == ["i-1", "i-2"]


def test_an_instance_is_its_machine() -> None:
    assert ids("instance/web-3", "in/db-1") == ["i-3", "i-9"]


def test_a_layer_is_so_many_of_its_machines_as_were_asked_for() -> None:
    assert ids("layer/web") == ["i-1"]
    assert ids("layer/web", count=2) == ["i-1", "i-3"]


def test_more_than_a_layer_has_is_refused() -> None:
    with pytest.raises(CliFailure, match="layer todo/web has 2 machines now"):
        ids("layer/web", count=3)


def test_an_instance_without_a_machine_is_refused() -> None:
    with pytest.raises(CliFailure, match="instance todo/web-2 has no machine now"):
        ids("instance/web-2")


@pytest.mark.parametrize("word", ["web-1", "stack/todo", "I-1"])
def test_other_words_are_wrong_usage(word: str) -> None:
    with pytest.raises(click.UsageError, match="say an EC2 id"):
        ids(word)


def test_of_a_layer_only_machines_of_the_lifecycle_asked_for_are_taken() -> None:
    bought, spot = instance("web-1", "web", "i-1"), instance("web-2", "web", "i-2")
    spot["status"]["ec2"]["lifecycle"] = "spot"
    served = Served(bought, spot)
    taken = resolve(["layer/web"], count=1, lifecycle="spot", namespace=lambda: "todo", client=lambda: served)
    assert taken == ["i-2"]
    with pytest.raises(CliFailure, match="1 spot machines"):
        resolve(["layer/web"], count=2, lifecycle="spot", namespace=lambda: "todo", client=lambda: served)
