"""`make bench`: measures Strata next to what people would write themselves, and prints tables and JSON.

python -m tests.bench [--sizes 10x10,100x10,1000x10] [--out build/bench]
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from tests.bench import scenarios
from tests.bench.report import Figure, show, write_json
from tests.bench.rig import Size
from tests.kit.cluster import Cluster, environment

_STACKS = {10: 1, 100: 5, 1000: 20, 10_000: 20}


def main() -> int:
    options = argparse.ArgumentParser(prog="bench")
    options.add_argument("--sizes", default="10x10,100x10,1000x10")
    options.add_argument("--out", type=Path, default=Path("build/bench"))
    chosen = options.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    figures: list[Figure] = []
    for size in map(_size, chosen.sizes.split(",")):
        for figure in chain(_strata(size), _boto3(size)):
            figures.append(figure)
            print(f"{figure.size} {figure.scenario} ({figure.who}): {figure.cpu_s:.3f} s of CPU", flush=True)  # noqa: T201 - progress
        write_json(figures, chosen.out / "bench.json")
    show(figures)
    missed = [line for figure in figures for line in figure.missed()]
    print("\n".join(missed) or "every goal was reached")  # noqa: T201 - the verdict
    return 0


def _size(text: str) -> Size:
    layers, _, each = text.partition("x")
    return Size(int(layers), int(each), _STACKS.get(int(layers), 1))


def _strata(size: Size) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        yield from scenarios.run(size, Path(directory))


def _boto3(size: Size) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, Cluster(Path(directory)) as cluster:
        cluster.sim("throttle", {"off": True})
        command = [sys.executable, "-m", "tests.bench.boto3_loop", cluster.sim_url, str(size.layers), str(size.each)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment())
        for line in done.stdout.splitlines():
            step = json.loads(line)
            yield Figure(
                machines=size.machines, size=size.name, scenario=step["step"], who="boto3 loop",
                wall_s=step["wall_s"], cpu_s=step["cpu_s"], calls={}, peak_mib=step["peak_mib"],
            )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
