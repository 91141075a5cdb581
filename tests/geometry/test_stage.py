"""Orthorectification: flags, voids, refusals, laziness, and its own measure of error."""

import dask
import numpy as np
import pytest
from pyproj import Transformer

from processing.geometry.accuracy import max_mapping_error_px
from processing.geometry.plan import plan_ortho
from processing.geometry.refine import Refined
from processing.geometry.stage import orthorectify
from processing.geometry.terrain import Terrain
from processing.model.errors import BadInput, Defect
from processing.model.qa import Qa
from processing.testing.small_scenes import coordinate_pixels, hills, scene_of_pixels, tilted_rpc

SHAPE = (400, 300)
MODEL = tilted_rpc(SHAPE)
TERRAIN = hills()


def with_hole(terrain: Terrain) -> Terrain:
    heights = terrain.heights.copy()
    rows, cols = heights.shape
    heights[rows // 2 - 8 : rows // 2 + 8, cols // 2 + 2 : cols // 2 + 14] = np.nan
    return Terrain(heights=heights, crs=terrain.crs, transform=terrain.transform, datum_note="holed")


def test_positions_read_back_are_the_positions_mapped() -> None:
    scene = scene_of_pixels(coordinate_pixels(SHAPE), MODEL)
    plan = plan_ortho(scene, TERRAIN, resolution_m=10.0, snap="pixel")
    image = orthorectify(scene, TERRAIN, plan)
    error = max_mapping_error_px(plan, MODEL, TERRAIN)
    assert error is not None
    assert error < 0.003
    assert image.pixels.dims == ("band", "y", "x")
    assert image.pixels.y[0] > image.pixels.y[1]
    assert float(image.pixels.x[0]) == plan.geobox.affine.c + 5.0
    # A pixel's ground point, looked up by hand, is what the pixel shows.
    values = image.pixels.compute()
    row, col = plan.geobox.shape[0] // 2, plan.geobox.shape[1] // 2
    x, y = float(image.pixels.x[col]), float(image.pixels.y[row])
    at = Transformer.from_crs("EPSG:32643", "EPSG:4326", always_xy=True).transform(x, y)
    line, sample = MODEL.ground_to_image(*at, TERRAIN.height(*at))
    assert values.to_numpy()[:, row, col] == pytest.approx([float(line), float(sample)], abs=1e-3)


def test_void_terrain_is_flagged_where_the_image_would_be() -> None:
    scene = scene_of_pixels(coordinate_pixels(SHAPE), MODEL)
    terrain = with_hole(TERRAIN)
    plan = plan_ortho(scene, terrain, resolution_m=10.0, snap="pixel", shard_px=128)
    pixels, qa = dask.compute(
        orthorectify(scene, terrain, plan).pixels.data, orthorectify(scene, terrain, plan).qa.data, scheduler="sync"
    )
    void = (qa & Qa.NO_TERRAIN) != 0
    assert 500 < void.sum() < 0.2 * void.size
    assert np.isnan(pixels[:, void]).all()
    assert ((qa[void] & Qa.NODATA) != 0).all()
    assert not void[0].any()
    assert not void[-1].any()


def test_saturation_is_carried() -> None:
    coordinates = coordinate_pixels(SHAPE)
    bright = np.zeros((1, *SHAPE), dtype=np.float32)
    bright[0, 200:203, 150:153] = 4095
    scene = scene_of_pixels(np.concatenate([coordinates, bright]), MODEL, saturated=4095)
    plan = plan_ortho(scene, TERRAIN, resolution_m=10.0, snap="pixel")
    image = orthorectify(scene, TERRAIN, plan, resampling="bilinear")
    pixels, qa = dask.compute(image.pixels.data, image.qa.data, scheduler="sync")
    flagged = (qa & Qa.SATURATED) != 0
    centre_inside = (np.abs(pixels[0] - 201.5) < 1.5) & (np.abs(pixels[1] - 151.5) < 1.5)
    reach = (np.abs(pixels[0] - 201.5) < 2.01) & (np.abs(pixels[1] - 151.5) < 2.01)
    assert centre_inside.any()
    assert flagged[centre_inside].all()
    assert reach[flagged].all()


def test_nothing_is_computed_before_it_is_asked_for(no_compute: None) -> None:
    scene = scene_of_pixels(coordinate_pixels(SHAPE), MODEL)
    plan = plan_ortho(scene, TERRAIN, resolution_m=4.0)
    image = orthorectify(scene, TERRAIN, plan)
    assert image.pixels.chunks == (
        (2,),
        (2500,) * (plan.geobox.shape[0] // 2500),
        (2500,) * (plan.geobox.shape[1] // 2500),
    )
    assert image.qa.dtype == np.uint16


def test_the_measure_of_error_sees_an_error() -> None:
    scene = scene_of_pixels(coordinate_pixels(SHAPE), MODEL)
    plan = plan_ortho(scene, TERRAIN, resolution_m=10.0, snap="pixel")

    class Wrong:
        """Looks half a pixel aside at lattice nodes only, so that the used mapping and the exact one differ."""

        def ground_to_image(self, lon, lat, height):  # type: ignore[no-untyped-def]
            line, sample = MODEL.ground_to_image(lon, lat, height)
            return line + (0.5 if np.ndim(lon) == 2 else 0.0), sample

        image_to_ground = MODEL.image_to_ground

    error = max_mapping_error_px(plan, Wrong(), TERRAIN, patches=4)  # type: ignore[arg-type]
    assert error == pytest.approx(0.5, abs=0.01)
    good = max_mapping_error_px(plan, Refined(model=MODEL, line=(2.0, 1e-4, 0.0)), TERRAIN)
    assert good is not None
    assert 0.0 < good < 0.005


def test_what_cannot_be_done_is_refused() -> None:
    scene = scene_of_pixels(coordinate_pixels(SHAPE), MODEL)
    plan = plan_ortho(scene, TERRAIN, resolution_m=10.0, snap="pixel")
    counts = coordinate_pixels(SHAPE).astype(np.uint16)
    with pytest.raises(Defect, match="calibrated"):
        orthorectify(scene.but(source=counts, calibration=None), TERRAIN, plan)
    with pytest.raises(Defect, match="another scene"):
        orthorectify(scene.but(shape=(3, 4)), TERRAIN, plan)
    with pytest.raises(BadInput, match="no pixels"):
        orthorectify(scene.but(source=None, no_pixels="stripped"), TERRAIN, plan)
    with pytest.raises(BadInput, match="unknown resampling"):
        orthorectify(scene, TERRAIN, plan, resampling="sinc")
    with pytest.raises(BadInput, match="no sensor model"):
        orthorectify(scene.but(model=None), TERRAIN, plan)
