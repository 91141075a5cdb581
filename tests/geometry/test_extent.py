"""Extents anywhere on Earth: across the antimeridian, around poles, in both hemispheres. pyproj is the oracle."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from affine import Affine
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from pyproj import CRS, Geod, Transformer
from pyproj.database import query_utm_crs_info

from processing.geometry.extent import (
    continuous_longitudes,
    encloses_pole,
    ground_bounds,
    image_border,
    joined_bounds,
    map_bounds,
    sunward_bounds,
    utm_crs,
)
from processing.geometry.mapping import lonlat_of_map
from processing.geometry.plan import plan_ortho
from processing.geometry.terrain import Terrain
from processing.model.errors import BadInput
from processing.testing.small_scenes import coordinate_pixels, hills, scene_of_pixels, tilted_rpc

SHAPE = (400, 300)


@dataclass(frozen=True)
class LocalCamera:
    """A camera over a plane that touches the ellipsoid anywhere, poles included: 30 m pixels, 15 degrees eastward."""

    lon: float
    lat: float
    shape: tuple[int, int] = SHAPE
    pixel_m: float = 30.0

    @property
    def plane(self) -> Transformer:
        local = CRS.from_proj4(f"+proj=aeqd +lat_0={self.lat} +lon_0={self.lon} +datum=WGS84")
        return Transformer.from_crs("EPSG:4326", local, always_xy=True, allow_ballpark=False)

    def ground_to_image(
        self, lon: npt.ArrayLike, lat: npt.ArrayLike, height: npt.ArrayLike
    ) -> tuple[np.ndarray, np.ndarray]:
        lon, lat, height = np.broadcast_arrays(np.asarray(lon, float), lat, height)
        x, y = self.plane.transform(lon, lat)
        x = x - height * np.tan(np.radians(15.0))
        return self.shape[0] / 2 - y / self.pixel_m, self.shape[1] / 2 + x / self.pixel_m

    def image_to_ground(
        self, line: npt.ArrayLike, sample: npt.ArrayLike, height: npt.ArrayLike
    ) -> tuple[np.ndarray, np.ndarray]:
        line, sample, height = np.broadcast_arrays(np.asarray(line, float), sample, height)
        x = (sample - self.shape[1] / 2) * self.pixel_m + height * np.tan(np.radians(15.0))
        y = (self.shape[0] / 2 - line) * self.pixel_m
        return self.plane.transform(x, y, direction="INVERSE")


anywhere = {"lon": st.floats(-180.0, 180.0), "lat": st.floats(-89.0, 89.0)}


def inside(bounds: tuple[float, ...], lon: np.ndarray, lat: np.ndarray) -> bool:
    west, south, east, north = bounds
    turned = west + (lon - west) % 360.0
    turned = np.where(turned - west > 359.999999, west, turned)  # a rounding error west of west
    return bool((turned <= east + 1e-9).all() and (lat >= south - 1e-9).all() and (lat <= north + 1e-9).all())


@settings(max_examples=60, deadline=None)
@given(**anywhere)
@example(lon=180.0, lat=0.0)
@example(lon=-179.97, lat=66.0)
@example(lon=179.99, lat=-16.5)
@example(lon=12.0, lat=88.9)
def test_ground_bounds_hold_all_the_image_sees(lon: float, lat: float) -> None:
    camera = LocalCamera(lon, lat)
    bounds = ground_bounds(camera, SHAPE)
    line, sample = np.mgrid[0:401:40, 0:301:30]
    for height in (-400.0, 2000.0, 8900.0):
        assert inside(bounds, *camera.image_to_ground(line, sample, height))
    border = image_border(camera, SHAPE, (0.0, 1000.0))
    if abs(lat) < 85:
        assert np.ptp(border[0]) < 4.0
        assert bounds[2] - bounds[0] < 5.0
        assert -180.0 - 4.0 < bounds[0] < bounds[2] < 180.0 + 4.0


ZONES = {
    f"{info.auth_name}:{info.code}": info.area_of_use
    for info in query_utm_crs_info("WGS 84")
    if info.area_of_use is not None
}


@settings(max_examples=100, deadline=None)
@given(lon=st.floats(-180.0, 180.0), lat=st.floats(-79.0, 83.0))
@example(lon=180.0, lat=10.0)
@example(lon=-180.0, lat=-10.0)
def test_the_zone_is_the_one_that_epsg_lists_for_the_place(lon: float, lat: float) -> None:
    assume(abs(lat) > 0.1)
    assume(abs(((lon + 180.0) % 6.0) - 3.0) < 2.9)
    points = lon + np.array([-0.05, 0.05]), lat + np.array([-0.05, 0.05])
    area = ZONES[utm_crs(*points)]
    assert area.west <= lon <= area.east
    assert area.south <= lat <= area.north
    assert utm_crs(points[0] + 360.0, points[1]) == utm_crs(*points)


@pytest.mark.parametrize(
    ("lon", "lat", "crs"),
    [
        ([179.9, -179.9], [10.0, 10.1], "EPSG:32601"),  # the middle is the boundary: it belongs to the eastern zone
        ([179.7, -179.9], [10.0, 10.1], "EPSG:32660"),
        ([179.9, -179.7], [-10.0, -10.1], "EPSG:32701"),
        ([20.0, 21.0], [84.1, 84.3], "EPSG:32661"),
        ([20.0, 21.0], [-80.3, -80.1], "EPSG:32761"),
        ([20.0, 21.0], [83.8, 83.9], "EPSG:32634"),
        ([-70.0, -69.0], [-0.2, 0.1], "EPSG:32719"),
    ],
)
def test_zones_at_the_seams(lon: list[float], lat: list[float], crs: str) -> None:
    assert utm_crs(np.array(lon), np.array(lat)) == crs


@settings(max_examples=60, deadline=None)
@given(**anywhere, width=st.floats(0.01, 3.0))
def test_longitudes_are_continuous_and_the_same_meridians(lon: float, lat: float, width: float) -> None:
    given_lon = (lon + np.linspace(0.0, width, 20) + 180.0) % 360.0 - 180.0
    got = continuous_longitudes(given_lon)
    assert np.ptp(got) == pytest.approx(width, abs=1e-9)
    np.testing.assert_allclose(np.cos(np.radians(got - given_lon)), 1.0, atol=1e-12)
    assert abs(got.mean()) <= 180.0 + 1e-9
    if np.ptp(given_lon) < 180:
        assert np.array_equal(got, given_lon)


@pytest.mark.parametrize(("lat", "pole"), [(89.97, 1), (-89.96, -1), (89.5, 0), (-60.0, 0), (0.0, 0)])
def test_a_pole_in_the_image_is_noticed(lat: float, pole: int) -> None:
    camera = LocalCamera(33.0, lat)
    assert encloses_pole(camera, SHAPE, 0.0) == pole
    west, south, east, north = ground_bounds(camera, SHAPE)
    if pole:
        assert (west, east) == (-180.0, 180.0)
        assert (north if pole > 0 else south) == 90.0 * pole


def test_bounds_join_across_the_antimeridian() -> None:
    assert joined_bounds([(179.8, 1.0, 180.1, 2.0), (-180.1, 1.5, -179.9, 2.5)]) == pytest.approx(
        (-180.2, 1.0, -179.9, 2.5)
    ) or joined_bounds([(179.8, 1.0, 180.1, 2.0), (-180.1, 1.5, -179.9, 2.5)]) == pytest.approx(
        (179.8, 1.0, 180.1, 2.5)
    )
    assert joined_bounds([(10.0, 1.0, 11.0, 2.0), (10.5, 0.0, 12.0, 1.0)]) == pytest.approx((10.0, 0.0, 12.0, 2.0))


@pytest.mark.parametrize("azimuth", [0.0, 100.0, 225.0, 350.0])
def test_bounds_grow_toward_the_sun_by_the_longest_shadow(azimuth: float) -> None:
    bounds = (76.0, 43.0, 76.3, 43.2)
    wider = sunward_bounds(bounds, 3000.0, 65.0, azimuth)
    for corner in ((76.0, 43.0), (76.3, 43.2), (76.0, 43.2), (76.3, 43.0)):
        lon, lat, _ = Geod(ellps="WGS84").fwd(*corner, azimuth, 0.98 * 3000.0 * np.tan(np.radians(65.0)))
        assert wider[0] <= lon <= wider[2]
        assert wider[1] <= lat <= wider[3]
    assert (wider[2] == bounds[2]) == (azimuth in (0.0, 225.0, 350.0))
    assert (wider[0] == bounds[0]) == (azimuth in (0.0, 100.0))


def test_map_bounds_are_those_of_the_points_and_a_crs_of_elsewhere_is_refused() -> None:
    lon, lat = np.array([179.9, 180.1, 180.05]), np.array([60.0, 60.1, 60.05])
    to_map = Transformer.from_crs("EPSG:4326", "EPSG:32660", always_xy=True, allow_ballpark=False)
    x, y = to_map.transform(((lon + 180) % 360) - 180, lat)
    assert map_bounds(lon, lat, "EPSG:32660") == pytest.approx((x.min(), y.min(), x.max(), y.max()), abs=1e-6)
    assert map_bounds(lon, lat, "EPSG:4326") == pytest.approx((179.9, 60.0, 180.1, 60.1))
    polar = map_bounds(np.array([0.0, 90.0, 180.0, 270.0]), np.full(4, 88.0), "EPSG:32661")
    assert polar[2] - polar[0] == pytest.approx(polar[3] - polar[1], rel=1e-6)
    with pytest.raises(BadInput) as refused:
        map_bounds(np.array([75.0]), np.array([np.nan]), "EPSG:32643")
    assert refused.value.kind == "plan.crs"


@pytest.mark.parametrize(
    ("lon", "lat", "crs"),
    [(179.97, 51.5, "EPSG:32660"), (-179.995, -17.0, "EPSG:32701"), (75.3, -43.1, "EPSG:32743")],
)
def test_a_plan_anywhere_sees_the_scene_it_is_made_for(lon: float, lat: float, crs: str) -> None:
    """The scene's centre comes out at the centre of the map; terrain and model answer on both sides of 180."""
    terrain, model = hills(lon=lon, lat=lat), tilted_rpc(SHAPE, lon=lon, lat=lat)
    scene = scene_of_pixels(coordinate_pixels(SHAPE), model)
    plan = plan_ortho(scene, terrain, resolution_m=20.0, snap="pixel")
    assert str(plan.geobox.crs) == crs
    assert max(plan.geobox.shape) < 500
    rows, cols = plan.geobox.shape
    row, col = (axis.ravel() + 0.5 for axis in np.mgrid[0:rows:7, 0:cols:7])
    at_lon, at_lat = lonlat_of_map(plan.geobox, row, col)
    height = terrain.height(at_lon, at_lat)
    line, sample = model.ground_to_image(at_lon, at_lat, height)
    seen = (line > 0) & (line < SHAPE[0]) & (sample > 0) & (sample < SHAPE[1])
    assert np.isfinite(height).all()
    assert seen.mean() > 0.3
    assert np.abs(line[seen]).min() < 20
    assert line[seen].max() > SHAPE[0] - 20
    np.testing.assert_allclose(height, terrain.height(at_lon - 360.0, at_lat), atol=1e-6)
    if abs(lon) > 179:
        assert (at_lon > 0).any()
        assert (at_lon < 0).any()


def test_a_plan_over_the_pole_is_polar() -> None:
    camera = LocalCamera(100.0, 89.95)
    side = 1200
    terrain = Terrain(
        heights=np.full((side, side), 40.0, dtype=np.float32),
        crs="EPSG:32661",
        transform=Affine(30.0, 0, 2e6 - 15 * side, 0, -30.0, 2e6 + 15 * side),
        datum_note="sea ice",
    )
    scene = scene_of_pixels(coordinate_pixels(SHAPE), camera)
    plan = plan_ortho(scene, terrain, resolution_m=30.0, snap="pixel")
    assert str(plan.geobox.crs) == "EPSG:32661"
    assert min(plan.geobox.shape) > 290
    assert max(plan.geobox.shape) < 560
