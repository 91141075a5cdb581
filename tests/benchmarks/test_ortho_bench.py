"""``qyran bench ortho`` as it is typed, on a small scene: gates on where the tools look, never on time."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from pipelines.bench.report import markers

SIZE = 1000
MAX_PX, RMSE_PX = 0.02, 0.003
EXACT = ("gdalwarp-xscale1", "rasterio", "otb-1gsd")
"""Peers that are known to look where the model says: they prove the truth that Qyran is held against."""


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """The command's document, and the folder with its report and a README."""
    folder = tmp_path_factory.mktemp("bench")
    readme = folder / "README.md"
    begin, end = markers("ortho")
    readme.write_text(f"before\n\n{begin}\nold figures\n{end}\n\nafter\n", encoding="utf-8")
    command = [sys.executable, "-c", "from pipelines.cli import main; main()", "bench", "ortho"]
    command += ["--home", str(folder / "home"), "--size", str(SIZE), "--window", "0", "--runs", "1", "--peers"]
    command += ["--report", str(folder / "report"), "--readme", str(readme), "--json", "--debug"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout), folder


def named(document: dict[str, Any], part: str, tool: str) -> dict[str, Any]:
    rows = document[part] if part == "accuracy" else document["settings"][0]["rows"]
    return dict(next(row for row in rows if row["tool"] == tool))


@pytest.mark.parametrize("tool", ["qyran-zarr", "qyran-tif"])
def test_qyran_looks_where_the_model_says(measured: tuple[dict[str, Any], Path], tool: str) -> None:
    found = named(measured[0], "accuracy", tool)
    assert found["failure"] is None
    assert found["points"] > 20_000
    assert found["steep_points"] > 10_000
    assert found["missing_share"] == 0
    assert found["max_px"] <= MAX_PX
    assert found["rmse_px"] <= RMSE_PX


@pytest.mark.parametrize("tool", EXACT)
def test_the_truth_is_that_of_exact_peers(measured: tuple[dict[str, Any], Path], tool: str) -> None:
    found = named(measured[0], "accuracy", tool)
    if found["failure"] == "not installed":
        pytest.skip(f"{tool} is not installed (gdal-bin, otb-bin)")
    assert found["failure"] is None
    assert found["max_px"] <= 0.001
    assert found["missing_share"] == 0


def test_counts_are_gdals(measured: tuple[dict[str, Any], Path]) -> None:
    """Positions differ by thousandths of a pixel, so a count in a thousand may differ by two."""
    if named(measured[0], "settings", "gdalwarp-xscale1")["failure"] == "not installed":
        pytest.skip("gdalwarp is not installed (gdal-bin)")
    for tool in ("qyran-zarr", "qyran-tif"):
        assert named(measured[0], "settings", tool)["within_one_count"] > 0.999


def test_every_run_is_accounted_for(measured: tuple[dict[str, Any], Path]) -> None:
    document, _ = measured
    for row in document["settings"][0]["rows"]:
        if row["failure"] is not None:
            # A peer that is not here is a line of the table.
            assert row["failure"] == "not installed"
            continue
        assert len(row["runs"]) == 1
        assert row["runs"][0]["wall_s"] > 0.1
        assert row["runs"][0]["cpu_s"] > 0.1
        assert 30e6 < row["runs"][0]["peak_rss_bytes"] < 20e9
        assert row["missing_share"] < 0.01
        assert row["megapixel_bands"] > 3 * SIZE * SIZE / 1e6
    assert 0 < document["start_up"]["cpu_s"] < 120


def test_report_and_readme(measured: tuple[dict[str, Any], Path]) -> None:
    document, folder = measured
    table = (folder / "report" / "table.md").read_text(encoding="utf-8")
    for tool in document["tools"]:
        assert f"| {tool['label']} |" in table
    assert json.loads((folder / "report" / "ortho.json").read_text(encoding="utf-8")) == document
    picture = ElementTree.parse(folder / "report" / "ortho.svg").getroot()
    labels = {text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")}
    assert {"Qyran, Zarr", "Qyran, COG", "rasterio reproject"} <= labels
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert readme.startswith("before\n")
    assert readme.endswith("\nafter\n")
    assert "old figures" not in readme
    assert "](report/ortho.svg)" in readme
    assert table in readme
