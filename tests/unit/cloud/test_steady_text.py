"""Equal refusals read equally, however EC2 varies its words; what is useful stays."""

import pytest

from strata.cloud.error_table import cloud_error
from strata.cloud.steady_text import steady

FORBIDDEN = (
    "You are not authorized. User: arn:aws:sts::123456789012:assumed-role/strata/i-0ab may not ec2:StopInstances."
)
BLOB = "Z4bWx_9-" * 60


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (f"{FORBIDDEN} Encoded authorization failure message: {BLOB}", FORBIDDEN),
        ("Not now (Request ID: 59dbff89-35bd-4eac-99ed-be587EXAMPLE)", None),
        ("Not now (Request ID: 59dbff89-35bd-4eac-99ed-be5870123456)", "Not now"),
        ("Not now. RequestId=59dbff89-35bd-4eac-99ed-be5870123456", "Not now."),
        (
            "Signature expired: 20260105T120000Z is now earlier than 20260105T121500Z (20260105T122000Z - 5 min.)",
            "Signature expired: (a time) is now earlier than (a time) ((a time) - 5 min.)",
        ),
        (
            "<urllib3.HTTPSConnection object at 0x7f00deadbeef>: Failed to establish a new connection",
            "<urllib3.HTTPSConnection object>: Failed to establish a new connection",
        ),
        ("The instance ID 'i-0123456789abcdef0' does not exist", None),
    ],
)
def test_what_varies_is_left_out_and_the_rest_is_kept(said: str, kept: str | None) -> None:
    assert steady(said) == (said if kept is None else kept)


def test_a_page_of_a_proxy_is_cut() -> None:
    assert len(steady("<p>no</p> " * 10_000)) < 1100


def test_a_refusal_reads_the_same_each_time_and_names_all_its_ids() -> None:
    first, second = (
        cloud_error("UnauthorizedOperation", f"No. Encoded authorization failure message: {n}{BLOB}", action="X")
        for n in range(2)
    )
    assert first.message == second.message == "No."
    many = ", ".join(f"i-{n:017x}" for n in range(500))
    error = cloud_error("InvalidInstanceID.NotFound", f"The instance IDs '{many}' do not exist", action="X")
    assert len(error.ids) == 500
