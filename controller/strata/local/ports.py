"""Which ports the world listens on: a fixed row from a base, or free ones. All on loopback."""

import random
import socket
from dataclasses import dataclass, fields

from strata.cli.failures import CliFailure

DEFAULT_BASE = 7443
HOST = "127.0.0.1"
_LOW, _HIGH = 20_000, 32_000  # below Linux's ephemeral range, so that no outgoing connection takes one meanwhile
_TRIES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """In the order in which they follow a base."""

    api: int
    simulator: int
    etcd: int
    etcd_peer: int


def choose_ports(base: int, rng: random.Random) -> Ports:
    """The row from `base`, or any free ones where it is 0. Raises CliFailure if one is taken."""
    names = [field.name for field in fields(Ports)]
    if base == 0:
        return Ports(**dict(zip(names, _free_ports(len(names), rng), strict=True)))
    ports = Ports(**{name: base + offset for offset, name in enumerate(names)})
    taken = [port for port in range(base, base + len(names)) if not is_free(port)]
    if taken:
        raise CliFailure(
            f"port {', '.join(map(str, taken))} on {HOST} is taken by another program; "
            "choose others with --port-base N, or any free ones with --port-base 0"
        )
    return ports


def is_free(port: int) -> bool:
    """Whether a server could listen on this port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: TIME_WAIT is no hindrance
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _free_ports(count: int, rng: random.Random) -> list[int]:
    found: list[int] = []
    for _ in range(_TRIES):
        port = rng.randrange(_LOW, _HIGH)
        if port not in found and is_free(port):
            found.append(port)
        if len(found) == count:
            return found
    raise CliFailure(f"found no {count} free ports between {_LOW} and {_HIGH} on {HOST}")
