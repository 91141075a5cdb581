"""The geoid against published values and another grid; the trap of a datum left out."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from scipy.ndimage import map_coordinates

from processing.geometry.datum import undulation
from processing.geometry.mapping import map_pixels
from processing.geometry.plan import plan_ortho
from processing.model.errors import BadInput
from processing.readers.dem import open_terrain
from processing.testing.small_scenes import coordinate_pixels, hills, scene_of_pixels, tilted_rpc

# EGM96, 5' grid, evaluated with GeographicLib's and PROJ's tools.
PLACES = {
    "Astana": (71.4491, 51.1694, -32.26),
    "Almaty": (76.8550, 43.2200, -43.69),
    "Khan Tengri": (80.1700, 42.2100, -38.09),
    "Aktau": (51.1700, 43.6500, -11.44),
    "Baikonur": (63.3050, 45.9650, -33.64),
    "Oskemen": (82.6100, 49.9500, -44.22),
}


def fifteen_minute_grid(path: Path, lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """EGM96 from the 15' grid of PROJ, read by hand: big-endian, south to north, from 180 W."""
    raw = path.read_bytes()
    south, west, step_lat, step_lon = np.frombuffer(raw, ">f8", 4)
    rows, cols = np.frombuffer(raw, ">i4", 2, offset=32)
    grid = np.frombuffer(raw, ">f4", rows * cols, offset=40).reshape(rows, cols).astype(np.float64)
    return map_coordinates(grid, [(lat - south) / step_lat, ((lon - west) % 360.0) / step_lon], order=1)


@pytest.mark.parametrize("place", PLACES)
def test_published_values(place: str) -> None:
    lon, lat, expected = PLACES[place]
    assert float(undulation(lon, lat)) == pytest.approx(expected, abs=0.05)


@pytest.mark.realdata
def test_another_grid_of_the_same_geoid(realdata: Path) -> None:
    random = np.random.default_rng(0)
    lon, lat = random.uniform(46, 88, 5000), random.uniform(40, 56, 5000)
    miss = undulation(lon, lat) - fifteen_minute_grid(realdata / "geoid" / "egm96_15.gtx", lon, lat)
    assert np.sqrt(np.mean(miss**2)) < 0.08
    assert np.abs(miss).max() < 0.6


def test_no_place_no_value() -> None:
    assert np.isnan(undulation([np.nan, 10.0], [10.0, np.inf])).all()


def write_dem(path: Path, heights: np.ndarray, transform: Affine, crs: str = "EPSG:4326") -> Path:
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=heights.shape[0],
        width=heights.shape[1],
        count=1,
        dtype="float32",
        crs=crs,
        transform=transform,
    ) as dataset:
        dataset.write(heights.astype(np.float32), 1)
    return path


@pytest.mark.realdata
def test_elevations_and_heights_of_one_terrain_give_one_mapping(realdata: Path, tmp_path: Path) -> None:
    """The conversion between the two files is made by the 15' grid, which our code does not know."""
    terrain, model = hills(), tilted_rpc(tilt_deg=20.0, gsd_m=4.0)
    rows, cols = terrain.heights.shape
    x = terrain.transform.c + terrain.transform.a * (np.arange(cols) + 0.5)
    y = terrain.transform.f + terrain.transform.e * (np.arange(rows) + 0.5)
    lon, lat = np.meshgrid(x, y)
    geoid = fifteen_minute_grid(realdata / "geoid" / "egm96_15.gtx", lon, lat)
    above_ellipsoid = write_dem(tmp_path / "heights.tif", terrain.heights, terrain.transform)
    above_geoid = write_dem(tmp_path / "elevations.tif", terrain.heights - geoid, terrain.transform)
    bounds = (75.26, 43.06, 75.34, 43.14)
    by_height = open_terrain(above_ellipsoid, bounds=bounds, vertical_datum="ellipsoid")
    by_elevation = open_terrain(above_geoid, bounds=bounds, vertical_datum="egm96")
    mistaken = open_terrain(above_geoid, bounds=bounds, vertical_datum="ellipsoid")
    scene = scene_of_pixels(coordinate_pixels((400, 300)), model)
    plan = plan_ortho(scene, by_height, resolution_m=4.0, snap="pixel")
    window = (
        (plan.geobox.shape[0] // 2, plan.geobox.shape[0] // 2 + 60),
        (
            plan.geobox.shape[1] // 2,
            plan.geobox.shape[1] // 2 + 60,
        ),
    )
    maps = [
        map_pixels(plan.geobox, *window, model, dem, scene.shape, 1000.0) for dem in (by_height, by_elevation, mistaken)
    ]
    miss = np.hypot(maps[0].line - maps[1].line, maps[0].sample - maps[1].sample)
    trap = np.hypot(maps[0].line - maps[2].line, maps[0].sample - maps[2].sample)
    assert miss.max() <= 0.02
    assert trap.min() > 3.0  # 40 m of geoid at 20 degrees and 4 m pixels: what is at stake


def test_an_unknown_datum_is_refused_and_says_how_to_state_it(tmp_path: Path) -> None:
    terrain = hills()
    path = write_dem(tmp_path / "mystery.tif", terrain.heights, terrain.transform)
    with pytest.raises(BadInput) as refused:
        open_terrain(path, bounds=(75.28, 43.08, 75.32, 43.12))
    assert refused.value.kind == "dem.datum_unknown"
    assert "--vertical-datum" in str(refused.value)
