"""Ec2Cloud against a server that misbehaves."""

from collections.abc import AsyncIterator, Iterator

import pytest
from tests.unit.cloud.odd_server import OddServer, odd_server

from strata.clock import SystemClock
from strata.cloud.ec2 import Ec2Cloud
from strata.cloud.lazy_sdk import LazySdk
from strata.metrics import DaemonMetrics


@pytest.fixture(scope="module", autouse=True)
def aws_environment() -> Iterator[pytest.MonkeyPatch]:
    """The environment of boto3's credential chain, without the machine's own."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ACCESS_KEY_ID", "unit")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "unit")
        environment.setenv("AWS_EC2_METADATA_DISABLED", "true")
        environment.setenv("AWS_CONFIG_FILE", "/dev/null")
        environment.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        yield environment


@pytest.fixture(scope="module")
def sdk(aws_environment: pytest.MonkeyPatch) -> LazySdk:  # noqa: ARG001 - for the credentials
    return LazySdk()


@pytest.fixture
async def server() -> AsyncIterator[OddServer]:
    async with odd_server() as odd:
        yield odd


@pytest.fixture
def metrics() -> DaemonMetrics:
    return DaemonMetrics("test")


@pytest.fixture
async def cloud(server: OddServer, sdk: LazySdk, metrics: DaemonMetrics) -> AsyncIterator[Ec2Cloud]:
    made = Ec2Cloud("us-east-1", server.url, SystemClock(), metrics, sdk=sdk)
    yield made
    server.hold.set()
    await made.close()
