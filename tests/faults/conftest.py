"""What the fault tests share: a place to work in that costs no disk, and processes that try things out there."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.servers import Servers

_SHARED_MEMORY = Path("/dev/shm")
_ROOM = 256 << 20


@pytest.fixture(scope="session")
def fast_folder() -> Iterator[Path]:
    """A folder in memory where there is one with room: what is tested is what is asked of the disk, not the disk."""
    here = _SHARED_MEMORY
    roomy = here.is_dir() and os.access(here, os.W_OK) and os.statvfs(here).f_bavail * os.statvfs(here).f_frsize > _ROOM
    with tempfile.TemporaryDirectory(dir=here if roomy else None, prefix="qyran-faults-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def servers(fast_folder: Path) -> Iterator[Servers]:
    """Processes that try things out, two at a time."""
    started = Servers(fast_folder)
    yield started
    started.close()
