"""QuickBird-2 Basic1B against independent aerial orthos of the same ground."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import rasterio
from odc.geo.geobox import GeoBox
from rasterio.warp import Resampling, reproject

from processing.geometry.accuracy import max_mapping_error_px
from processing.geometry.extent import ground_bounds
from processing.geometry.plan import plan_ortho
from processing.geometry.refine import refine_from_gcps
from processing.geometry.stage import orthorectify
from processing.model.scene import Scene
from processing.readers.control_points import read_control_points
from processing.readers.dem import open_terrain

pytestmark = pytest.mark.realdata


def aerial(folder: Path, grid: GeoBox) -> npt.NDArray[np.float32]:
    """The aerial orthos' grey value on a grid, by GDAL."""
    merged = np.full(grid.shape, np.nan, dtype=np.float32)
    for path in sorted((folder / "homonim-ngi-ortho").glob("*.tif")):
        with rasterio.open(path) as dataset:
            colours = dataset.read().astype(np.float32)
            grey = np.where((colours == 0).all(axis=0), np.nan, colours.mean(axis=0))
            part = np.full(grid.shape, np.nan, dtype=np.float32)
            reproject(
                grey,
                part,
                src_transform=dataset.transform,
                src_crs=dataset.crs,
                src_nodata=np.nan,
                dst_transform=grid.affine,
                dst_crs=str(grid.crs),
                dst_nodata=np.nan,
                resampling=Resampling.bilinear,
            )
        merged = np.where(np.isnan(merged), part, merged)
    return merged


def test_raw_misses_by_what_the_vendor_rpc_misses_and_refined_lies_on_the_aerial_orthos(
    realdata: Path, scene_in_counts: Callable[[str], Scene], displacements: Callable[..., npt.NDArray[np.float64]]
) -> None:
    scene = scene_in_counts("quickbird2/qb2_basic1b.tif")
    assert scene.model is not None
    terrain = open_terrain(
        realdata / "quickbird2" / "ngi_dem_egm2008.tif", bounds=ground_bounds(scene.model, scene.shape)
    )
    assert any("EGM96" in warning for warning in terrain.warnings)
    points = read_control_points(realdata / "quickbird2" / "gcps_dev.geojson", "qb2_basic1b.tif")
    refined, report = refine_from_gcps(scene.model, points, shape=scene.shape)
    assert report.kind == "shift"
    assert report.shift_px == pytest.approx((-2.09, -2.98), abs=0.1)
    assert report.rmse_px < 0.2
    medians = {}
    for name, model in (("raw", scene.model), ("refined", refined)):
        placed = scene.but(model=model)
        plan = plan_ortho(placed, terrain, resolution_m=5.0, snap="pixel")
        image = orthorectify(placed, terrain, plan)
        error = max_mapping_error_px(plan, model, terrain, patches=64)
        assert error is not None
        assert error <= 0.02
        ours = image.pixels.compute().to_numpy()[0]
        found = 5.0 * displacements(ours, aerial(realdata, plan.geobox), patch=96, search=10)
        assert len(found) > 100
        medians[name] = np.median(found, axis=0), float(np.median(np.hypot(*found.T)))
    assert 20.0 <= np.hypot(*medians["raw"][0]) <= 26.0
    assert np.hypot(*medians["refined"][0]) <= 1.0
    # Patches of 96 px scatter by the matching itself; a quarter of the aerial pixel is its floor.
    assert medians["refined"][1] <= 1.5
