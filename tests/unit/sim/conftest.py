import pytest
from tests.unit.sim.kit import Sim


@pytest.fixture
def sim() -> Sim:
    return Sim()
