"""A real PostgreSQL with PostGIS on loopback, with a data folder and a port of its own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from pipelines.bench import postgres
from pipelines.bench.postgres import Cluster, why_not

__all__ = ["Cluster", "refuse", "running", "why_not"]


def refuse(reason: str) -> NoReturn:
    """Skip, with a notice; fail where servers were declared required."""
    if "services" in os.environ.get("QYRAN_REQUIRE", ""):
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """A new cluster that is stopped and removed at the end; ``folder`` only lends its name."""
    settings = ("shared_buffers=64MB", "max_connections=60")
    with postgres.running(folder.name, settings=settings) as cluster:
        yield cluster
