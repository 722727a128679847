"""What a newcomer reads once a world is up: where things are, and seven things to try as commands to copy."""

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from strata.local.state import WorldRecord

_OTHER_SERVERS = ("STRATA_SERVER", "STRATA_KUBECONFIG", "KUBECONFIG")  # what comes before the default kubeconfig


def summary(world: WorldRecord, *, examples: Path | None, detached: bool, environment: Mapping[str, str]) -> str:
    """The text. `examples` None: none were applied, so there is nothing to try on."""
    strata = strata_command(world, environment)
    lines = ["", "Strata is up.", "", *(f"  {name:<11} {text}" for name, text in _places(world))]
    if examples is not None:
        where = "" if detached else ", in another terminal"
        lines += ["", f"Seven things to try{where}:", *_things_to_try(strata, examples)]
    ending = f"`{strata} down` ends it" if detached else "Ctrl-C stops all of it"
    left = "and leaves nothing behind" if world.temporary else f"and keeps the data in {world.data_dir}"
    return "\n".join([*lines, "", f"{ending} {left}.", ""])


def strata_command(world: WorldRecord, environment: Mapping[str, str]) -> str:
    """What to type for `strata` so that it is this one and talks to this world."""
    own = Path(sys.executable).parent / "strata"
    found = shutil.which("strata", path=environment.get("PATH"))
    if found and Path(found).resolve() == own.resolve():
        command = "strata"
    else:
        nearby = os.path.relpath(own)
        command = shlex.quote(str(own) if nearby.startswith("..") else nearby)
    if world.link is None or any(environment.get(name) for name in _OTHER_SERVERS):
        return f"{command} --kubeconfig {shlex.quote(world.kubeconfig)}"
    return command


def _places(world: WorldRecord) -> list[tuple[str, str]]:
    pointer = f" ({world.link} points at it)" if world.link else ""
    return [
        ("API", world.api),
        ("metrics", world.metrics),
        ("simulator", f"{world.simulator} (a simulated EC2: no machine here is real, none costs anything)"),
        ("kubeconfig", f"{world.kubeconfig}{pointer}"),
        ("data", f"{world.data_dir}{' (temporary)' if world.temporary else ''}"),
        ("logs", world.logs),
    ]


def _things_to_try(strata: str, examples: Path) -> list[str]:
    file = shlex.quote(str(examples / "todo-production.yaml"))
    things = [
        (
            "Kill a machine, and watch it come back under its name",
            f"{strata} sim terminate instance/web-1 -n todo-production",
            f"{strata} get instances -n todo-production -w",
        ),
        ("Edit a file and apply it", f"sed 's/always: 2/always: 4/' {file} | {strata} apply -f -"),
        ("Scale a layer", f"{strata} scale layer/workers -n todo-production --always 5"),
        (
            "Renew a layer's machines, one at a time, and ask why there are as many as there are",
            f"{strata} rollout restart layer/workers -n todo-production",
            f"{strata} why layer/workers -n todo-production",
            f"{strata} rollout status layer/workers -n todo-production",
        ),
        (
            "Let more work come, and watch the workers follow their queue",
            f"{strata} sim load layer/workers -n queue-workers --total 700",
            f"{strata} get layers -n queue-workers -w",
        ),
        (
            "Set the clock forward, over the next office hours",
            f"{strata} sim clock +12h",
            f"{strata} why layer/web -n office-hours",
        ),
        ("Delete a layer, and see its machines end", f"{strata} delete layer web -n todo-staging"),
    ]
    lines = []
    for number, (title, *commands) in enumerate(things, start=1):
        lines += ["", f"  {number}. {title}", *(f"       {command}" for command in commands)]
    return lines
