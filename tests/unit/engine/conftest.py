"""Everything of the engine is tested on virtual time, with the store's in-memory twin."""

import asyncio
import random
from collections.abc import Callable

import pytest
from tests.kit.virtual_time import VirtualLoop

from strata.metrics import DaemonMetrics


def pytest_asyncio_loop_factories(
    config: pytest.Config,  # noqa: ARG001 - the hook's signature
    item: pytest.Item,  # noqa: ARG001
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"virtual": VirtualLoop}


@pytest.fixture
def metrics() -> DaemonMetrics:
    return DaemonMetrics("test")


@pytest.fixture
def rng() -> random.Random:
    return random.Random(1)
