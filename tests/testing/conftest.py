"""Small simulated deliveries, made once a session."""

import pytest

from processing.testing.simulate import SimulationReport, simulate

SIZE = 256


@pytest.fixture(scope="session")
def naomi(tmp_path_factory: pytest.TempPathFactory) -> SimulationReport:
    """KazEOSat-1, 256 x 256 multispectral and 1024 x 1024 panchromatic."""
    return simulate(tmp_path_factory.mktemp("naomi"), sensor="kazeosat-1-naomi", size=SIZE, seed=3)


@pytest.fixture(scope="session")
def keis(tmp_path_factory: pytest.TempPathFactory) -> SimulationReport:
    """KazEOSat-2, 256 x 256."""
    return simulate(tmp_path_factory.mktemp("keis"), sensor="kazeosat-2-keis", size=SIZE, seed=3)
