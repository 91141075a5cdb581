"""Packages for the readers' tests."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from configs.registry import load_registry
from configs.schema import SensorConfig
from processing.testing.minimal import MinimalPackage, write_dimap_v1, write_dimap_v2


@pytest.fixture(scope="session")
def sensors() -> Mapping[str, SensorConfig]:
    return load_registry().sensors


@pytest.fixture
def kz1(tmp_path: Path) -> MinimalPackage:
    return write_dimap_v2(tmp_path / "delivered", tiles=(2, 2))


@pytest.fixture
def kz2(tmp_path: Path) -> MinimalPackage:
    return write_dimap_v1(tmp_path / "delivered")
