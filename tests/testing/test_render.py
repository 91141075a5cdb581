"""The renderer's fast roads against slow ones."""

import itertools

import numpy as np
import pytest

from processing.testing.acquisition import TARGET, Acquisition, plan_acquisition
from processing.testing.instruments import INSTRUMENTS
from processing.testing.lighting import grow_cover
from processing.testing.noise import bell, smooth_noise
from processing.testing.orbit import passes_over
from processing.testing.relief import METRES_PER_DEGREE, ORIGIN, Posts, raise_posts
from processing.testing.render import _STRIDE, meet_surface, psf_weights, render, trace_block
from processing.testing.surface import seen_on_surface
from processing.testing.world import World, make_world

NAOMI = INSTRUMENTS["kazeosat-1-naomi"]
SIZE = 128


@pytest.fixture(scope="module")
def acquisition() -> Acquisition:
    event = next(passes_over(NAOMI.tle, TARGET, ascending=False, off_nadir_deg=(10, 15), min_sun_elevation_deg=30))
    return plan_acquisition(NAOMI, event, size=SIZE, number=0, seed=1)


@pytest.fixture(scope="module")
def posts() -> Posts:
    return raise_posts((76.93, 43.03, 77.07, 43.17), seed=1)


@pytest.fixture(scope="module")
def world(acquisition: Acquisition, posts: Posts) -> World:
    return make_world(posts, grow_cover(posts, 1), acquisition, NAOMI.arrays[0].bands, seed=1)


def test_fast_rays_meet_the_surface_where_the_rigorous_camera_does(
    acquisition: Acquisition, posts: Posts, world: World
) -> None:
    # Towards the mountains as well: lines far beyond the image, where the slopes are.
    camera = acquisition.true("ms")
    lines = np.array([0.5, 64.0, 900.0, 1100.0])
    points, spacing = 160, 0.5  # as the image is rendered
    rays = trace_block(camera.state, posts, lines, -100.0, points, spacing)
    span = (float(rays.heights[1]), float(rays.heights[2] - rays.heights[1]))
    for line, point in itertools.product(range(len(lines)), (0, 17, 63, 150)):
        place = (line, point // _STRIDE, (point % _STRIDE) / _STRIDE)
        row, col, height = meet_surface(world.height, rays.row, rays.col, span, place, span[0])
        lon, lat, true_height = seen_on_surface(camera, posts, lines[line], -100.0 + spacing * point)
        assert np.isfinite(true_height)
        assert (posts.west + col) / 3600 == pytest.approx(float(lon), abs=2e-8)  # 2 mm
        assert (posts.north - row) / 3600 == pytest.approx(float(lat), abs=2e-8)
        assert height == pytest.approx(float(true_height), abs=2e-3)


def test_noise_has_the_variance_that_the_instrument_states(
    acquisition: Acquisition, posts: Posts, world: World
) -> None:
    array = NAOMI.arrays[0]
    irradiance = np.array([band.esun for band in array.bands]) / np.pi

    def image(seed: int) -> np.ndarray:
        return render(
            world,
            posts,
            acquisition.true("ms").state,
            array,
            shape=(SIZE, SIZE),
            radiance_per_light=irradiance,
            saturated=4095,
            seed=seed,
            progress=lambda done, total: None,
        ).astype(float)

    first, second = image(10), image(20)
    for number, band in enumerate(array.bands):
        mean = (first[number] + second[number]) / 2
        # Rounding to whole counts adds 1/12.
        expected = band.read_noise**2 + band.shot * mean + 1 / 12
        dark = mean < 3500
        ratio = (first[number] - second[number])[dark] ** 2 / (2 * expected[dark])
        assert ratio.mean() == pytest.approx(1.0, abs=0.05)


def test_point_spread_is_the_gaussian_over_the_detector() -> None:
    for sigma, subsamples in ((0.32, 2), (0.38, 1), (0.32, 16)):
        weights = psf_weights(sigma, subsamples)
        assert weights.sum() == pytest.approx(1.0)
        np.testing.assert_allclose(weights, weights[::-1])
    offsets = (np.arange(80) + 0.5) / 16 - 2.5
    # Variances add: that of the Gaussian, and 1/12 of a square pixel.
    assert (psf_weights(0.32, 16) * offsets**2).sum() == pytest.approx(0.32**2 + 1 / 12, rel=0.01)


def test_chance_is_normal_enough_and_noise_is_continuous() -> None:
    drawn = np.array([[bell(i, j, 5) for i in range(150)] for j in range(150)])
    assert drawn.mean() == pytest.approx(0, abs=0.02)
    assert drawn.std() == pytest.approx(1, abs=0.02)
    assert abs(np.corrcoef(drawn[:, 1:].ravel(), drawn[:, :-1].ravel())[0, 1]) < 0.02
    assert abs(np.corrcoef(drawn[1:].ravel(), drawn[:-1].ravel())[0, 1]) < 0.02
    values = np.array([smooth_noise(x, 0.37, 3) for x in np.arange(-5, 5, 1e-3)])
    assert np.abs(np.diff(values)).max() < 0.005
    assert values.min() >= -1
    assert values.max() <= 1


def test_local_metres_are_metres() -> None:
    from pyproj import Geod

    east = Geod(ellps="WGS84").inv(ORIGIN[0], ORIGIN[1], ORIGIN[0] + 0.01, ORIGIN[1])[2]
    north = Geod(ellps="WGS84").inv(ORIGIN[0], ORIGIN[1] - 0.005, ORIGIN[0], ORIGIN[1] + 0.005)[2]
    assert (100 * east, 100 * north) == pytest.approx(METRES_PER_DEGREE, rel=1e-5)
