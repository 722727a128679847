"""Faults that only a real server has. Each test has an etcd of its own: it will be killed, frozen, filled or wiped."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest
from tests.kit.certificates import Certificates, make_certificates
from tests.kit.etcd import DEBIAN, Etcd, EtcdOptions, find_binary


class Start(Protocol):
    def __call__(self, options: EtcdOptions, binary: str = DEBIAN) -> Etcd: ...


def pytest_asyncio_loop_factories(
    config: pytest.Config,  # noqa: ARG001 - the hook's signature
    item: pytest.Item,  # noqa: ARG001
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {DEBIAN: asyncio.SelectorEventLoop}


@pytest.fixture
def start_etcd(tmp_path: Path) -> Iterator[Start]:
    """Start an etcd with these options; it is killed at the end."""
    started: list[Etcd] = []

    def start(options: EtcdOptions, binary: str = DEBIAN) -> Etcd:
        directory = tmp_path / str(len(started))
        directory.mkdir()
        etcd = Etcd(find_binary(binary), directory, options)
        started.append(etcd)
        etcd.start()
        return etcd

    yield start
    for etcd in started:
        etcd.kill()


@pytest.fixture
def etcd(start_etcd: Start) -> Etcd:
    return start_etcd(EtcdOptions())


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))
