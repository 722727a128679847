"""A cloud bound to an account: reads are let through, and what changes anything only where the account is right."""

import random
from collections.abc import Awaitable, Callable

import pytest
from tests.kit.virtual_time import VirtualClock

from strata.cloud.bound import BoundCloud
from strata.errors import CloudError, CloudErrorKind
from strata_sim.controls import Controls
from strata_sim.faults import Fault
from strata_sim.inprocess import SimulatedCloud
from strata_sim.world import World

REGION, ACCOUNT, ID = "us-east-1", "123456789012", "i-0fffffffffffffff1"


def expecting(account: str) -> Callable[[str], Awaitable[str]]:
    async def expect(_account: str) -> str:
        return account

    return expect


@pytest.fixture
async def world() -> World:
    return World(VirtualClock(), random.Random(1))


def bound(world: World, account: str) -> BoundCloud:
    return BoundCloud(SimulatedCloud(world, REGION), expecting(account))


async def refusal(call: Awaitable[object]) -> CloudErrorKind:
    with pytest.raises(CloudError) as caught:
        await call
    return caught.value.kind


async def test_in_the_right_account_all_goes_through(world: World) -> None:
    cloud = bound(world, ACCOUNT)
    assert await cloud.account() == ACCOUNT
    assert await refusal(cloud.terminate_instances([ID])) is CloudErrorKind.NOT_FOUND


async def test_in_another_account_nothing_that_changes_anything_is_sent(world: World) -> None:
    cloud = bound(world, "999999999999")
    assert await cloud.describe_instances([]) == ()
    for call in (cloud.terminate_instances, cloud.stop_instances, cloud.start_instances, cloud.reboot_instances):
        assert await refusal(call([ID])) is CloudErrorKind.WRONG_ACCOUNT
    assert await refusal(cloud.create_tags([ID], {"a": "b"})) is CloudErrorKind.WRONG_ACCOUNT
    assert {call.action for call in world.log.since(0)} == {"DescribeInstances", "GetCallerIdentity"}


async def test_the_refusal_names_both_accounts(world: World) -> None:
    with pytest.raises(CloudError, match=r"of account 123456789012, .* in account 999999999999"):
        await bound(world, "999999999999").account()


async def test_while_nobody_says_whose_credentials_these_are_changes_are_let_through(world: World) -> None:
    Controls(world, REGION).fault(Fault("refuse", code="InternalError", actions=frozenset({"GetCallerIdentity"})))
    assert await refusal(bound(world, "999999999999").terminate_instances([ID])) is CloudErrorKind.NOT_FOUND
