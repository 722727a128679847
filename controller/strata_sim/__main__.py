"""`python -m strata_sim`: the HTTP face as a process of its own.

When it listens it writes one line to standard output: {"endpoint": "http://127.0.0.1:1234"}. It ends at SIGTERM or
SIGINT or, with --exit-with-parent, when the process that started it is gone.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec
import yaml

from strata.clock import ShiftedClock, SystemClock
from strata_sim.catalog import RegionSpec, default_catalog
from strata_sim.http import serving
from strata_sim.knobs import Delays
from strata_sim.world import World

_PARENT_POLL_S = 0.5


class WorldFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A world file, in YAML. What is left out is the default world's."""

    account_id: str = default_catalog().account_id
    regions: tuple[RegionSpec, ...] = default_catalog().regions
    delays: Delays = msgspec.field(default_factory=Delays)
    latency_s: float = 0.0
    throttle: float | None = 1.0


def main() -> None:
    asyncio.run(_serve(_arguments()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m strata_sim", description="A simulated EC2 and SSM over HTTP")
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="HOST:PORT", help="port 0: a free one")
    parser.add_argument("--world", type=Path, metavar="FILE.yaml", help="regions, delays, latency_s, throttle")
    parser.add_argument("--clock-file", type=Path, metavar="FILE", help="how far ahead wall time is; shared, settable")
    parser.add_argument("--seed", type=int, help="for ids, and for faults with a probability")
    parser.add_argument("--exit-with-parent", action="store_true")
    return parser.parse_args()


async def _serve(arguments: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if arguments.exit_with_parent:
        _stop_without(os.getppid(), stop)
    host, _, port = arguments.listen.rpartition(":")
    async with serving(_world(arguments), host, int(port)) as endpoint:
        sys.stdout.write(json.dumps({"endpoint": endpoint}) + "\n")
        sys.stdout.flush()
        await stop.wait()


def _stop_without(parent: int, stop: asyncio.Event) -> None:
    """An orphan gets another parent; that is how it notices."""
    if os.getppid() != parent:
        stop.set()
        return
    asyncio.get_running_loop().call_later(_PARENT_POLL_S, _stop_without, parent, stop)


def _world(arguments: argparse.Namespace) -> World:
    content: Any = yaml.safe_load(arguments.world.read_text()) if arguments.world else {}
    file = msgspec.convert(content, WorldFile)
    catalog = msgspec.structs.replace(default_catalog(), account_id=file.account_id, regions=file.regions)
    clock = ShiftedClock(arguments.clock_file) if arguments.clock_file else SystemClock()
    world = World(clock, random.Random(arguments.seed), catalog)  # noqa: S311 - a simulation's dice
    world.latency_s = file.latency_s
    for region in world.regions:
        region.knobs.delays = msgspec.structs.replace(file.delays)
        region.buckets.rescale(file.throttle)
    return world


if __name__ == "__main__":
    main()
