"""World controls: what happens to a region's machines and limits without anybody calling its API.

The hand of a person at the console, of AWS itself, of bad luck. Everything done here stands in the call log under
the caller "world". Protection does not hold it back.
"""

from collections.abc import Iterable, Mapping
from math import inf
from typing import NamedTuple

from strata.resources.signal import AlarmValue
from strata_sim.actions import ACTIONS
from strata_sim.calls import Trace
from strata_sim.catalog import ImageSpec
from strata_sim.faults import Fault
from strata_sim.knobs import Delays, Events, Fate, Lag, Limits, Market, Pool
from strata_sim.load import LayerKey, Load
from strata_sim.machines import HISTORY_S, PARTS, Instance, Part
from strata_sim.region import EVENTS_QUEUE, Region
from strata_sim.shapes import Params
from strata_sim.spot import interrupt, recommend_rebalance
from strata_sim.steps import REASONS, USER, begin_end, begin_start, begin_stop, clear_ills, set_ill
from strata_sim.telemetry import Alarm
from strata_sim.world import WORLD, World

SPOT_RECLAIM = "Server.SpotInstanceTermination"
_INSIDE = "Client.InstanceInitiatedShutdown"


class ControlError(ValueError):
    """The control was asked for something that the world does not have, or cannot do now."""


class Selector(NamedTuple):
    """Instances by id, by tag, or both; at least one of the two. A tag's value None: the tag exists."""

    ids: tuple[str, ...] = ()
    tags: Mapping[str, str | None] = {}


class Controls:
    """Controls of one region. Raises UnreachableError if there is no such region."""

    def __init__(self, world: World, region: str) -> None:
        world.region(region)
        self._world = world
        self._name = region

    def find(self, selector: Selector, *states: str) -> list[Instance]:
        """The instances now, without any lag; in these states, or in any. An id that does not exist is an error."""
        region = self._region()
        if not selector.ids and not selector.tags:
            raise ControlError("say which: ids, tags, or both")
        unknown = [one for one in selector.ids if one not in region.instances]
        if unknown:
            raise ControlError(f"no such instance: {', '.join(unknown)}")
        pool = [region.instances[one] for one in selector.ids] if selector.ids else list(region.instances.values())
        return [one for one in pool if (not states or one.view.state in states) and _has_tags(one, selector.tags)]

    def terminate(self, selector: Selector, reason: str = USER) -> tuple[str, ...]:
        """End them, also protected ones; `reason` is a StateReason code. Gives the ids that were still live."""
        if reason not in REASONS:
            raise ControlError(f"no such reason: {reason}; there are {', '.join(sorted(REASONS))}")
        region, trace = self._region(), Trace()
        for instance in self.find(selector, "pending", "running", "stopping", "stopped"):
            begin_end(region, instance, reason, WORLD)
            trace.ended.append(instance.id)
        return self._done(region, "terminate", {"reason": reason}, trace)

    def stop(self, selector: Selector, reason: str = USER) -> tuple[str, ...]:
        region, trace = self._region(), Trace()
        for instance in self.find(selector, "running"):
            begin_stop(region, instance, reason)
            trace.touched.append(instance.id)
        return self._done(region, "stop", {"reason": reason}, trace)

    def shut_down_inside(self, selector: Selector) -> tuple[str, ...]:
        """Somebody typed `poweroff` on the machine: it stops, or ends, as it was launched to."""
        region, trace = self._region(), Trace()
        for instance in self.find(selector, "running"):
            if instance.birth.shutdown_behavior == "terminate":
                begin_end(region, instance, _INSIDE, WORLD)
                trace.ended.append(instance.id)
            else:
                begin_stop(region, instance, _INSIDE)
                trace.touched.append(instance.id)
        return self._done(region, "shut-down-inside", {}, trace)

    def interrupt(self, selector: Selector, *, rebalance: bool = False) -> tuple[str, ...]:
        """Let EC2 take spot machines back: notice now, their end two minutes later. With `rebalance` it only says that
        this is likelier than usual."""
        region, trace = self._region(), Trace()
        found = self.find(selector, "pending", "running")
        bought = [one.id for one in found if one.birth.lifecycle != "spot"]
        if bought and selector.ids:
            raise ControlError(f"not spot: {', '.join(bought)}")
        for instance in found:
            if instance.birth.lifecycle != "spot" or (instance.view.marked and not rebalance):
                continue
            if rebalance:
                recommend_rebalance(region, instance)
            else:
                interrupt(region, instance, WORLD)
            trace.touched.append(instance.id)
        return self._done(region, "interrupt", {"rebalance": rebalance}, trace)

    def start(self, selector: Selector) -> tuple[str, ...]:
        region, trace = self._region(), Trace()
        for instance in self.find(selector, "stopped"):
            has_public_ip = region.subnets[instance.birth.subnet_id].map_public_ip
            begin_start(region, instance, region.public_addresses.take() if has_public_ip else "")
            trace.touched.append(instance.id)
        return self._done(region, "start", {}, trace)

    def impair(self, selector: Selector, part: Part = "instance", *, lasting: bool = False) -> tuple[str, ...]:
        """Fail a status check. A stop and start cures it, a reboot cures the instance check; nothing but `heal` does if
        it is lasting."""
        region, trace = self._region(), Trace()
        for instance in self.find(selector, "pending", "running"):
            set_ill(region, instance, part, lasting=lasting)
            trace.touched.append(instance.id)
        return self._done(region, "impair", {"part": part, "lasting": lasting}, trace)

    def heal(self, selector: Selector) -> tuple[str, ...]:
        region, trace = self._region(), Trace()
        for instance in self.find(selector):
            clear_ills(region, instance, *PARTS)
            trace.touched.append(instance.id)
        return self._done(region, "heal", {}, trace)

    def capacity(self, kind: str, zone: str | None, count: int | None, market: Market = "on-demand") -> None:
        """So many machines more of this type, in this zone or (each) in all; None: any number again."""
        region = self._region()
        zones = {subnet.zone for subnet in region.spec.subnets}
        if kind not in region.types:
            raise ControlError(f"no such type: {kind}")
        if zone is not None and zone not in zones:
            raise ControlError(f"no such zone: {zone}")
        for one in sorted(zones) if zone is None else [zone]:
            region.knobs.capacity.set(Pool(kind, one, market), count)
        self._done(region, "capacity", {"type": kind, "zone": zone, "count": count, "market": market}, Trace())

    def throttle(self, scale: float | None) -> None:
        """The token buckets, full again, at this scale of AWS's; None: no throttling."""
        if scale is not None and scale <= 0:
            raise ControlError("a scale is above 0; None turns throttling off")
        region = self._region()
        region.buckets.rescale(scale)
        self._done(region, "throttle", {"scale": scale}, Trace())

    def drain(self, action: str) -> None:
        """Empty the buckets of this action, as if others in the account had been busy."""
        if action not in ACTIONS:
            raise ControlError(f"no such action: {action}")
        region = self._region()
        region.buckets.drain(action, ACTIONS[action].rates, region.now_s)
        self._done(region, "drain", {"action": action}, Trace())

    def load(self, key: LayerKey, load: Load | None) -> None:
        """The load of a layer from now on; None: none any more."""
        if load is not None and not (0 <= load.mean < inf and 0 <= load.amplitude < inf and 0 < load.period_s < inf):
            raise ControlError("a load is a level of 0 or more percent, with an amplitude of 0 or more and a period")
        region = self._region()
        region.telemetry.set_load(key, load, region.now().timestamp())
        self._done(region, "load", {"stack": key.stack, "layer": key.layer}, Trace())

    def alarm(self, name: str, value: AlarmValue, *, composite: bool = False) -> None:
        """Put an alarm into this state, as its own evaluation would; make it if there is none of this name."""
        region = self._region()
        present = region.telemetry.alarms.get(name)
        if present is None or (present.value, present.composite) != (value, composite):
            region.telemetry.alarms[name] = Alarm(value, region.now(), composite)
        self._done(region, "alarm", {"name": name, "state": value}, Trace())

    def lag(self, seconds: float, *, uneven: bool = False) -> None:
        """Let every Describe, and every look-up by id, tell what was true so long ago."""
        if not 0 <= seconds <= HISTORY_S:
            raise ControlError(f"a lag is between 0 and {HISTORY_S:.0f} seconds")
        region = self._region()
        region.knobs.lag = Lag(seconds, uneven)
        self._done(region, "lag", {"seconds": seconds, "uneven": uneven}, Trace())

    def delays(self, delays: Delays) -> None:
        """For transitions that begin from now on."""
        region = self._region()
        region.knobs.delays = delays
        self._done(region, "delays", {}, Trace())

    def events(self, events: Events) -> None:
        """How EventBridge delivers from now on."""
        if events.delay_s < 0 or events.copies < 0:
            raise ControlError("neither the delay nor the copies may be negative")
        region = self._region()
        region.knobs.events = events
        self._done(region, "events", {"delay_s": events.delay_s, "copies": events.copies}, Trace())

    def send(self, body: str) -> None:
        """Put a message of somebody else's into the queue."""
        region = self._region()
        region.queues[EVENTS_QUEUE].send(body, region.now_s)
        self._done(region, "send", {}, Trace())

    def limits(self, limits: Limits) -> None:
        region = self._region()
        region.knobs.limits = limits
        self._done(region, "limits", {}, Trace())

    def boots(self, fate: Fate, count: int = 1) -> None:
        """The next machines launched do not come up; see knobs.Boots."""
        region = self._region()
        region.knobs.boots.fates.extend([fate] * count)
        self._done(region, "boots", {"fate": fate, "count": count}, Trace())

    def fault(self, fault: Fault) -> None:
        unknown = sorted(one for one in fault.actions if one not in ACTIONS)
        if unknown:
            raise ControlError(f"no such action: {', '.join(unknown)}")
        self._world.faults(self._name).lay(fault)
        self._done(self._region(), "fault", {"kind": fault.kind, "code": fault.code}, Trace())

    def clear_faults(self) -> None:
        self._world.faults(self._name).clear()
        self._done(self._region(), "clear-faults", {}, Trace())

    def set_parameter(self, name: str, value: str | None) -> None:
        """Publish an SSM parameter, or take it back."""
        region = self._region()
        if value is None:
            region.parameters.pop(name, None)
        else:
            region.parameters[name] = value
        self._done(region, "parameter", {"name": name, "value": value}, Trace())

    def set_image(self, image: ImageSpec) -> None:
        """Publish an image; with another `state` than available it can no longer be launched."""
        region = self._region()
        region.images[image.id] = image
        self._done(region, "image", {"id": image.id, "state": image.state}, Trace())

    def _region(self) -> Region:
        return self._world.region(self._name)

    def _done(self, region: Region, verb: str, params: Params, trace: Trace) -> tuple[str, ...]:
        self._world.control(region, verb, params, trace)
        return (*trace.ended, *trace.touched)


def _has_tags(instance: Instance, tags: Mapping[str, str | None]) -> bool:
    present = instance.view.tags
    return all(key in present and value in {None, present[key]} for key, value in tags.items())


def ids(*instance_ids: str) -> Selector:
    return Selector(ids=instance_ids)


def tagged(tags: Iterable[tuple[str, str | None]]) -> Selector:
    return Selector(tags=dict(tags))
