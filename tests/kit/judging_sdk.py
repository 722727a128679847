"""A LazySdk that sends nothing: every request is judged as AWS would judge it, and answered with next to nothing."""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.kit.aws_limits import judge

from strata.cloud.lazy_sdk import LazySdk
from strata.cloud.sdk import Client, Reply, Sdk

_CASES = Path(__file__).parents[1] / "cases" / "ec2"
_PARSED: Mapping[str, Mapping[str, Any]] = {
    "GetCallerIdentity": {"Account": "123456789012"},
    "GetParameters": {"Parameters": []},
    "DescribeImages": {"Images": []},
    "DescribeSubnets": {"Subnets": []},
    "GetMetricData": {"MetricDataResults": []},
    "DescribeAlarms": {"MetricAlarms": []},
}
_RUN = (_CASES / "run-instances.xml").read_text()
_PAGES: Mapping[str, str] = {
    "DescribeInstances": (_CASES / "describe-instances-empty.xml").read_text(),
    "DescribeInstanceStatus": "<DescribeInstanceStatusResponse><instanceStatusSet/></DescribeInstanceStatusResponse>",
    "RunInstances": _RUN,
}
LAUNCHED = re.findall("<clientToken>(.+)</clientToken>", _RUN)  # the tokens that a launch is answered with


class JudgingClient(Client):
    """Of one service. `seen` counts the actions."""

    def __init__(self, service: str, seen: Counter[str]) -> None:
        self.epoch = 0
        self._service = service
        self._seen = seen

    def call(self, action: str, parameters: Mapping[str, Any], _now: Callable[[], datetime]) -> Reply:
        self._seen[action] += 1
        complaints = judge(self._service, action, parameters)
        assert not complaints, f"{action}: {complaints}"
        return Reply(_PAGES.get(action, "").encode(), _PARSED.get(action, {}))

    def close(self) -> None:
        """There is no connection."""


class JudgingSdk(LazySdk):
    """What the clouds under test are given. `seen` counts the actions that were sent."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()
        self._judging = _Judging(self.seen)

    def load(self) -> Sdk:
        return self._judging


class _Judging(Sdk):
    def __init__(self, seen: Counter[str]) -> None:
        super().__init__()
        self._seen = seen

    def client(self, service: str, _region: str, _endpoint_url: str | None) -> Client:
        return JudgingClient(service, self._seen)
