"""The camera against plain vector geometry, and the acquisitions planned with it."""

import numpy as np
import pytest
from pyproj import Transformer
from scipy.spatial.transform import Rotation

from processing.model.sensor_model import SensorModel
from processing.testing.acquisition import TARGET, Acquisition, plan_acquisition
from processing.testing.camera import Pushbroom
from processing.testing.exposure import fit_camera
from processing.testing.instruments import INSTRUMENTS
from processing.testing.orbit import passes_over
from processing.testing.relief import raise_posts

EARTH_FIXED = Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)


@pytest.fixture(scope="module", params=sorted(INSTRUMENTS))
def acquisition(request: pytest.FixtureRequest) -> Acquisition:
    instrument = INSTRUMENTS[request.param]
    event = next(
        passes_over(
            instrument.tle,
            TARGET,
            ascending=instrument.ascending,
            off_nadir_deg=(6, 15),
            min_sun_elevation_deg=15,
        )
    )
    return plan_acquisition(instrument, event, size=4000, number=0, seed=5)


def _places(camera: Pushbroom) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    lines, samples = camera.shape
    return tuple(
        np.meshgrid(np.linspace(0, lines, 5), np.linspace(0, samples, 5), np.array([0.0, 800.0, 4500.0]), indexing="ij")
    )


def test_ground_and_back(acquisition: Acquisition) -> None:
    for group in acquisition.nominal:
        camera = acquisition.true(group)
        assert isinstance(camera, SensorModel)
        line, sample, height = _places(camera)
        back = camera.ground_to_image(*camera.image_to_ground(line, sample, height), height)
        np.testing.assert_allclose(back, (line, sample), atol=1e-5)


def test_lines_of_sight_are_those_of_the_stated_model(acquisition: Acquisition) -> None:
    """The DIMAP formulae by another road: scipy's rotations, numpy's polynomials, pyproj's ellipsoid."""
    for camera in acquisition.nominal.values():
        line, sample, height = (axis.ravel() for axis in _places(camera))
        ground = np.stack(EARTH_FIXED.transform(*camera.image_to_ground(line, sample, height), height), axis=1)
        row, column = line + 0.5, sample + 0.5
        seconds = camera.start + (row - 1) * camera.line_period
        argument = (seconds - camera.attitude.offset) / camera.attitude.scale
        q = np.array([np.polynomial.polynomial.polyval(argument, c) for c in camera.attitude.coefficients])
        across = camera.xlos_0 + camera.xlos_1 * (camera.first_column + column - 1)
        look = np.stack([np.full_like(across, camera.ylos_0), -across, np.ones_like(across)], axis=1)
        direction = Rotation.from_quat(q[[1, 2, 3, 0]].T).apply(look)
        position = np.array(
            [
                [
                    np.polynomial.Polynomial.fit(camera.ephemeris.seconds, axis, 9)(t)
                    for axis in np.transpose(camera.ephemeris.positions)
                ]
                for t in seconds
            ]
        )
        seen = ground - position
        miss = np.cross(seen, direction / np.linalg.norm(direction, axis=1, keepdims=True))
        assert np.linalg.norm(miss, axis=1).max() < 0.02  # m on the ground; the polynomial orbit is good to 1 cm


def test_the_middle_looks_at_the_target(acquisition: Acquisition) -> None:
    camera = acquisition.nominal["ms"]
    lon, lat = camera.image_to_ground(camera.shape[0] / 2, camera.shape[1] / 2, TARGET[2])
    assert abs(lon - TARGET[0]) < 0.005
    assert abs(lat - TARGET[1]) < 0.005


def test_rpc_follows_the_nominal_camera(acquisition: Acquisition) -> None:
    posts = raise_posts((76.99, 43.09, 77.01, 43.11), seed=1)
    for camera in acquisition.nominal.values():
        rpc, _ = fit_camera(camera, posts)
        # Points between those that were fitted.
        line, sample, height = np.meshgrid(
            np.linspace(33, camera.shape[0] - 77, 8), np.linspace(21, camera.shape[1] - 55, 8), [700.0, 1300.0]
        )
        back = rpc.ground_to_image(*camera.image_to_ground(line, sample, height), height)
        assert np.abs(np.array(back) - (line, sample)).max() <= 0.05


def test_pointing_error_is_some_metres_and_jitter_a_fraction_of_a_pixel(acquisition: Acquisition) -> None:
    for group, nominal in acquisition.nominal.items():
        line, sample, height = _places(nominal)
        lon, lat = nominal.image_to_ground(line, sample, height)
        at = np.stack(EARTH_FIXED.transform(lon, lat, height), axis=-1)
        for camera, low, high in ((acquisition.true(group), 7.0, 28.0),):
            moved = np.stack(EARTH_FIXED.transform(*camera.image_to_ground(line, sample, height), height), axis=-1)
            distance = np.linalg.norm(moved - at, axis=-1)
            assert low < distance.min()
            assert distance.max() < high
        still = np.array(acquisition.biased(group).ground_to_image(lon, lat, height))
        shaken = np.array(acquisition.true(group).ground_to_image(lon, lat, height))
        assert 1e-4 < np.sqrt(np.mean(np.sum((still - shaken) ** 2, axis=0))) < 0.05


def test_the_detector_lines_do_not_share_a_grid() -> None:
    instrument = INSTRUMENTS["kazeosat-1-naomi"]
    event = next(passes_over(instrument.tle, TARGET, ascending=False, off_nadir_deg=(6, 15), min_sun_elevation_deg=30))
    acquisition = plan_acquisition(instrument, event, size=400, number=0, seed=2)
    ms, pan = acquisition.nominal["ms"], acquisition.nominal["pan"]
    line, sample = np.meshgrid(np.linspace(10, 390, 9), np.linspace(10, 390, 9))
    pan_line, pan_sample = pan.ground_to_image(*ms.image_to_ground(line, sample, 900.0), 900.0)
    offset = np.array([pan_line - 4 * line, pan_sample - 4 * sample])
    # Near the factor of four, so both see the same ground, and yet not on it: resample by the model.
    assert np.abs(offset).max() < 40
    assert np.abs(offset.mean(axis=(1, 2))).max() > 0.3
    assert np.ptp(offset, axis=(1, 2)).max() > 0.01


def test_outside_the_known_orbit_there_is_no_answer(acquisition: Acquisition) -> None:
    camera = acquisition.nominal["ms"]
    line, sample = camera.ground_to_image(60.0, -20.0, 0.0)
    assert np.isnan(line)
    assert np.isnan(sample)
