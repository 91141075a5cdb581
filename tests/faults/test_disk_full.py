"""A disk that is too small, for real: from one that holds nothing to one that holds it all."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.faults import witness, work
from tests.faults.counts import COUNTS

SIZES_KB = (*range(16, 400, 24), 480, 560, 640, 800)


def _mounted(folder: Path, size_kb: int) -> bool:
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_kb}k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    return done.returncode == 0


@pytest.fixture(scope="module")
def may_mount(fast_folder: Path) -> None:
    """Skips where this user may not mount."""
    probe = fast_folder / "probe"
    if os.geteuid() != 0 or shutil.which("mount") is None or not _mounted(probe, 64):
        pytest.skip("filling a real disk needs root and mount")
    subprocess.run(["umount", str(probe)], check=True)


def test_a_disk_that_runs_full_at_any_point_leaves_nothing_half_done(may_mount, servers, fast_folder):
    what = work.draft()
    reference = fast_folder / "roomy"
    assert servers.ask({"step": "ingest", "home": str(reference)})["ended"] == "done"
    found = witness.reference(reference, what.collection, what.id)
    known = {found.revision: found}
    ends = []
    for size in SIZES_KB:
        home = fast_folder / "small"
        assert _mounted(home, size)
        try:
            ended = servers.ask({"step": "ingest", "home": str(home), "blind": True})["ended"]
            ends.append(ended)
            COUNTS["injected disk that is full"] += ended != "done"
            assert ended in ("done", "Retryable disk.full", "Retryable disk.failed"), f"{size} kB: {ended}"
            assert witness.faults_of(home, known, at_rest=False) == [], f"{size} kB"
            subprocess.run(["mount", "-o", "remount,size=64m", str(home)], check=True)
            assert servers.ask({"step": "recover", "home": str(home)})["ended"] == "done"
            assert servers.ask({"step": "ingest", "home": str(home)})["ended"] == "done"
            assert witness.faults_of(home, known, at_rest=True) == [], f"{size} kB, with room again"
        finally:
            subprocess.run(["umount", str(home)], check=True)
    assert ends[0] != "done", "the smallest disk was not too small"
    assert ends[-1] == "done", "the largest disk was too small"
