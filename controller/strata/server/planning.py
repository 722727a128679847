"""/strata/v1/plan: what the controller would do, now and later, if documents were applied. Writes nothing.

A modelled fleet, as the Instances' statuses have it, is stepped through the real planner; EC2 is not asked.
"""

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from strata.errors import Cause
from strata.planner.forecast.fleet import ModelFleet
from strata.planner.forecast.hand_made import hand_made_steps
from strata.planner.forecast.machines import Assumptions
from strata.planner.forecast.run import Forecaster, NoSignals
from strata.planner.forecast.timeline import Step, Timeline
from strata.planner.policy import Policy
from strata.resources import explain_sum
from strata.resources.codec import to_plain
from strata.resources.kinds import INSTANCE
from strata.resources.layer import Layer
from strata.resources.meta import find_condition
from strata.server import body
from strata.server.answers import json_answer
from strata.server.context import Context
from strata.server.drafts import timestamp
from strata.server.failures import Target, invalid
from strata.server.overlay import Overlay, Overlayer
from strata.server.resource import Document

_HOURS, _MOST_HOURS = 24, 24 * 31
_PASSES = 5_000  # of one request, all layers together: the rest is said to be cut
_POLICY = Policy(cluster_id="plan")
_ASSUMED = Assumptions()


class Planning:
    """The handler of plans. One at a time: a plan is all CPU, and the daemon has other work."""

    def __init__(self, context: Context) -> None:
        self._clock = context.clock
        self._overlayer = Overlayer(context)
        self._turn = asyncio.Lock()

    async def plan(self, request: Request) -> Response:
        asked = await body.read_object(request)
        hours, documents = _judge(asked)
        async with self._turn:
            overlay = await self._overlayer.lay(documents)
            now = self._clock.now().replace(microsecond=0)
            until = now + timedelta(hours=hours)
            layers = await _layers(overlay, now, until)
        by_hand = [
            _step(step) | {"stack": after.metadata.namespace}
            for before, after in overlay.by_hand()
            for step in hand_made_steps(before, after, now)
        ]
        span = {"from": timestamp(now), "until": timestamp(until)}
        return json_answer(
            {
                "apiVersion": "strata/v1",
                "kind": "Plan",
                **span,
                "layers": layers,
                "instances": by_hand,
                "assumes": list(_assumes(overlay)),
            }
        )


async def _layers(overlay: Overlay, now: datetime, until: datetime) -> list[Document]:
    planned: list[Document] = []
    passes_left, members = _PASSES, overlay.members()
    for layer in overlay.layers():
        fleet = _fleet(overlay, layer)
        fleet.settle(members.get((layer.metadata.namespace, layer.metadata.name), ()), now)
        timeline = Timeline(now, until, layer.status)
        cut = False
        for _ in Forecaster(fleet, NoSignals(), _POLICY).walk(timeline):
            await asyncio.sleep(0)  # others have their turns
            cut = timeline.passes >= passes_left
            if cut:
                break
        passes_left = max(1, passes_left - timeline.passes)
        planned.append(_layer(overlay, layer, timeline, cut=cut))
    return planned


def _fleet(overlay: Overlay, layer: Layer) -> ModelFleet:
    stack, name = layer.metadata.namespace, layer.metadata.name
    unreadable = (slot for kind, inside, slot in overlay.unreadable if (kind, inside) == (INSTANCE.kind, stack))
    return ModelFleet(
        overlay.stack(stack),
        layer,
        _ASSUMED,
        protected=overlay.protected(stack),
        unreadable=frozenset(slot for slot in unreadable if slot.rpartition("-")[0] == name),
    )


def _layer(overlay: Overlay, layer: Layer, timeline: Timeline, *, cut: bool) -> Document:
    metadata, first = layer.metadata, timeline.first
    before = overlay.before.get(("Layer", metadata.namespace, metadata.name))
    ready = find_condition(first.conditions, "Ready")
    return {
        "stack": metadata.namespace,
        "name": metadata.name,
        "new": before is None,
        "before": before.status.desired if isinstance(before, Layer) else 0,
        "desired": first.desired,
        "sum": explain_sum.sum_of(first.desired, first.because),
        "because": [to_plain(one) for one in first.because],
        "nextChange": to_plain(first.next_change) if first.next_change else None,
        "ready": {"status": ready.status, "reason": ready.reason, "message": ready.message} if ready else None,
        "steps": [_step(step) for step in timeline.steps],
        "cutAt": timestamp(timeline.moments[-1].at) if cut else None,
    }


def _step(step: Step) -> Document:
    return {
        "at": timestamp(step.at),
        "verb": step.verb,
        "instances": list(step.instances),
        "reason": step.reason,
        "why": step.why,
    }


def _assumes(overlay: Overlay) -> Iterator[str]:
    """What the forecast takes for granted."""
    boot_s, warm_boot_s = _ASSUMED.boot.seconds, _ASSUMED.warm_boot.seconds
    yield f"a machine is online {boot_s} s after its launch, a warm one {warm_boot_s} s after its start"
    yield "every launch succeeds, and no machine fails"
    loaded = [layer for layer in overlay.layers() if layer.spec.capacity.load is not None]
    if loaded:
        yield "the load asks for what it asks for now"


def _judge(asked: dict[str, Any]) -> tuple[int, list[Document]]:
    """The hours and the documents. Raises Refusal 422 with every cause."""
    causes = [
        Cause(name, "FieldValueForbidden", f'unknown field "{name}"') for name in asked.keys() - {"documents", "hours"}
    ]
    hours, documents = asked.get("hours", _HOURS), asked.get("documents")
    if isinstance(hours, bool) or not isinstance(hours, int) or not 0 < hours <= _MOST_HOURS:
        causes.append(
            Cause("hours", "FieldValueInvalid", f"Invalid value: must be a whole number from 1 to {_MOST_HOURS}")
        )
        hours = _HOURS
    if not isinstance(documents, list) or not documents or not all(isinstance(one, dict) for one in documents):
        causes.append(Cause("documents", "FieldValueRequired", "Required value: a list of objects"))
        documents = []
    if causes:
        raise invalid("Plan", Target(plural="plans"), causes)
    return hours, documents
