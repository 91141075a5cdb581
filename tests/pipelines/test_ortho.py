"""The engine of ``qyran ortho`` on a real image, end to end."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from pipelines.ortho import OrthoOptions, ortho
from processing.model.errors import BadInput

pytestmark = pytest.mark.realdata

KEYS = {
    "out",
    "crs",
    "transform",
    "shape",
    "seconds",
    "megapixels_per_second",
    "max_mapping_error_px",
    "refinement",
    "warnings",
}


def test_an_image_becomes_a_cog_that_says_how_it_was_made(realdata: Path, tmp_path: Path) -> None:
    folder, out = realdata / "quickbird2", tmp_path / "ortho.tif"
    result = ortho(
        folder / "qb2_basic1b.tif",
        folder / "ngi_dem_egm2008.tif",
        out,
        OrthoOptions(resolution=10.0, gcps=folder / "gcps_dev.geojson"),
    )
    assert set(result) == KEYS | {"refinement_report", "residuals_picture"}
    assert set(result["refinement"]) == {"model", "tie_points", "shift_px", "rmse_px", "ce90_m"}
    assert {path.name for path in tmp_path.iterdir()} == {"ortho.tif", "ortho.refinement.json", "ortho.residuals.png"}
    assert len(json.loads((tmp_path / "ortho.refinement.json").read_text())["points"]) == 3
    json.dumps(result)
    assert result["max_mapping_error_px"] <= 0.02
    assert result["refinement"]["model"] == "shift"
    assert result["refinement"]["tie_points"] == 3
    assert result["refinement"]["ce90_m"] < 2.0
    assert result["megapixels_per_second"] > 0
    with rasterio.open(out) as dataset:
        assert str(dataset.crs) == result["crs"] == "EPSG:32735"
        assert list(dataset.transform)[:6] == result["transform"]
        assert list(dataset.shape) == result["shape"]
        assert 0.8 < np.count_nonzero(dataset.read(1)) / dataset.read(1).size < 1.0


def test_bounds_and_crs_are_obeyed(realdata: Path, tmp_path: Path) -> None:
    folder = realdata / "quickbird2"
    result = ortho(
        folder / "qb2_basic1b.tif",
        folder / "ngi_dem_egm2008.tif",
        tmp_path / "part.tif",
        OrthoOptions(crs="EPSG:32734", bounds=(812_000.0, 6_268_000.0, 813_000.0, 6_269_000.0), resampling="bilinear"),
    )
    assert result["crs"] == "EPSG:32734"
    assert result["transform"][0] == pytest.approx(6.5)  # the image's own pixel size, two digits
    assert result["refinement"] is None


@pytest.mark.parametrize(
    ("image", "dem", "options", "kind"),
    [
        (
            "s2p-phr-marseille/img_01.tif",
            "s2p-phr-marseille/dsm_s2p_50cm_ellipsoidal.tif",
            {},
            "dem.datum_unknown",
        ),
        ("quickbird2/qb2_basic1b.tif", "dem/Rome-30m-DEM.tif", {}, "dem.no_coverage"),
        ("quickbird2/qb2_basic1b.tif", "quickbird2/ngi_dem_egm2008.tif", {"calibrate": "toa"}, "ortho.no_time"),
        ("quickbird2/qb2_basic1b.tif", "quickbird2/ngi_dem_egm2008.tif", {"calibrate": "x"}, "ortho.calibrate"),
        ("quickbird2/qb2_basic1b.tif", "quickbird2/ngi_dem_egm2008.tif", {"crs": "EPSG:0"}, "ortho.crs"),
        (
            "quickbird2/qb2_basic1b.tif",
            "quickbird2/ngi_dem_egm2008.tif",
            {"calibrate": "radiance"},
            "radiometry.uncalibrated",
        ),
        ("homonim-ngi-ortho/ngi_rgb_byte_1.tif", "quickbird2/ngi_dem_egm2008.tif", {}, "ortho.no_model"),
        (
            "quickbird2/qb2_basic1b.tif",
            "quickbird2/ngi_dem_egm2008.tif",
            {"references": ("dem/Rome-30m-DEM.tif",)},
            "reference.no_overlap",
        ),
        (
            "quickbird2/qb2_basic1b.tif",
            "quickbird2/ngi_dem_egm2008.tif",
            {"references": ("nowhere.tif",)},
            "reference.missing",
        ),
        (
            "quickbird2/qb2_basic1b.tif",
            "quickbird2/ngi_dem_egm2008.tif",
            {"references": ("quickbird2/qb2_basic1b.tif",)},
            "reference.not_on_map",
        ),
        (
            "quickbird2/qb2_basic1b.tif",
            "quickbird2/ngi_dem_egm2008.tif",
            {"references": ("dem/Rome-30m-DEM.tif",), "gcps": "quickbird2/gcps_dev.geojson"},
            "ortho.refine_twice",
        ),
    ],
)
def test_refusals_leave_nothing_behind(
    realdata: Path, tmp_path: Path, image: str, dem: str, options: dict[str, Any], kind: str
) -> None:
    if "references" in options:
        options = options | {"references": tuple(str(realdata / name) for name in options["references"])}
    if "gcps" in options:
        options = options | {"gcps": realdata / options["gcps"]}
    with pytest.raises(BadInput) as refused:
        ortho(realdata / image, realdata / dem, tmp_path / "out.tif", OrthoOptions(**options))
    assert refused.value.kind == kind
    assert list(tmp_path.iterdir()) == []
