"""What terrain hides: by hand for walls and cliffs, and by a ray marcher that shares nothing with the kernel."""

import pickle
from datetime import UTC, datetime

import numpy as np
import pytest
from affine import Affine
from dask.base import tokenize
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer
from scipy.ndimage import map_coordinates

from processing.geometry.occlusion import (
    CEILING_M,
    Visibility,
    can_hide,
    clearance,
    clearance_reference,
    hidden_grid,
)
from processing.geometry.sight_lines import SightLines, toward_satellite, toward_sun
from processing.geometry.terrain import Terrain
from processing.model.errors import BadInput
from processing.radiometry.sun import sun_direction
from processing.testing.small_scenes import hills, tilted_rpc

CELL_M = 10.0
NOON = datetime(2018, 4, 29, 7, 5, 43, tzinfo=UTC)


def flat(shape: tuple[int, int] = (120, 160), height: float = 500.0) -> np.ndarray:
    return np.full(shape, height, dtype=np.float32)


def metric(heights: np.ndarray) -> Terrain:
    """On UTM cells of 10 m, on the central meridian, where grid north is true north."""
    rows, cols = heights.shape
    return Terrain(
        heights=heights,
        crs="EPSG:32643",
        transform=Affine(CELL_M, 0, 500_000 - CELL_M * cols / 2, 0, -CELL_M, 4_800_000 + CELL_M * rows / 2),
        datum_note="made up",
    )


def parallel(terrain: Terrain, zenith_deg: float, azimuth_deg: float, *, curved: bool = False) -> SightLines:
    """The same direction everywhere, by hand: cells of 10 m, rows southward."""
    reach = np.tan(np.radians(zenith_deg))
    azimuth = np.radians(azimuth_deg)
    each = np.array([-np.cos(azimuth) * reach / CELL_M, np.sin(azimuth) * reach / CELL_M, reach if curved else 0.0])
    return SightLines(grid_shape=terrain.heights.shape, packed=np.tile(each[:, None, None], (1, 3, 3)))


def brute_force(heights: np.ndarray, zenith_deg: float, azimuth_deg: float, step_cells: float = 0.125) -> np.ndarray:
    """Smallest height of each node's line above the bilinear terrain, marched in small steps; SciPy's interpolation."""
    row, col = np.mgrid[0 : heights.shape[0], 0 : heights.shape[1]].astype(float)
    down, right = -np.cos(np.radians(azimuth_deg)), np.sin(np.radians(azimuth_deg))
    step_cells /= max(abs(down), abs(right))
    least = np.full(heights.shape, np.inf)
    rise = step_cells * CELL_M / np.tan(np.radians(zenith_deg))
    steps = int((heights.max() - heights.min()) / rise) + 2
    for k in range(4, steps):  # from half a cell on: the node does not hide itself
        at = [row + k * step_cells * down, col + k * step_cells * right]
        ground = map_coordinates(heights.astype(float), at, order=1, mode="constant", cval=-np.inf)
        least = np.fmin(least, heights + k * rise - ground)
    return least


@pytest.mark.parametrize(("azimuth", "axis", "sign"), [(90.0, 1, 1), (270.0, 1, -1), (0.0, 0, -1), (180.0, 0, 1)])
@pytest.mark.parametrize(("zenith", "height"), [(30.0, 300.0), (55.0, 100.0), (75.0, 120.0)])
def test_the_shadow_of_a_wall_is_its_height_times_the_tangent(
    azimuth: float, axis: int, sign: int, zenith: float, height: float
) -> None:
    """A wall 1 cell thick across the grid; hidden is what lies within h tan(zenith) of it on the far side."""
    heights = flat()
    wall = 60 if axis == 0 else 80
    heights[(slice(None), wall) if axis else (wall, slice(None))] += height
    hidden = clearance(metric(heights), parallel(metric(heights), zenith, azimuth)) < 0
    profile = hidden.any(axis=1 - axis)
    assert np.array_equal(profile, hidden.all(axis=1 - axis))
    behind = (wall - np.flatnonzero(profile)) * sign  # cells from the wall, away from what is looked toward
    length = height * np.tan(np.radians(zenith)) / CELL_M
    assert behind.min() == 1
    assert behind.max() == int(np.ceil(length)) - 1 or abs(behind.max() - length) < 1e-6
    assert len(behind) == behind.max()


def test_clearance_beside_a_cliff_is_a_straight_line() -> None:
    """Below a cliff of 200 m at 45 degrees the line clears its edge by distance - 200 m: fit to interpolate."""
    heights = flat()
    heights[:, 80:] += 200.0
    got = clearance(metric(heights), parallel(metric(heights), 45.0, 90.0))[60, 50:80]
    distance = (80 - np.arange(50, 80)) * CELL_M
    expected = np.minimum(distance - 200.0, CELL_M / 2)  # over the plain itself: half a cell up, half a cell away
    np.testing.assert_allclose(got, expected, atol=1e-4)


def test_earth_curves_away_under_a_low_sun() -> None:
    """At 80 degrees a wall of 1,000 m shadows 5.67 km; over that the ellipsoid falls by d^2 / 2R = 2.5 m."""
    heights = flat((3, 700))
    heights[:, 600] += 1000.0
    terrain = metric(heights)
    plane = clearance(terrain, parallel(terrain, 80.0, 90.0))[1, :600]
    curved = clearance(terrain, parallel(terrain, 80.0, 90.0, curved=True))[1, :600]
    distance = (600 - np.arange(600)) * CELL_M
    under = plane < -1.0
    np.testing.assert_allclose((curved - plane)[under], (distance**2 / (2 * 6_371_000.0))[under], rtol=1e-3, atol=1e-3)


@settings(max_examples=25, deadline=None)
@given(
    zenith=st.floats(1.0, 85.0),
    azimuth=st.floats(0.0, 360.0),
    seed=st.integers(0, 2**31),
    void=st.booleans(),
    relief=st.floats(1.0, 900.0),
)
def test_the_kernel_equals_the_plain_formula(
    zenith: float, azimuth: float, seed: int, void: bool, relief: float
) -> None:
    """Skipping is not another algorithm; directions that vary over the grid included."""
    random = np.random.default_rng(seed)
    heights = (500 + relief * np.cumsum(random.normal(size=(53, 71)), axis=int(seed % 2)) / 5).astype(np.float32)
    if void:
        heights[random.integers(0, 53, 40), random.integers(0, 71, 40)] = np.nan
    terrain = metric(heights)
    lines = parallel(terrain, zenith, azimuth, curved=True)
    bent = SightLines(grid_shape=lines.grid_shape, packed=lines.packed * random.uniform(0.8, 1.2, lines.packed.shape))
    np.testing.assert_allclose(clearance(terrain, bent), clearance_reference(terrain, bent), rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize(("zenith", "azimuth"), [(25.0, 100.0), (50.0, 205.0), (70.0, 331.0), (65.0, 45.0)])
def test_a_ray_marcher_sees_the_same(zenith: float, azimuth: float) -> None:
    """Eight looks a cell at the bilinear surface, where the kernel takes two; slopes of up to 80 degrees."""
    heights = hills(half_deg=0.06, heights=(600.0, 1100.0)).heights
    terrain = metric(heights)
    got, truth = clearance(terrain, parallel(terrain, zenith, azimuth)), brute_force(heights, zenith, azimuth)
    inner = np.s_[5:-5, 5:-5]
    near = (np.abs(truth) < 0.5)[inner]  # half a metre of sight line: the surface between grid lines bulges
    different = ((got < 0) != (truth < 0))[inner]
    assert (different & ~near).mean() < 1e-3
    hidden = (truth < -1.0)[inner]
    miss = np.abs(got - truth)[inner][hidden]
    assert np.median(miss) < 1e-3
    assert np.quantile(miss, 0.999) < 2.0


def test_gentle_slopes_are_not_traced_and_steep_ones_are() -> None:
    rows, cols = np.mgrid[0:90, 0:90]
    slope = metric((500 + 3.0 * rows + 2.0 * cols).astype(np.float32))  # 17 and 11 degrees, up to the south-east
    assert not can_hide(slope, parallel(slope, 60.0, 135.0))  # 16.7 up in 10 across: steeper than the ground
    assert can_hide(slope, parallel(slope, 75.0, 135.0))
    assert not can_hide(slope, parallel(slope, 75.0, 315.0))  # downhill
    assert clearance(slope, parallel(slope, 60.0, 135.0)).min() > 0
    assert hidden_grid(slope, parallel(slope, 60.0, 135.0)) is None
    traced = hidden_grid(slope, parallel(slope, 75.0, 135.0))
    assert traced is not None
    assert (traced[5:-5, 5:-5] > 0).sum() == (clearance_reference(slope, parallel(slope, 75.0, 135.0)) > 0)[
        5:-5, 5:-5
    ].sum()


def test_straight_down_hides_nothing_and_voids_are_unknown() -> None:
    heights = flat()
    heights[50] += 2000.0
    heights[20, 30] = np.nan
    terrain = metric(heights)
    got = clearance(terrain, parallel(terrain, 0.0, 0.0))
    assert np.isnan(got[20, 30])
    assert np.nanmin(got) == CEILING_M


def test_lines_toward_the_satellite_follow_the_model() -> None:
    """A camera that looks 20 degrees sideways: up there it stands where lower pixels are seen at greater heights."""
    terrain, model = hills(), tilted_rpc(tilt_deg=20.0, gsd_m=10.0)
    lines = toward_satellite(terrain, model)
    down, right, metres = lines.at_cells()[:, 96, 96]
    np.testing.assert_allclose(metres, np.tan(np.radians(20.0)), rtol=2e-3)
    lon, lat = terrain.lonlat_of_cells(np.array([96.5]), np.array([96.5]))
    line, sample = model.ground_to_image(lon, lat, 1500.0)
    up_lon, up_lat = model.image_to_ground(line, sample, 2500.0)
    to_cell = ~terrain.transform @ (float(up_lon[0]), float(up_lat[0]))
    np.testing.assert_allclose([to_cell[1] - 96.5, to_cell[0] - 96.5], [1000 * down, 1000 * right], rtol=1e-3)
    far = toward_satellite(hills(lon=75.4, half_deg=0.3, pitch_deg=0.003), model)
    assert np.isfinite(far.packed).all()  # beyond the model's reach the nearest direction holds
    small = toward_satellite(hills(half_deg=0.3, pitch_deg=0.003), tilted_rpc((60, 50), gsd_m=4.0))
    np.testing.assert_allclose(small.packed[2], np.tan(np.radians(20.0)), rtol=1e-2)
    with pytest.raises(BadInput) as refused:
        toward_satellite(hills(lon=80.0), model)
    assert refused.value.kind == "geometry.no_footprint"


@pytest.mark.parametrize("place", [(75.3, 43.1), (-179.98, -17.0), (20.0, 69.0)])
def test_lines_toward_the_sun_in_cells_of_any_grid(place: tuple[float, float]) -> None:
    """By Earth-fixed vectors: 100 m up the line, put back on the grid with pyproj."""
    lon, lat = place
    terrain = hills(lon=lon, lat=lat, half_deg=0.05)
    when = NOON if lon == 75.3 else datetime(2018, 4, 29, 0 if lon < 0 else 11, 0, tzinfo=UTC)
    lines = toward_sun(terrain, lambda a, b: sun_direction(when, a, b))
    zenith, azimuth = (np.radians(float(angle)) for angle in sun_direction(when, lon, lat))
    east, north, up = (
        np.sin(zenith) * np.sin(azimuth),
        np.sin(zenith) * np.cos(azimuth),
        np.cos(zenith),
    )
    phi, lam = np.radians(lat), np.radians(lon)
    fixed = np.array(
        [
            -np.sin(lam) * east - np.sin(phi) * np.cos(lam) * north + np.cos(phi) * np.cos(lam) * up,
            np.cos(lam) * east - np.sin(phi) * np.sin(lam) * north + np.cos(phi) * np.sin(lam) * up,
            np.cos(phi) * north + np.sin(phi) * up,
        ]
    )
    to_fixed = Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True, allow_ballpark=False)
    at = np.array(to_fixed.transform(lon, lat, 0.0)) + fixed * 100.0 / up
    up_lon, up_lat, _ = to_fixed.transform(*at, direction="INVERSE")
    x, y = terrain.map_position(np.array([lon, up_lon]), np.array([lat, up_lat]))
    expected = np.array([-(y[1] - y[0]), x[1] - x[0]]) / terrain.transform.a / 100.0
    middle = terrain.heights.shape[0] // 2
    np.testing.assert_allclose(lines.at_cells()[:2, middle, middle], expected, rtol=3e-3, atol=1e-6)
    with pytest.raises(BadInput) as refused:
        toward_sun(terrain, lambda a, b: (np.full_like(a, 93.0), b))
    assert refused.value.kind == "geometry.night"


def test_identity_is_content() -> None:
    seen = Visibility(view=np.zeros((3, 4), dtype=np.float32))
    assert tokenize(pickle.loads(pickle.dumps(seen))) == tokenize(seen)
    assert Visibility(sun=np.zeros((3, 4), dtype=np.float32)).digest != seen.digest
    assert Visibility().digest != seen.digest
    assert seen.view is not None
    assert not seen.view.flags.writeable
