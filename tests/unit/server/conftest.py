"""The API is tested over the store's in-memory twin, on virtual time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import structlog
from tests.kit.api import Api, run_api
from tests.kit.store import FaultyStore
from tests.kit.virtual_time import VirtualClock, VirtualLoop


def pytest_asyncio_loop_factories(
    config: pytest.Config,  # noqa: ARG001 - the hook's signature
    item: pytest.Item,  # noqa: ARG001
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"virtual": VirtualLoop}


@pytest.fixture
async def store() -> FaultyStore:
    return FaultyStore(VirtualClock())


@pytest.fixture
async def api(store: FaultyStore) -> AsyncIterator[Api]:
    async with run_api(store, store.clock) as api:
        yield api


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Unconfigured, structlog draws every traceback with all its locals, which takes seconds."""
    with structlog.testing.capture_logs():
        yield
