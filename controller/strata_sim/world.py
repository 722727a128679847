"""The world: regions, one clock, one source of randomness, one log of calls; `call` is the way in for both faces.

Pure of I/O, and deterministic: the same clock, seed and calls give the same ids and answers.
"""

import random
from datetime import datetime, timedelta
from typing import TypeVar

from strata.clock import Clock, ShiftedClock
from strata_sim.actions import ACTIONS, Action
from strata_sim.calls import CallLog, Trace
from strata_sim.catalog import Catalog, default_catalog
from strata_sim.errors import Ec2Error, ReplyLostError, UnreachableError
from strata_sim.faults import Fault, Faults
from strata_sim.region import Region
from strata_sim.shapes import Params, check

R = TypeVar("R")
WORLD = "world"  # the caller of world controls


class World:
    """`latency_s` is for the faces to wait; the core never waits. `ending`: nobody is to be kept waiting any more."""

    def __init__(self, clock: Clock, rng: random.Random, catalog: Catalog | None = None) -> None:
        self.catalog = catalog or default_catalog()
        self.log = CallLog()
        self.latency_s = 0.0
        self.ending = False
        self._clock = clock
        self._regions = {spec.name: Region(spec, self.catalog.account_id, clock, rng) for spec in self.catalog.regions}
        self._faults = {name: Faults(rng) for name in self._regions}

    def now(self) -> datetime:
        """The world's wall time."""
        return self._clock.now()

    def advance(self, by: timedelta) -> None:
        """Set the wall time forward. Raises ValueError for a clock that cannot be set, or a step back."""
        if not isinstance(self._clock, ShiftedClock):
            raise ValueError("this clock cannot be set: start the simulator with --clock-file")  # noqa: TRY004 - it is the world's state that is wrong, not an argument's type
        for region in self._regions.values():
            region.settle()  # what was until now is measured by the old time
        self._clock.advance(by)

    @property
    def regions(self) -> tuple[Region, ...]:
        """All regions, with everything that was due by now done."""
        for region in self._regions.values():
            region.settle()
        return tuple(self._regions.values())

    def region(self, name: str) -> Region:
        """This region, settled. Raises UnreachableError: an unknown region has no endpoint."""
        if name not in self._regions:
            raise UnreachableError(f"could not connect to the endpoint of {name}")
        region = self._regions[name]
        region.settle()
        return region

    def faults(self, name: str) -> Faults:
        if name not in self._faults:
            raise UnreachableError(f"could not connect to the endpoint of {name}")
        return self._faults[name]

    def call(self, region_name: str, action: Action[R], params: Params, caller: str) -> R:
        """Carry out one call. Raises Ec2Error, ReplyLostError, UnreachableError; each call is in the log."""
        region = self.region(region_name)
        fault = self._faults[region_name].draw(action.name)
        trace = Trace()
        if fault is not None and not fault.carried_out:
            self._note(region, action.name, params, caller, trace, fault.code, answered=fault.kind == "refuse")
            raise _error_of(fault)
        region.caller = caller
        try:
            answer = _carry_out(region, action, params, trace)
        except Ec2Error as error:
            self._note(region, action.name, params, caller, trace, error.code, answered=fault is None)
            raise _error_of(fault) if fault else error from None
        self._note(region, action.name, params, caller, trace, "", answered=fault is None)
        if fault is not None:
            raise _error_of(fault)
        return answer

    def refused(self, region_name: str, action: str, caller: str, error: Ec2Error) -> None:
        """Note a call that a face could not even read."""
        self._note(self.region(region_name), action, {}, caller, Trace(), error.code, answered=True)

    def control(self, region: Region, verb: str, params: Params, trace: Trace) -> None:
        """Note what a world control did."""
        self._note(region, verb, params, WORLD, trace, "", answered=True)

    def _note(
        self, region: Region, action: str, params: Params, caller: str, trace: Trace, code: str, *, answered: bool
    ) -> None:
        self.log.add(
            at=self._clock.now(),
            at_s=self._clock.monotonic_s(),
            region=region.spec.name,
            caller=caller,
            action=action,
            params=params,
            code=code,
            answered=answered,
            trace=trace,
        )


def action_named(name: str) -> Action[object]:
    """Raises Ec2Error for what is not simulated."""
    if name not in ACTIONS:
        raise Ec2Error("InvalidAction", f"The action {name} is not valid for this web service.")
    return ACTIONS[name]


def _carry_out(region: Region, action: Action[R], params: Params, trace: Trace) -> R:
    checked = check(action.shape, params)
    region.buckets.take(action.name, action.rate_of(checked), region.now_s)
    if checked.pop("DryRun", False):
        raise Ec2Error("DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
    return action.handler(region, checked, trace)


def _error_of(fault: Fault) -> Exception:
    if fault.kind == "unreachable":
        return UnreachableError("could not connect to the endpoint")
    if fault.kind == "lose-reply":
        return ReplyLostError("the connection was closed before an answer came")
    return Ec2Error(fault.code, fault.message)
