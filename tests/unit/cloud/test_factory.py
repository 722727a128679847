"""One Cloud a region and endpoint; nothing is loaded before it is used."""

import subprocess
import sys

import pytest

from strata.clock import SystemClock
from strata.cloud.factory import CloudFactory
from strata.errors import CloudError, CloudErrorKind
from strata.metrics import DaemonMetrics


def factory() -> CloudFactory:
    return CloudFactory({"sim": "http://127.0.0.1:1"}, SystemClock(), DaemonMetrics("test"))


async def test_a_region_at_an_endpoint_has_one_cloud() -> None:
    clouds = factory()
    assert clouds("us-east-1", "sim") is clouds("us-east-1", "sim")
    assert len({clouds(region, endpoint) for region in ("us-east-1", "eu-west-1") for endpoint in ("sim", None)}) == 4
    await clouds.close()


def test_an_endpoint_that_the_settings_do_not_have_is_refused_by_name() -> None:
    with pytest.raises(CloudError) as caught:
        factory()("us-east-1", "simulator")
    assert caught.value.kind is CloudErrorKind.INVALID
    assert "'simulator'" in caught.value.message
    assert "sim" in caught.value.message


def test_boto3_is_not_imported_before_a_call_is_made() -> None:
    program = (
        "import sys; from strata.cloud.factory import CloudFactory; from strata.clock import SystemClock; "
        "from strata.metrics import DaemonMetrics; "
        "CloudFactory({}, SystemClock(), DaemonMetrics('x'))('us-east-1', None); "
        "print([name for name in sys.modules if name.startswith('boto')])"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"
