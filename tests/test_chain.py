"""The chain: groups of one acquisition become lazy images of one CRS, in the recipe's terms."""

from datetime import UTC, datetime

import dask
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from configs.registry import load_registry
from configs.schema import RadianceRule
from processing.chain import build_l1c, terrain_bounds
from processing.geometry.extent import ground_bounds
from processing.geometry.mapping import lonlat_of_map
from processing.geometry.occlusion import clearance_reference
from processing.geometry.refine import Refined
from processing.geometry.sight_lines import toward_satellite, toward_sun
from processing.geometry.terrain import Terrain
from processing.model.errors import BadInput, Defect
from processing.model.levels import Quantity
from processing.model.qa import Qa
from processing.model.scene import Angles, Band, BandCalibration, Scene
from processing.radiometry.sun import earth_sun_distance, sun_direction
from processing.testing.small_scenes import coordinate_pixels, hills, scene_of_pixels, tilted_rpc

REGISTRY = load_registry()
SENSOR = REGISTRY.sensors["kazeosat-1-naomi"]
TERRAIN = hills()


def group(name: str, bands: tuple[str, ...], gsd_m: float, shape: tuple[int, int]) -> Scene:
    """Counts of 1000 everywhere, of one acquisition."""
    scene = scene_of_pixels(coordinate_pixels(shape), tilted_rpc(shape, gsd_m=gsd_m))
    calibration = BandCalibration(rule=RadianceRule.DIVIDE, gain=10.0, esun=1500.0)
    counts = np.full((len(bands), *shape), 1000, dtype=np.uint16)
    return scene.but(
        group=name,
        bands=tuple(Band(name=band, label=band, calibration=calibration) for band in bands),
        source=counts,
        calibration=None,
        quantity=Quantity.DN,
        angles=Angles(sun_zenith_deg=60.0),
        nodata=0,
        saturated=4095,
    )


def acquisition() -> tuple[Scene, Scene]:
    return group("ms", ("blue", "green", "red", "nir"), 16.0, (200, 150)), group("pan", ("pan",), 4.0, (800, 600))


def test_groups_share_a_crs_and_stand_on_their_own_lattices(no_compute: None) -> None:
    ms, pan, angles = build_l1c(acquisition(), TERRAIN, SENSOR, REGISTRY.recipes["l1c"])
    assert angles.group == "angles"
    assert angles.geobox.crs == ms.geobox.crs
    assert angles.geobox.boundingbox == ms.geobox.boundingbox
    assert (ms.group, pan.group) == ("reflectance", "pan")
    assert ms.geobox.crs == pan.geobox.crs
    assert (ms.geobox.affine.a, pan.geobox.affine.a) == (4.0, 1.0)
    assert ms.geobox.affine.c % 10_000 == pan.geobox.affine.c % 2_500 == 0
    assert ms.pixels.shape == (4, *ms.geobox.shape)
    assert ms.quantity is Quantity.TOA_REFLECTANCE
    assert any("60.00" in warning for warning in ms.warnings)  # the stated sun is wrong, and the image says so


def test_values_and_flags_of_a_flat_field() -> None:
    ms, _ = acquisition()
    image, _ = build_l1c([ms], TERRAIN, SENSOR, REGISTRY.recipes["l1c"], shard_px=500)
    pixels, qa = dask.compute(image.pixels.data, image.qa.data, scheduler="threads")
    seen = (qa & Qa.NODATA) == 0
    zenith, _ = sun_direction(ms.acquired, 75.3, 43.1)
    expected = np.pi * 100.0 * earth_sun_distance(ms.acquired) ** 2 / (1500.0 * np.cos(np.radians(float(zenith))))
    assert seen.any()
    np.testing.assert_allclose(pixels[:, seen], expected, rtol=2e-3)
    assert ((qa[seen] & Qa.CLOUD_NOT_TESTED) != 0).all()
    assert (qa[~seen] == Qa.NODATA).all()


def test_a_better_model_moves_its_group_only() -> None:
    ms, pan = acquisition()
    assert ms.model is not None
    plain = build_l1c([ms, pan], TERRAIN, SENSOR, REGISTRY.recipes["l1c"])
    moved = build_l1c(
        [ms, pan],
        TERRAIN,
        SENSOR,
        REGISTRY.recipes["l1c"],
        models={"ms": Refined(model=ms.model, line=(5.0, 0.0, 0.0))},
    )
    assert plain[0].pixels.data.name != moved[0].pixels.data.name
    assert plain[1].pixels.data.name == moved[1].pixels.data.name


def test_what_makes_no_product_is_refused() -> None:
    ms, pan = acquisition()
    with pytest.raises(BadInput) as refused:
        build_l1c([ms, ms], TERRAIN, SENSOR, REGISTRY.recipes["l1c"])
    assert refused.value.kind == "scene.group"
    with pytest.raises(BadInput) as refused:
        build_l1c([ms.but(group="swir")], TERRAIN, SENSOR, REGISTRY.recipes["l1c"])
    assert refused.value.kind == "scene.group"
    with pytest.raises(BadInput) as refused:
        build_l1c([pan.but(model=None)], TERRAIN, SENSOR, REGISTRY.recipes["l1c"])
    assert refused.value.kind == "geometry.no_model"
    with pytest.raises(Defect):
        build_l1c([ms], TERRAIN, SENSOR, REGISTRY.recipes["ndvi"])


def test_what_terrain_hides_and_where_it_is_missing_is_flagged_and_told() -> None:
    """Flags against clearances sampled by SciPy; a hole in the terrain against its share of the image."""
    ms, _ = acquisition()
    model = tilted_rpc(ms.shape, gsd_m=16.0, tilt_deg=50.0)
    heights = TERRAIN.heights.copy()
    heights[80:112, 80:112] = np.nan
    holed = Terrain(heights=heights, crs=TERRAIN.crs, transform=TERRAIN.transform, datum_note="holed")
    low_sun = ms.but(model=model, acquired=datetime(2018, 12, 21, 3, 20, tzinfo=UTC))
    image, _ = build_l1c([low_sun], holed, SENSOR, REGISTRY.recipes["l1c"], shard_px=500)
    qa = dask.compute(image.qa.data, scheduler="threads")[0]
    row, col = np.meshgrid(*(np.arange(0, size, 3) + 0.5 for size in image.geobox.shape), indexing="ij")
    lon, lat = lonlat_of_map(image.geobox, row, col)
    cell = (
        (lat - holed.transform.f) / holed.transform.e - 0.5,
        (lon - holed.transform.c) / holed.transform.a - 0.5,
    )
    looked = qa[::3, ::3]
    seen = (looked & (Qa.NODATA | Qa.NO_TERRAIN)) == 0
    views = {
        Qa.OCCLUDED: toward_satellite(holed, model),
        Qa.TERRAIN_SHADOW: toward_sun(holed, lambda a, b: sun_direction(low_sun.acquired, a, b)),
    }
    for flag, lines in views.items():
        clear = map_coordinates(np.nan_to_num(clearance_reference(holed, lines), nan=99.0), cell, order=1)
        differs = ((looked & flag) != 0) != (clear < 0)
        assert differs[seen].mean() < 1e-3
        assert (clear[seen] < 0).any()
    missing = [warning for warning in image.warnings if "terrain is missing" in warning]
    share = float(missing[0].split("under ")[1].split(" %")[0])
    assert not (qa[(qa & Qa.NODATA) != 0] & (Qa.OCCLUDED | Qa.TERRAIN_SHADOW)).any()
    missed = (qa & Qa.NO_TERRAIN) != 0
    assert 2.0 < share == pytest.approx(100 * missed.sum() / (missed | ((qa & Qa.NODATA) == 0)).sum(), abs=0.3)
    whole = build_l1c([ms], TERRAIN, SENSOR, REGISTRY.recipes["l1c"], shard_px=500)[0]
    assert not any("terrain is missing" in warning for warning in whole.warnings)


def test_terrain_is_wanted_as_far_as_shadows_fall() -> None:
    ms, pan = acquisition()
    assert ms.model is not None
    seen = ground_bounds(ms.model, ms.shape)
    noon, morning = (
        terrain_bounds([ms.but(acquired=datetime(2018, 12, 21, hour, 0, tzinfo=UTC)), pan]) for hour in (7, 3)
    )
    assert noon[1] < seen[1] - 0.05  # the winter sun stands in the south
    assert morning[2] > noon[2] + 0.05  # in the morning in the south-east
    for bounds in (noon, morning):
        assert bounds[0] <= seen[0]
        assert bounds[3] >= seen[3]
    night = terrain_bounds([ms.but(acquired=datetime(2018, 12, 21, 19, 0, tzinfo=UTC))])
    assert night == pytest.approx(seen)
