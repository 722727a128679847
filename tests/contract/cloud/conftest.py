"""The clouds in which the contract is tested: the simulator in-process and over HTTP, and moto for the plain path."""

from collections.abc import AsyncIterator, Iterator

import pytest
from tests.contract.cloud.worlds import (
    CloudWorld,
    MotoFacts,
    SimulatedWorld,
    at_moto,
    in_process,
    moto_facts,
    over_http,
)
from tests.kit.moto import moto_server

from strata.cloud.lazy_sdk import LazySdk

SIMULATORS = ["in-process", "http"]


@pytest.fixture(scope="session")
def sdk() -> Iterator[LazySdk]:
    """One boto3 session for all tests, as a process has one."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ACCESS_KEY_ID", "contract")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "contract")
        environment.setenv("AWS_EC2_METADATA_DISABLED", "true")
        environment.setenv("AWS_CONFIG_FILE", "/dev/null")
        environment.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        yield LazySdk()


@pytest.fixture(scope="session")
def moto(
    sdk: LazySdk,  # noqa: ARG001 - for the credentials in the environment
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[MotoFacts]:
    with moto_server(tmp_path_factory.mktemp("moto")) as endpoint:
        yield moto_facts(endpoint)


@pytest.fixture(params=[*SIMULATORS, pytest.param("moto", marks=pytest.mark.moto)])
async def world(request: pytest.FixtureRequest, sdk: LazySdk) -> AsyncIterator[CloudWorld]:
    """Any cloud."""
    if request.param == "in-process":
        yield in_process()
    elif request.param == "http":
        async with over_http(sdk) as simulated:
            yield simulated
    else:
        async with at_moto(request.getfixturevalue("moto"), sdk) as plain:
            yield plain


@pytest.fixture(params=SIMULATORS)
async def simulated(request: pytest.FixtureRequest, sdk: LazySdk) -> AsyncIterator[SimulatedWorld]:
    """A cloud that can be told to go wrong."""
    if request.param == "in-process":
        yield in_process()
    else:
        async with over_http(sdk) as world:
            yield world


@pytest.fixture
async def http(sdk: LazySdk) -> AsyncIterator[SimulatedWorld]:
    """The simulator through Ec2Cloud."""
    async with over_http(sdk) as world:
        yield world
