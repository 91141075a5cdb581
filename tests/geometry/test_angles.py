"""Angle layers: conventions against what deliveries state, fast against exact, slopes against Earth-fixed chords."""

from datetime import UTC, datetime
from pathlib import Path

import dask
import numpy as np
import pytest
from affine import Affine
from dask.base import tokenize
from defusedxml.ElementTree import parse
from odc.geo.geobox import GeoBox
from pyproj import Geod, Transformer
from scipy.interpolate import BarycentricInterpolator

from configs.registry import load_registry
from processing.geometry.angles import (
    BOUND_DEG,
    angle_layers,
    angle_nodes,
    earth_fixed,
    incidence_reference,
    line_of_sight,
    local_axes,
    unit_vector,
    zenith_azimuth,
)
from processing.geometry.angles_stage import angle_image, coarser
from processing.geometry.mapping import lonlat_of_map
from processing.geometry.plan import plan_ortho
from processing.geometry.terrain import Terrain
from processing.model.angle_layers import ANGLES, LAYERS, SUN_AZIMUTH, VIEW_AZIMUTH, encoding_of
from processing.model.errors import BadInput
from processing.model.qa import Qa
from processing.radiometry.sun import sun_direction
from processing.readers.find import open_delivery
from processing.testing.simulate import simulate
from processing.testing.small_scenes import coordinate_pixels, hills, scene_of_pixels, tilted_rpc

WHEN = datetime(2018, 4, 29, 7, 5, 43, tzinfo=UTC)
SHAPE = (400, 300)


def sun_at(lon: np.ndarray, lat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return sun_direction(WHEN, lon, lat)


def between(one: tuple[np.ndarray, ...], other: tuple[np.ndarray, ...]) -> np.ndarray:
    """Angle between directions, degrees; exact where it is small."""
    a, b = np.stack(one), np.stack(other)
    chord = np.sqrt((((a / np.linalg.norm(a, axis=0)) - b / np.linalg.norm(b, axis=0)) ** 2).sum(axis=0))
    return np.degrees(2 * np.arcsin(chord / 2))


@pytest.mark.parametrize(
    ("lon", "lat", "heading", "tilt"),
    [(75.3, 43.1, 12.0, 20.0), (179.97, -51.0, 190.0, 28.0), (-60.0, 71.0, 100.0, -15.0), (10.0, 0.0, 0.0, 5.0)],
)
def test_the_line_of_sight_points_where_the_camera_was_told_to_stand(
    lon: float, lat: float, heading: float, tilt: float
) -> None:
    """The small camera sees higher ground displaced by tan(tilt) toward heading + 90: there stands the satellite."""
    model = tilted_rpc(SHAPE, lon=lon, lat=lat, heading_deg=heading, tilt_deg=tilt)
    zenith, azimuth = zenith_azimuth(*line_of_sight(model, lon, lat, 500.0))
    stands = (heading + (90.0 if tilt > 0 else 270.0)) % 360.0
    assert float(zenith) == pytest.approx(abs(tilt), abs=0.15)  # its metres a degree are those of a sphere
    assert abs((float(azimuth) - stands + 180) % 360 - 180) < 0.5


def test_the_line_of_sight_against_geodesics() -> None:
    """Azimuth and distance by PROJ's geodesic, zenith from the two heights: another road to the same direction."""
    model = tilted_rpc(SHAPE, tilt_deg=25.0)
    lon, lat = 75.31, 43.12
    line, sample = model.ground_to_image(lon, lat, 1000.0)
    up_lon, up_lat = model.image_to_ground(line, sample, 2000.0)
    azimuth, _, distance = Geod(ellps="WGS84").inv(lon, lat, float(up_lon), float(up_lat))
    zenith, toward = zenith_azimuth(*line_of_sight(model, lon, lat, 1000.0))
    assert float(toward) == pytest.approx(azimuth % 360, abs=0.01)
    assert float(zenith) == pytest.approx(np.degrees(np.arctan2(distance, 1000.0)), abs=0.02)


def test_vectors_and_angles_are_each_others_inverse() -> None:
    zenith, azimuth = np.array([0.0, 10.0, 89.0, 120.0]), np.array([0.0, 359.9, 90.0, 180.0])
    back = zenith_azimuth(*unit_vector(zenith, azimuth))
    np.testing.assert_allclose(back[0], zenith, atol=1e-9)
    np.testing.assert_allclose(back[1][1:], azimuth[1:], atol=1e-9)
    assert unit_vector(np.array(90.0), np.array(90.0))[0] == pytest.approx(1.0)  # east


@pytest.mark.parametrize(
    ("lon", "lat", "crs"), [(75.3, 43.1, "EPSG:4326"), (75.3, 43.1, "EPSG:32643"), (179.97, -51.0, "EPSG:4326")]
)
def test_fast_layers_are_the_exact_ones(lon: float, lat: float, crs: str) -> None:
    terrain, model = hills(lon=lon, lat=lat), tilted_rpc(SHAPE, lon=lon, lat=lat, tilt_deg=-25.0)
    if crs != "EPSG:4326":
        terrain = in_metres(terrain, crs)
    plan = plan_ortho(scene_of_pixels(coordinate_pixels(SHAPE), model), terrain, resolution_m=25.0, snap="pixel")
    nodes = angle_nodes(plan.geobox, model, SHAPE, terrain, plan.heights, sun_at)
    rows = plan.geobox.shape[0]
    layers, void = angle_layers(nodes, plan.geobox, (0, rows), model, terrain, SHAPE)
    assert not void.any()
    seen = np.isfinite(layers).all(axis=0)
    assert 0.2 < seen.mean() < 0.9
    row, col = np.meshgrid(np.arange(rows) + 0.5, np.arange(plan.geobox.shape[1]) + 0.5, indexing="ij")
    at = lonlat_of_map(plan.geobox, row, col)
    height = terrain.height(*at)
    line, sample = model.ground_to_image(*at, height)
    inside = (line >= 0) & (line < SHAPE[0]) & (sample >= 0) & (sample < SHAPE[1])
    assert np.array_equal(inside, seen)
    exact_view, exact_sun = line_of_sight(model, *at, height), unit_vector(*sun_at(*at))
    view, sun = (unit_vector(layers[i].astype(float), layers[i + 1].astype(float)) for i in (0, 2))
    assert between(view, exact_view)[seen].max() < BOUND_DEG
    assert between(sun, exact_sun)[seen].max() < BOUND_DEG
    reference = incidence_reference(terrain, *at, exact_sun)
    inner = seen & np.isfinite(reference)
    miss = np.abs(layers[4] - reference)[inner]
    assert np.median(miss) < 0.02
    assert miss.max() < 0.35  # chords of two cells are not the tangent plane: the reference itself bends with Earth


def in_metres(terrain: Terrain, crs: str) -> Terrain:
    """The same ground on a grid of 60 m, turned against north by the convergence of meridians."""
    to_map = Transformer.from_crs("EPSG:4326", crs, always_xy=True, allow_ballpark=False)
    x, y = to_map.transform(75.3, 43.1)
    side = 180
    transform = Affine(60.0, 0, x - 30.0 * side, 0, -60.0, y + 30.0 * side)
    at_x, at_y = np.meshgrid(*(np.arange(side) * 60.0 + 30.0,) * 2)
    lon, lat = to_map.transform(transform.c + at_x, transform.f - at_y, direction="INVERSE")
    return Terrain(heights=terrain.height(lon, lat).astype(np.float32), crs=crs, transform=transform, datum_note="")


@pytest.mark.parametrize(("slope_deg", "faces"), [(0.0, 0.0), (30.0, 180.0), (30.0, 0.0), (45.0, 90.0), (20.0, 315.0)])
def test_incidence_on_a_slope_of_known_tilt(slope_deg: float, faces: float) -> None:
    """cos i = cos z cos s + sin z sin s cos(azimuth - aspect): SCIENCE.md 4, on the central meridian."""
    rows, cols = np.mgrid[0:80, 0:80]
    fall = np.tan(np.radians(slope_deg)) * 30.0
    toward = np.radians(faces)  # the slope falls that way, rows run south
    heights = 2000.0 - fall * (cols * np.sin(toward) - rows * np.cos(toward))
    to_map = Transformer.from_crs("EPSG:4326", "EPSG:32643", always_xy=True, allow_ballpark=False)
    x, y = to_map.transform(75.0, 43.1)
    terrain = Terrain(
        heights=heights.astype(np.float32), crs="EPSG:32643", transform=Affine(30, 0, x - 1200, 0, -30, y + 1200),
        datum_note="",
    )  # fmt: skip
    box = GeoBox((20, 20), Affine(30.0, 0, x - 300, 0, -30.0, y + 300), "EPSG:32643")
    model = tilted_rpc((200, 200), lon=75.0, lat=43.1, tilt_deg=1.0, gsd_m=30.0)
    layers, _ = angle_layers(
        angle_nodes(box, model, (200, 200), terrain, terrain.extremes, sun_at), box, (0, 20), model, terrain, (200, 200)
    )
    zenith, azimuth = (np.radians(float(angle)) for angle in sun_at(np.array(75.0), np.array(43.1)))
    tilt = np.radians(slope_deg)
    cosine = np.cos(zenith) * np.cos(tilt) + np.sin(zenith) * np.sin(tilt) * np.cos(azimuth - toward)
    np.testing.assert_allclose(layers[4, 10, 10], np.degrees(np.arccos(cosine)), atol=0.05)


def test_azimuths_around_north_do_not_jump() -> None:
    """A satellite in the north: azimuths on both sides of zero, without the step that averaging would turn south."""
    model = tilted_rpc(SHAPE, heading_deg=-90.0, tilt_deg=12.0, gsd_m=10.0)
    plan = plan_ortho(scene_of_pixels(coordinate_pixels(SHAPE), model), hills(), resolution_m=40.0, snap="pixel")
    nodes = angle_nodes(
        plan.geobox, model, SHAPE, hills(), plan.heights, lambda lon, lat: (lon * 0 + 40.0, (lon - 75.3) * 50.0 % 360)
    )
    layers, _ = angle_layers(nodes, plan.geobox, (0, plan.geobox.shape[0]), model, hills(), SHAPE)
    for layer in (1, 3):
        known = layers[layer][np.isfinite(layers[layer])]
        assert np.ptp(known) < 10.0
    assert np.nanmin(layers[3]) < 0 < np.nanmax(layers[3]) or np.nanmin(layers[3]) < 360 < np.nanmax(layers[3])


@pytest.mark.parametrize("layer", LAYERS)
def test_every_angle_has_a_stored_number(layer: str) -> None:
    encoding = encoding_of(layer)
    low, high = (-180.0, 540.0 - 90) if layer in (VIEW_AZIMUTH, SUN_AZIMUTH) else (0.0, 180.0)
    for angle in (low, high):
        stored = round((angle - encoding.offset) / encoding.scale)
        assert 0 <= stored < encoding.nodata
    assert encoding.units == "deg"


def test_the_stage_is_lazy_and_its_flags_say_what_is_missing(no_compute: None) -> None:
    heights = hills().heights.copy()
    heights[90:110, 90:110] = np.nan
    terrain = Terrain(heights=heights, crs="EPSG:4326", transform=hills().transform, datum_note="holed")
    scene = scene_of_pixels(coordinate_pixels(SHAPE), tilted_rpc(SHAPE))
    plan = plan_ortho(scene, terrain, resolution_m=4.0)
    image = angle_image(scene, terrain, plan, sun_at)
    assert image.group == image.quantity == ANGLES
    assert image.geobox.affine.a == 80.0  # the DEM's cell is 93 m
    assert [size * 20 for size in image.geobox.shape] == list(plan.geobox.shape)
    assert tokenize(angle_image(scene, terrain, plan, sun_at).pixels.data) == tokenize(image.pixels.data)
    with dask.config.set(scheduler="synchronous"):
        pixels, qa = dask.compute(image.pixels.data, image.qa.data)
    assert np.array_equal(np.isnan(pixels).any(axis=0), (qa & Qa.NODATA) != 0)
    assert ((qa & Qa.NO_TERRAIN) != 0).any()
    assert not np.isfinite(pixels[0][(qa & Qa.NO_TERRAIN) != 0]).any()
    with pytest.raises(BadInput):
        angle_image(scene.but(model=None), terrain, plan, sun_at)


def test_a_small_image_on_a_wide_map_has_its_angles() -> None:
    """A lattice's nodes on the map may all lie beyond a small image: its lines of sight hang on the image itself."""
    shape = (60, 50)
    scene = scene_of_pixels(coordinate_pixels(shape), tilted_rpc(shape, gsd_m=4.0))
    image = angle_image(scene, hills(), plan_ortho(scene, hills(), resolution_m=4.0), sun_at)
    with dask.config.set(scheduler="synchronous"):
        zenith = image.pixels.data[0].compute()
    assert np.isfinite(zenith).any()
    assert np.nanmean(zenith) == pytest.approx(20.0, abs=0.15)


def test_pixels_are_whole_parts_of_shards() -> None:
    box = GeoBox((2500, 5000), Affine(6.5, 0, 0, 0, -6.5, 4_700_000), "EPSG:32643")
    fine = hills(pitch_deg=1 / 3600, half_deg=0.02)
    assert coarser(box, fine).affine.a == 26.0
    assert coarser(box, fine).shape == (625, 1250)
    odd = GeoBox((2501, 5003), Affine(6.5, 0, 0, 0, -6.5, 4_700_000), "EPSG:32643")
    assert coarser(odd, fine).shape == (2501, 5003)


def test_angles_agree_with_what_simulated_packages_state(tmp_path: Path) -> None:
    """The simulator's packages state angles from its rigorous camera and an orbit; ours come from the RPC alone."""
    simulated = simulate(tmp_path, sensor="kazeosat-2-keis", size=64)
    for scene in open_delivery(simulated.packages[0], sensors=load_registry().sensors).scenes:
        assert scene.model is not None
        lon, lat = scene.model.image_to_ground(scene.shape[0] / 2, scene.shape[1] / 2, 1500.0)
        zenith, azimuth = zenith_azimuth(*line_of_sight(scene.model, lon, lat, 1500.0))
        if scene.angles.view_zenith_deg is not None:
            assert float(zenith) == pytest.approx(scene.angles.view_zenith_deg, abs=0.1)
        if scene.angles.view_azimuth_deg is not None:
            assert abs((float(azimuth) - scene.angles.view_azimuth_deg + 180) % 360 - 180) < 1.0
        assert scene.angles.sun_azimuth_deg is not None
        assert float(sun_direction(scene.acquired, lon, lat)[1]) == pytest.approx(scene.angles.sun_azimuth_deg, abs=0.1)


@pytest.mark.realdata
def test_angles_of_a_real_pleiades_delivery_point_at_its_satellite(realdata: Path) -> None:
    """From the RPC alone, against the straight line to the ephemeris of the same product, and what its tags state.

    The tags (Located_Geometric_Values) agree to 0.01 degrees in azimuth but state 0.08 more incidence than the
    product's own orbit gives; the sun's azimuth, at 18 degrees from the zenith, differs by half a degree.
    """
    folder = realdata / "terradue-stars/AIRBUS/PLEIADES/ORT/data/5897098101"
    (scene,) = open_delivery(folder, sensors=load_registry().sensors).scenes
    assert scene.model is not None
    document = parse(next(folder.glob("IMG_*/DIM_*.XML")))
    start = datetime.fromisoformat(document.findtext(".//Time_Range/START"))
    points = [point for point in document.iter("Point") if point.find("LOCATION_XYZ") is not None]
    seconds = [(datetime.fromisoformat(point.findtext("TIME")) - start).total_seconds() for point in points]
    orbit = BarycentricInterpolator(seconds, [[float(v) for v in p.findtext("LOCATION_XYZ").split()] for p in points])
    for line in (0.0, scene.shape[0] / 2, float(scene.shape[0])):
        satellite = orbit(line * 1e-3 * float(document.findtext(".//LINE_PERIOD")))
        lon, lat = scene.model.image_to_ground(line, scene.shape[1] / 3, 200.0)
        away = satellite - earth_fixed(lon, lat, np.array(200.0))
        truth = tuple((away * axis).sum() for axis in local_axes(lon, lat))
        assert float(between(line_of_sight(scene.model, lon, lat, 200.0), truth)) < 0.001
    lon, lat = scene.model.image_to_ground(scene.shape[0] / 2, scene.shape[1] / 2, 0.0)
    zenith, azimuth = zenith_azimuth(*line_of_sight(scene.model, lon, lat, 0.0))
    assert float(zenith) == pytest.approx(scene.angles.view_zenith_deg, abs=0.1)
    assert float(azimuth) == pytest.approx(scene.angles.view_azimuth_deg, abs=0.02)
    assert float(sun_direction(scene.acquired, lon, lat)[1]) == pytest.approx(scene.angles.sun_azimuth_deg, abs=0.6)
