"""The parser's contract: {ours, botocore's} read the same records from the same pages, recorded and made up."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from tests.contract.cloud import botocore_reading
from tests.kit import ec2_pages

from strata.cloud.parser import PageParser

CASES = Path(__file__).parents[2] / "cases" / "ec2"
EXAMPLES = settings(max_examples=150, deadline=None)


def recorded(prefix: str) -> list[Path]:
    """The recorded pages of an action: the longest prefixes must not catch those of others."""
    return [path for path in sorted(CASES.glob(f"{prefix}*.xml")) if path.stem.removeprefix(prefix)[:1] in {"", "-"}]


@pytest.mark.parametrize("path", recorded("describe-instances"), ids=lambda path: path.stem)
def test_a_recorded_page_of_instances_reads_as_botocore_reads_it(path: Path) -> None:
    page = path.read_bytes()
    assert PageParser().describe_instances(page) == botocore_reading.describe_instances(page)


@pytest.mark.parametrize("path", recorded("run-instances"), ids=lambda path: path.stem)
def test_a_recorded_launch_reads_as_botocore_reads_it(path: Path) -> None:
    page = path.read_bytes()
    assert PageParser().run_instances(page) == botocore_reading.run_instances(page)


@pytest.mark.parametrize("path", recorded("describe-instance-status"), ids=lambda path: path.stem)
def test_a_recorded_page_of_status_checks_reads_as_botocore_reads_it(path: Path) -> None:
    page = path.read_bytes()
    assert PageParser().describe_instance_status(page) == botocore_reading.describe_instance_status(page)


def test_the_recorded_pages_hold_every_state_and_both_markets() -> None:
    pages = [PageParser().describe_instances(path.read_bytes()) for path in recorded("describe-instances")]
    machines = [machine for page in pages for machine in page.items]
    assert {machine.state for machine in machines} == {
        "pending", "running", "stopping", "stopped", "shutting-down", "terminated",
    }  # fmt: skip
    assert {machine.lifecycle for machine in machines} == {"on-demand", "spot"}


@EXAMPLES
@given(page=ec2_pages.DESCRIBE_INSTANCES)
def test_any_page_of_instances_reads_as_botocore_reads_it(page: bytes) -> None:
    assert PageParser().describe_instances(page) == botocore_reading.describe_instances(page)


@EXAMPLES
@given(page=ec2_pages.RUN_INSTANCES)
def test_any_launch_reads_as_botocore_reads_it(page: bytes) -> None:
    assert PageParser().run_instances(page) == botocore_reading.run_instances(page)


@EXAMPLES
@given(page=ec2_pages.DESCRIBE_INSTANCE_STATUS)
def test_any_page_of_status_checks_reads_as_botocore_reads_it(page: bytes) -> None:
    assert PageParser().describe_instance_status(page) == botocore_reading.describe_instance_status(page)
