"""The simulator's own side of the HTTP face: JSON under /_sim/, for `strata sim`, `strata up` and tests.

Owns the routes; the shapes of what goes in and out stand in `admin_shapes`.
"""

from collections.abc import Callable
from datetime import timedelta
from itertools import islice
from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from strata_sim import witness
from strata_sim.admin_shapes import (
    AlarmBody,
    Answer,
    Body,
    BootsBody,
    CapacityBody,
    ClockBody,
    DelaysBody,
    EndingBody,
    EventsBody,
    FaultsBody,
    ImpairingBody,
    InterruptingBody,
    LagBody,
    LatencyBody,
    LimitsBody,
    LoadBody,
    SelectionBody,
    ThrottleBody,
    call_row,
    instance_row,
    life_row,
    load_rows,
)
from strata_sim.controls import ControlError, Controls
from strata_sim.errors import UnreachableError
from strata_sim.faults import Fault
from strata_sim.knobs import Delays, Events, Limits
from strata_sim.load import LayerKey
from strata_sim.region import Region
from strata_sim.world import World

_CALLS_MAX = 10_000


B = TypeVar("B", bound=Body)
_OK: Answer = {"ok": True}


class Admin:
    """Reads and controls of one world, as routes."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[Route]:
        return [
            self._get("health", self._health),
            self._get("world", self._describe_world),
            self._get("instances", self._instances),
            self._get("lives", self._lives),
            self._get("calls", self._calls),
            self._get("loads", lambda request: {"loads": load_rows(self._region(request))}),
            self._get("clock", lambda _: {"now": self._world.now()}),
            self._post("terminate", EndingBody, lambda c, b: _ids(c.terminate(b.selector(), b.reason))),
            self._post("stop", EndingBody, lambda c, b: _ids(c.stop(b.selector(), b.reason))),
            self._post("start", SelectionBody, lambda c, b: _ids(c.start(b.selector()))),
            self._post(
                "interrupt", InterruptingBody, lambda c, b: _ids(c.interrupt(b.selector(), rebalance=b.rebalance))
            ),
            self._post("events", EventsBody, lambda c, b: c.events(Events(b.delay_s, b.copies))),
            self._post("impair", ImpairingBody, lambda c, b: _ids(c.impair(b.selector(), b.part, lasting=b.lasting))),
            self._post("heal", SelectionBody, lambda c, b: _ids(c.heal(b.selector()))),
            self._post("capacity", CapacityBody, lambda c, b: c.capacity(b.type, b.zone, b.count, b.market)),
            self._post("throttle", ThrottleBody, _throttle),
            self._post("load", LoadBody, lambda c, b: c.load(LayerKey(b.stack, b.layer), b.load)),
            self._post("alarm", AlarmBody, lambda c, b: c.alarm(b.name, b.state, composite=b.composite)),
            self._post("clock", ClockBody, self._clock),
            self._post("lag", LagBody, lambda c, b: c.lag(b.seconds, uneven=b.uneven)),
            self._post("delays", DelaysBody, self._delays),
            self._post("limits", LimitsBody, lambda c, b: c.limits(Limits(b.instances, b.vcpus))),
            self._post("boots", BootsBody, lambda c, b: c.boots(b.fate, b.count)),
            self._post("latency", LatencyBody, self._latency),
            self._post("faults", FaultsBody, _faults),
        ]

    def _get(self, name: str, read: Callable[[Request], Answer]) -> Route:
        async def serve(request: Request) -> Response:
            try:
                return _json(read(request))
            except (ValueError, UnreachableError) as error:
                return _json({"error": str(error)}, 400)

        return Route(f"/_sim/{name}", serve, methods=["GET"])

    def _post(self, name: str, body: type[B], act: Callable[[Controls, B], Answer | None]) -> Route:
        async def serve(request: Request) -> Response:
            try:
                given = msgspec.json.decode(await request.body() or b"{}", type=body)
                controls = Controls(self._world, given.region or self._first())
                return _json(act(controls, given) or _OK)
            except (ValueError, UnreachableError) as error:
                return _json({"error": str(error)}, 400)

        return Route(f"/_sim/{name}", serve, methods=["POST"])

    def _first(self) -> str:
        return self._world.catalog.regions[0].name

    def _region(self, request: Request) -> Region:
        return self._world.region(request.query_params.get("region", self._first()))

    def _health(self, _request: Request) -> Answer:
        return {"ok": True, "calls": self._world.log.count}

    def _describe_world(self, request: Request) -> Answer:
        region = self._region(request)
        knobs = region.knobs
        return {
            "accountId": self._world.catalog.account_id,
            "regions": self._world.catalog.regions,
            "delays": knobs.delays,
            "lag": knobs.lag,
            "limits": knobs.limits,
            "throttle": region.buckets.scale,
            "capacity": [pool._asdict() | {"count": count} for pool, count in knobs.capacity.left.items()],
            "latency_s": self._world.latency_s,
        }

    def _instances(self, request: Request) -> Answer:
        states = set(request.query_params.getlist("state"))
        tags = [tuple(tag.partition("=")[::2]) for tag in request.query_params.getlist("tag")]
        found = [
            instance_row(one)
            for one in self._region(request).instances.values()
            if (not states or one.view.state in states) and all(one.view.tags.get(k) == v for k, v in tags)
        ]
        return {"instances": found}

    def _lives(self, _request: Request) -> Answer:
        doubled = {token: sorted(found) for token, found in witness.doubled(self._world).items()}
        return {"lives": [life_row(one) for one in witness.lives(self._world)], "doubled": doubled}

    def _calls(self, request: Request) -> Answer:
        since = int(request.query_params.get("since", "0"))
        calls = [call_row(one) for one in islice(self._world.log.since(since), _CALLS_MAX)]
        return {"calls": calls, "last": calls[-1]["number"] if calls else max(since, 0)}

    def _delays(self, controls: Controls, body: DelaysBody) -> None:
        present = self._world.region(body.region or self._first()).knobs.delays
        asked = {name: getattr(body, name) for name in Delays.__struct_fields__}
        controls.delays(msgspec.structs.replace(present, **{k: v for k, v in asked.items() if v is not None}))

    def _clock(self, _controls: Controls, body: ClockBody) -> Answer:
        if (body.by_s is None) == (body.to is None):
            raise ControlError("say one of: by_s, to")
        now = self._world.now()
        self._world.advance((body.to - now) if body.to else timedelta(seconds=body.by_s or 0.0))
        return {"now": self._world.now()}

    def _latency(self, _controls: Controls, body: LatencyBody) -> None:
        if body.seconds < 0:
            raise ControlError("latency is not negative")
        self._world.latency_s = body.seconds


def _throttle(controls: Controls, body: ThrottleBody) -> None:
    if (body.scale is not None) + body.off + (body.drain is not None) != 1:
        raise ControlError("say one of: scale, off, drain")
    if body.drain is not None:
        controls.drain(body.drain)
    else:
        controls.throttle(body.scale)


def _faults(controls: Controls, body: FaultsBody) -> None:
    if body.clear:
        controls.clear_faults()
        return
    fault = Fault(body.kind, body.code, body.message, body.actions, body.count, body.skip, body.probability)
    controls.fault(fault)


def _json(content: Answer, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")


def _ids(found: tuple[str, ...]) -> Answer:
    return {"ids": found}
