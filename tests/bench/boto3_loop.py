"""The peer that people write themselves: a loop over boto3 of one paged describe, a comparison, one launch a layer.

A process of its own, for `python -m tests.bench.boto3_loop URL LAYERS EACH`. Prints one line of JSON a step.
"""

import json
import resource
import sys
from collections import Counter

import boto3
from botocore.config import Config
from tests.bench.rig import now_s

_TAG = "loop"
_SUBNETS = ("subnet-0a", "subnet-0b", "subnet-0c")


def main(url: str, layers: int, each: int) -> None:
    """Converge, look twice (cold, warm), and say what each cost."""
    began = _meters()
    loop = Loop(url, layers, each)
    loop.cycle()
    _say("converge", began)
    for step in ("describe cold", "describe"):
        began = _meters()
        loop.cycle()
        _say(step, began)
    dead = loop.lose_one_in_a_hundred()
    began = _meters()
    loop.cycle()
    _say("heal 1 %", began, dead=dead)
    loop.wanted["l0"] += 10
    began = _meters()
    loop.cycle()
    _say("scale +10", began)


class Loop:
    """The loop. It keeps nothing: every cycle reads everything."""

    def __init__(self, url: str, layers: int, each: int) -> None:
        self.wanted = {f"l{number}": each for number in range(layers)}
        self._ec2 = boto3.client(
            "ec2",
            region_name="us-east-1",
            endpoint_url=url,
            config=Config(retries={"total_max_attempts": 10, "mode": "standard"}),
        )

    def cycle(self) -> None:
        have = Counter(self._layer(instance) for instance in self._living())
        for layer, wanted in self.wanted.items():
            if have[layer] < wanted:
                self._launch(layer, wanted - have[layer])

    def lose_one_in_a_hundred(self) -> int:
        lost = [str(one["InstanceId"]) for one in self._living()][::100]
        self._ec2.terminate_instances(InstanceIds=lost)
        return len(lost)

    def _living(self) -> list[dict[str, object]]:
        pages = self._ec2.get_paginator("describe_instances").paginate(
            Filters=[
                {"Name": "tag-key", "Values": [_TAG]},
                {"Name": "instance-state-name", "Values": ["pending", "running"]},
            ],
            PaginationConfig={"PageSize": 1000},
        )
        return [instance for page in pages for group in page["Reservations"] for instance in group["Instances"]]  # type: ignore[misc]

    @staticmethod
    def _layer(instance: dict[str, object]) -> str:
        tags: list[dict[str, str]] = instance["Tags"]  # type: ignore[assignment]
        return next(tag["Value"] for tag in tags if tag["Key"] == _TAG)

    def _launch(self, layer: str, count: int) -> None:
        self._ec2.run_instances(
            ImageId="ami-0deb12000000000a1",
            InstanceType="t3.small",
            SubnetId=_SUBNETS[int(layer[1:]) % len(_SUBNETS)],
            MinCount=1,
            MaxCount=count,
            TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": _TAG, "Value": layer}]}],
        )


def _meters() -> tuple[float, float]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return now_s(), used.ru_utime + used.ru_stime


def _say(step: str, began: tuple[float, float], **more: int) -> None:
    wall_s, cpu_s = _meters()
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    said = {"step": step, "wall_s": wall_s - began[0], "cpu_s": cpu_s - began[1], "peak_mib": peak_mib, **more}
    print(json.dumps(said))  # noqa: T201 - its output


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
