"""What the fault tests share: a place to work in that costs no disk, and the count of what was done to it."""

import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.counts import COUNTS
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


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What was done to the archive in this run, and what came of it."""
    if COUNTS:
        terminalreporter.write_sep("-", "faults")
        for line in summary(COUNTS):
            terminalreporter.write_line(line)


def summary(counts: Counter[str]) -> Iterator[str]:
    """Lines for a person: how many faults of which kind, and the promises that were broken."""
    injected = {name: count for name, count in counts.items() if name.startswith("injected ")}
    yield f"{sum(injected.values())} faults injected: " + ", ".join(
        f"{count} {name.removeprefix('injected ')}" for name, count in sorted(injected.items())
    )
    yield (
        f"{counts['lost']} acknowledged products lost, {counts['half-visible']} half-visible, "
        f"{counts['silent']} silent corruptions, {counts['unrecovered']} restarts that did not settle everything"
    )
