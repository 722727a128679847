"""Machines that no answer shows: when they are launched anew, and when that would double a fleet that only is not seen.

See docs/designs/004.
"""

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import pytest
import structlog
from tests.kit.acting import Act, hush, passes, settled, until, virtually
from tests.kit.fleet import REGION
from tests.kit.process import ProcessCloud
from tests.kit.rare_stories import QUICK, machines
from tests.kit.stories import LAYER, STACK, online

from strata.cloud.port import Cloud
from strata.resources import kinds
from strata.resources.meta import find_condition
from strata_sim.controls import ids
from strata_sim.faults import Fault
from strata_sim.inprocess import SimulatedCloud
from strata_sim.world import World

MINUTE_S, HOUR_S = 60.0, 3600.0
SETTINGS = replace(QUICK, many_absent_age_s=HOUR_S)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    hush()
    yield
    structlog.reset_defaults()


async def vanish(act: Act, count: int, *, of: int) -> None:
    """So many are ended while nobody looks, for so long that EC2 shows nothing of them any more."""
    await machines(act, of)
    act.processes.kill()
    act.fleet.controls.terminate(ids(*act.fleet.machines()[:count]))
    await passes(act, 2 * HOUR_S)
    act.processes.start()


def launched(act: Act) -> int:
    return sum(len(call.made) for call in act.fleet.world.log.since(0) if call.action == "RunInstances")


@virtually(settings=SETTINGS)
async def test_a_few_that_vanished_are_launched_anew_within_minutes(act: Act) -> None:
    await vanish(act, 3, of=4)
    await until(act, lambda: online(act, 4), within_s=10 * MINUTE_S)
    await settled(act)


@virtually(settings=SETTINGS)
async def test_many_that_vanished_are_launched_anew_after_an_hour_in_which_others_are_seen(act: Act) -> None:
    await vanish(act, 5, of=6)
    await passes(act, 50 * MINUTE_S)
    assert launched(act) == 6
    slot = next(one for one in await act.fleet.instances(STACK) if _healthy(one)[0] == "Unknown")
    assert _healthy(slot) == ("Unknown", "ManyMissing")
    await until(act, lambda: online(act, 6), within_s=30 * MINUTE_S)
    assert launched(act) == 11
    await settled(act)


@virtually(settings=SETTINGS)
async def test_if_all_vanished_one_is_launched_anew_and_the_rest_once_that_one_is_seen(act: Act) -> None:
    await vanish(act, 6, of=6)
    await passes(act, 50 * MINUTE_S)
    assert launched(act) == 6
    await until(act, lambda: launched(act) == 7, within_s=20 * MINUTE_S)
    await until(act, lambda: online(act, 6), within_s=10 * MINUTE_S)
    assert launched(act) == 12
    await settled(act)


@virtually(settings=SETTINGS)
async def test_a_deleted_stack_does_not_wait_for_many_that_vanished(act: Act) -> None:
    await vanish(act, 6, of=6)
    await act.fleet.person.delete(kinds.STACK, STACK)
    await until(act, lambda: _gone(act), within_s=10 * MINUTE_S)


async def _gone(act: Act) -> bool:
    return await act.fleet.get_stack(STACK) is None


class Elsewhere:
    """The cloud of a daemon whose credentials may become those of another account."""

    def __init__(self, right: Cloud) -> None:
        self.now = right
        self.right = right

    def __getattr__(self, name: str) -> Any:
        return getattr(self.now, name)


def moved(act: Act, account: str) -> Elsewhere:
    """Let the daemon that starts next reach a cloud that can be swapped for an empty one in this account."""
    other = World(act.fleet.clock, random.Random(7))
    other.region(REGION).account_id = account
    right = ProcessCloud(act.fleet.world, REGION, act.processes.running["a"])
    elsewhere = Elsewhere(right)
    elsewhere.now = SimulatedCloud(other, REGION)
    return elsewhere


async def reachable(act: Act) -> tuple[str, str, str]:
    stored = await act.fleet.get_stack(STACK)
    condition = find_condition(stored.status.conditions, "CloudReachable") if stored else None
    return (condition.status, condition.reason, condition.message) if condition else ("", "", "")


@virtually(settings=SETTINGS)
async def test_with_credentials_of_another_account_nothing_is_done_and_both_are_named(act: Act) -> None:
    await machines(act, 5)
    act.processes.kill()
    held: list[Elsewhere] = []

    def wrap(_name: str, _cloud: Cloud) -> Cloud:
        held.append(moved(act, "999999999999"))
        return cast("Cloud", held[-1])

    act.fleet.wrap_cloud = wrap
    act.processes.start()
    await passes(act, 5 * HOUR_S)
    status, reason, message = await reachable(act)
    assert (status, reason) == ("False", "WrongAccount")
    assert "account 999999999999" in message
    assert "account 123456789012" in message
    assert launched(act) == len(act.fleet.machines()) == 5
    held[-1].now = held[-1].right
    await until(act, lambda: online(act, 5), within_s=5 * MINUTE_S)
    await settled(act)
    assert launched(act) == 5


@virtually(settings=SETTINGS)
async def test_an_account_in_which_nothing_was_ever_made_binds_nobody(act: Act) -> None:
    act.fleet.world.region(REGION).account_id = "999999999999"
    act.processes.start()
    await act.fleet.person.stack(STACK)
    await passes(act, MINUTE_S)
    act.fleet.world.region(REGION).account_id = "123456789012"
    await act.fleet.person.layer(STACK, LAYER, 2)
    await until(act, lambda: online(act, 2), within_s=5 * MINUTE_S)
    await passes(act, MINUTE_S)
    assert act.laws.cluster().accounts == {REGION: "123456789012"}


@virtually(settings=SETTINGS)
async def test_while_nobody_says_whose_credentials_these_are_nothing_counts_as_gone(act: Act) -> None:
    act.fleet.controls.fault(Fault("refuse", actions=frozenset({"GetCallerIdentity"}), count=None))
    await vanish(act, 1, of=3)
    await passes(act, 2 * HOUR_S)
    assert launched(act) == 3
    act.fleet.controls.clear_faults()
    await until(act, lambda: online(act, 3), within_s=20 * MINUTE_S)
    await settled(act)


def _healthy(slot: Any) -> tuple[str, str]:
    condition = find_condition(slot.status.conditions, "Healthy")
    return (condition.status, condition.reason) if condition else ("", "")
