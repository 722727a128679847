"""Which ports a world listens on."""

import random
import socket

import pytest

from strata.cli.failures import CliFailure
from strata.local.ports import HOST, Ports, choose_ports, is_free


def free_row() -> int:
    """The first of four ports that are free just now."""
    rng = random.Random(7)
    for _ in range(100):
        base = rng.randrange(21_000, 31_000)
        if all(is_free(base + offset) for offset in range(4)):
            return base
    pytest.fail("no four free ports in a row")


def test_a_base_gives_the_row_that_follows_it() -> None:
    base = free_row()
    assert choose_ports(base, random.Random(1)) == Ports(
        api=base, simulator=base + 1, etcd=base + 2, etcd_peer=base + 3
    )


def test_a_taken_port_is_named_with_the_way_out() -> None:
    base = free_row()
    with socket.socket() as other:
        other.bind((HOST, base + 2))
        other.listen()
        with pytest.raises(CliFailure, match=rf"port {base + 2} .*--port-base 0"):
            choose_ports(base, random.Random(1))


def test_free_ports_differ_and_can_be_listened_on() -> None:
    ports = choose_ports(0, random.Random(1))
    chosen = {ports.api, ports.simulator, ports.etcd, ports.etcd_peer}
    assert len(chosen) == 4
    assert all(is_free(port) for port in chosen)
