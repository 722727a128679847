"""A layer's JSON, as the progress of `strata up` shows it."""

from typing import Any

from strata.local.layers import LayerView, view


def layer(status: dict[str, Any], generation: int = 2) -> dict[str, Any]:
    return {
        "metadata": {"name": "web", "namespace": "todo", "generation": generation},
        "spec": {"capacity": {"always": 2}},
        "status": status,
    }


READY = {"type": "Ready", "status": "True", "reason": "Ready", "message": "3 of 3 online"}


def test_a_layer_that_is_seen_and_ready_is_ready() -> None:
    seen = {"observedGeneration": 2, "desired": 3, "instances": {"online": 3}, "conditions": [READY]}
    assert view(layer(seen)) == LayerView(
        stack="todo", name="web", desired=3, online=3, starting=0, other=0, ready=True, reason="3 of 3 online"
    )


def test_phases_on_the_way_up_are_counted_as_starting_and_the_rest_apart() -> None:
    instances = {"requested": 1, "pending": 2, "booting": 3, "online": 4, "start_failed": 5}
    shown = view(layer({"observedGeneration": 2, "desired": 15, "instances": instances}))
    assert (shown.starting, shown.online, shown.other, shown.ready) == (6, 4, 5, False)


def test_what_was_said_of_an_older_spec_does_not_count_as_ready() -> None:
    stale = {"observedGeneration": 1, "desired": 3, "instances": {"online": 3}, "conditions": [READY]}
    shown = view(layer(stale))
    assert (shown.ready, shown.desired, shown.reason) == (False, 2, "")


def test_a_layer_that_nobody_looked_at_yet_is_not_ready() -> None:
    item = layer({})
    del item["status"]
    assert not view(item).ready
