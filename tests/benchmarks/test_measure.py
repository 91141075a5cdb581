"""A benchmark is worth what its measuring is: whole process trees, small children, and honest failures."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio

from pipelines.bench import ortho
from pipelines.bench.measure import ToolFailed, run_measured
from pipelines.bench.ortho import OrthoBenchOptions, run_ortho_bench
from pipelines.bench.results import QYRAN
from pipelines.bench.tools import Job, Tool, peer_tools
from processing.model.errors import BadInput

MEGABYTE = 1_000_000


def python(text: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", text]


def test_memory_is_the_childs_own() -> None:
    """A child spawned by a process of 500 MB is not one of 500 MB."""
    ballast = np.ones(500 * MEGABYTE, dtype=np.uint8)
    used = run_measured(python("pass"), threads=1)
    assert ballast.size == 500 * MEGABYTE
    assert used.peak_rss_bytes < 30 * MEGABYTE
    assert run_measured(python("x = bytearray(200_000_000)"), threads=1).peak_rss_bytes > 200 * MEGABYTE


def test_grandchildren_are_counted() -> None:
    busy = "sum(i * i for i in range(6_000_000)); x = bytearray(150_000_000)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-I', '-S', '-c', {busy!r}], check=True)"
    alone, nested = run_measured(python(busy), threads=1), run_measured(python(parent), threads=1)
    assert nested.cpu_s > 0.7 * alone.cpu_s
    assert nested.peak_rss_bytes > 150 * MEGABYTE


def test_a_process_gets_the_cpus_it_is_given() -> None:
    run_measured(python("import os; assert len(os.sched_getaffinity(0)) == 1"), threads=1)


@pytest.mark.parametrize(
    ("command", "said"),
    [(python("import sys; sys.exit('out of luck')"), "out of luck"), (["no-such-program"], "could not be started")],
)
def test_failures_say_why(command: list[str], said: str) -> None:
    with pytest.raises(ToolFailed, match=said):
        run_measured(command, threads=1)


def written(path: Path, job: Job, rows: int) -> None:
    """An output in the right place of which only the first rows hold values."""
    counts = np.zeros((1, *job.shape), dtype=np.uint16)
    counts[:, :rows] = 700
    left, _, _, top = job.bounds
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=job.shape[0], width=job.shape[1], dtype="uint16", crs=job.crs,
        transform=rasterio.Affine(job.resolution_m, 0, left, 0, -job.resolution_m, top),
    ) as output:  # fmt: skip
        output.write(counts)


def a_peer(key: str, rows_share: float) -> Tool:
    """A tool that makes its output in no time, of which a share holds values, and exits with 0."""

    def command(job: Job, folder: Path) -> list[str]:
        written(folder / "out.tif", job, round(job.shape[0] * rows_share))
        return ["true"]

    pattern = peer_tools(1)[0]
    return replace(pattern, key=key, label=key, version="1", command=command, output=lambda _: "out.tif")


def test_a_half_empty_output_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As gdalwarp 3.6.2 with some options: half of the image missing, exit code 0."""
    absent = replace(a_peer("absent", 1.0), version=None)
    bounded = replace(a_peer("elsewhere", 1.0), bounded=False)
    peers = (a_peer("half", 0.5), a_peer("full", 1.0), absent, bounded)
    monkeypatch.setattr(ortho, "peer_tools", lambda _: peers)
    monkeypatch.setattr(ortho, "qyran_tools", lambda: (a_peer(QYRAN, 1.0),))
    options = OrthoBenchOptions(size=400, bands=1, window=100, runs=2, threads=1, peers=True)
    result = run_ortho_bench(tmp_path, options)
    whole, inner = result.settings
    assert "missing" in (whole.row("half").failure or "")
    assert whole.row("half").missing_share == pytest.approx(0.5, abs=0.15)
    assert whole.row("full").failure is None
    assert len(whole.row("full").runs) == 2
    assert whole.row("absent").failure == "not installed"
    assert "part of the map" in (inner.row("elsewhere").failure or "")
    assert inner.shape == (100, 100)
    assert not list(tmp_path.glob("runs-*"))


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        (OrthoBenchOptions(size=400, window=399), "bench.window"),
        (OrthoBenchOptions(size=400, window=0, whole=False), "bench.window"),
        (OrthoBenchOptions(size=400, runs=0), "bench.runs"),
        (OrthoBenchOptions(size=100), "bench.size"),
    ],
)
def test_impossible_benchmarks_are_refused(tmp_path: Path, options: OrthoBenchOptions, kind: str) -> None:
    with pytest.raises(BadInput) as caught:
        run_ortho_bench(tmp_path, options)
    assert caught.value.kind == kind
