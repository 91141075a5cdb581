"""Segments through the commands' engines: the ortho of some lines is the whole image's ortho there."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from scipy.ndimage import binary_erosion
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.ortho import OrthoOptions, ortho
from pipelines.requests import SceneRequest
from processing.model.errors import BadInput


@pytest.mark.realdata
@pytest.mark.parametrize("gcps", [False, True])
def test_lines_of_an_image_become_the_same_ortho(realdata: Path, tmp_path: Path, gcps: bool) -> None:
    """Refined or not: control points go on counting the whole image's lines."""
    folder = realdata / "quickbird2"
    points = folder / "gcps_dev.geojson" if gcps else None

    def made(name: str, lines: tuple[int, int] | None, bounds: tuple[float, ...] | None) -> tuple[np.ndarray, dict]:
        options = OrthoOptions(crs="EPSG:32735", resolution=7.0, gcps=points, lines=lines, bounds=bounds)
        result = ortho(folder / "qb2_basic1b.tif", folder / "ngi_dem_egm2008.tif", tmp_path / name, options)
        with rasterio.open(tmp_path / name) as dataset:
            return dataset.read(1, masked=True), result

    whole, result = made("whole.tif", None, None)
    with rasterio.open(tmp_path / "whole.tif") as dataset:
        bounds = tuple(dataset.bounds)
    part, again = made("part.tif", (501, 400), bounds)
    assert again["transform"] == result["transform"]
    seen = ~np.ma.getmaskarray(part)
    share = np.count_nonzero(seen) / np.count_nonzero(~np.ma.getmaskarray(whole))
    assert share == pytest.approx(400 / 1450, rel=0.05)
    inside = binary_erosion(seen, np.ones((3, 3), bool), iterations=4)
    assert not np.ma.getmaskarray(whole)[inside].any()
    off = np.abs(whole.data.astype(int) - part.data.astype(int))[inside]
    assert off.max() <= 1
    assert np.mean(off > 0) < 0.01
    if gcps:
        assert again["refinement"]["shift_px"] == result["refinement"]["shift_px"]


@pytest.mark.realdata
def test_lines_and_models_that_are_not_there_are_refused(realdata: Path, tmp_path: Path) -> None:
    folder = realdata / "quickbird2"
    for options, kind in (
        (OrthoOptions(lines=(1400, 52)), "strip.range"),
        (OrthoOptions(model="rigorous"), "ortho.no_rigorous"),
        (OrthoOptions(model="best"), "ortho.model"),
    ):
        with pytest.raises(BadInput) as refused:
            ortho(folder / "qb2_basic1b.tif", folder / "ngi_dem_egm2008.tif", tmp_path / "no.tif", options)
        assert refused.value.kind == kind
    command = ["ortho", str(folder / "qb2_basic1b.tif"), "--dem", str(folder / "ngi_dem_egm2008.tif")]
    run = CliRunner().invoke(app, [*command, "--lines", "0", "100", "--out", str(tmp_path / "no.tif"), "--json"])
    assert run.exit_code == 1
    assert json.loads(run.stdout)["error"]["kind"] == "strip.range"


def test_a_segment_is_asked_for_by_both_its_figures() -> None:
    assert SceneRequest(package="x", first_line=1, lines=100).lines == 100
    for half in ({"first_line": 5}, {"lines": 100}):
        with pytest.raises(ValueError, match="give both"):
            SceneRequest(package="x", **half)
