"""A scene refined against one aerial ortho lies on another that it has never seen, by another matcher's word."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import rasterio
from odc.geo.geobox import GeoBox
from rasterio.warp import Resampling, reproject

from pipelines.refinement import refined_by_references
from processing.geometry.extent import ground_bounds
from processing.geometry.plan import plan_ortho
from processing.geometry.stage import orthorectify
from processing.geometry.terrain import Terrain
from processing.model.scene import Scene
from processing.readers.dem import open_terrain
from processing.readers.reference import open_reference

pytestmark = pytest.mark.realdata

PIXEL_M = 5.0


@pytest.fixture
def quickbird(realdata: Path, scene_in_counts: Callable[[str], Scene]) -> tuple[Scene, Terrain]:
    scene = scene_in_counts("quickbird2/qb2_basic1b.tif")
    assert scene.model is not None
    area = ground_bounds(scene.model, scene.shape)
    return scene, open_terrain(realdata / "quickbird2" / "ngi_dem_egm2008.tif", bounds=area)


def aerial(path: Path, grid: GeoBox) -> npt.NDArray[np.float32]:
    """An aerial ortho's grey value on a grid, by GDAL."""
    with rasterio.open(path) as dataset:
        colours = dataset.read().astype(np.float32)
        grey = np.where((colours == 0).all(axis=0), np.nan, colours.mean(axis=0))
        result = np.full(grid.shape, np.nan, dtype=np.float32)
        reproject(
            grey,
            result,
            src_transform=dataset.transform,
            src_crs=dataset.crs,
            src_nodata=np.nan,
            dst_transform=grid.affine,
            dst_crs=str(grid.crs),
            dst_nodata=np.nan,
            resampling=Resampling.cubic,
        )
    return result


@pytest.mark.parametrize(("seen", "unseen"), [(1, 2), (2, 1)])
def test_a_scene_matched_to_one_ortho_lies_on_another(
    realdata: Path,
    quickbird: tuple[Scene, Terrain],
    displacements: Callable[..., npt.NDArray[np.float64]],
    seen: int,
    unseen: int,
) -> None:
    scene, terrain = quickbird
    folder = realdata / "homonim-ngi-ortho"
    found = refined_by_references(scene, [open_reference(folder / f"ngi_rgb_byte_{seen}.tif")], terrain)
    # Three surveyed points say (-2.05, -2.95) px, with a spread of 0.06 px.
    assert found.report.shift_px == pytest.approx((-2.05, -2.95), abs=0.2)
    assert found.report.points > 100
    placed = scene.but(model=found.model)
    plan = plan_ortho(placed, terrain, resolution_m=PIXEL_M, snap="pixel")
    ours = orthorectify(placed, terrain, plan).pixels.compute().to_numpy()[0]
    other = aerial(folder / f"ngi_rgb_byte_{unseen}.tif", plan.geobox)
    off = PIXEL_M * displacements(ours, other, patch=110, search=8)
    assert len(off) > 60
    # 1 m is 0.15 px of QuickBird. The median of the lengths holds the matching of each patch besides.
    assert np.hypot(*np.median(off, axis=0)) <= 1.0
    assert np.median(np.hypot(*off.T)) <= 1.5
