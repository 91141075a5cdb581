"""The pushbroom camera against plain numpy, scipy's rotations, pyproj's ellipsoid and the simulator's own camera."""

import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from dask.tokenize import tokenize
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer
from scipy.interpolate import BarycentricInterpolator
from scipy.spatial.transform import Rotation, Slerp

from processing.geometry.attitude import PolynomialAttitude, SampledAttitude
from processing.geometry.orbit import Ephemeris
from processing.geometry.pushbroom import Pushbroom
from processing.geometry.pushbroom_reference import locate_reference, project_reference
from processing.model.errors import BadInput
from processing.model.sensor_model import SensorModel
from processing.testing.acquisition import TARGET, plan_acquisition
from processing.testing.camera import Pushbroom as SimulatedCamera
from processing.testing.instruments import INSTRUMENTS
from processing.testing.orbit import passes_over

TO_EARTH_FIXED = Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)
HEIGHTS = np.array([-400.0, 0.0, 900.0, 4500.0, 8800.0])


@pytest.fixture(scope="module")
def simulated() -> SimulatedCamera:
    instrument = INSTRUMENTS["kazeosat-1-naomi"]
    event = next(passes_over(instrument.tle, TARGET, ascending=False, off_nadir_deg=(8, 25), min_sun_elevation_deg=30))
    return plan_acquisition(instrument, event, size=3000, number=0, seed=11).nominal["ms"]


@pytest.fixture(scope="module")
def camera(simulated: SimulatedCamera) -> Pushbroom:
    """The simulator's camera in Qyran's terms, seconds counted from shortly before the image."""
    zero = float(int(simulated.start) - 3)
    return Pushbroom(
        epoch=datetime(2026, 5, 1, 6, 0, 0, tzinfo=UTC),
        ephemeris=Ephemeris(
            seconds=tuple(second - zero for second in simulated.ephemeris.seconds),
            positions=simulated.ephemeris.positions,
        ),
        attitude=PolynomialAttitude(
            offset=simulated.attitude.offset - zero,
            scale=simulated.attitude.scale,
            coefficients=simulated.attitude.coefficients,
        ),
        first_line_s=simulated.start - zero,
        line_period_s=simulated.line_period,
        along=(simulated.ylos_0,),
        across=(simulated.xlos_0, simulated.xlos_1),
        first_detector=float(simulated.first_column),
        shape=simulated.shape,
    )


@pytest.fixture(scope="module")
def sampled(camera: Pushbroom) -> Pushbroom:
    """The same with a list of quaternions, some of them with the other sign, and bent look angles."""
    first, last = camera.seconds_at(np.array([-400.0, camera.shape[0] + 400.0]))
    seconds = np.linspace(first, last, 60)
    rows = camera.attitude.quaternion(seconds)
    rows[::7] *= -1
    return replace(
        camera,
        attitude=SampledAttitude(seconds=tuple(seconds.tolist()), quaternions=tuple(map(tuple, rows.tolist()))),
        along=(camera.along[0], 1e-8, 2e-12),
        across=(*camera.across, 3e-11, -2e-15),
    )


def _places(camera: Pushbroom, beyond: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    lines, samples = camera.shape
    return tuple(
        axis.ravel()
        for axis in np.meshgrid(
            np.linspace(-beyond, lines + beyond, 9), np.linspace(-beyond, samples + beyond, 9), HEIGHTS, indexing="ij"
        )
    )


def test_it_is_a_sensor_model_that_goes_there_and_back(camera: Pushbroom, sampled: Pushbroom) -> None:
    for model in (camera, sampled):
        assert isinstance(model, SensorModel)
        line, sample, height = _places(model, beyond=350.0)
        back = model.ground_to_image(*model.image_to_ground(line, sample, height), height)
        np.testing.assert_allclose(back, (line, sample), rtol=0, atol=1e-6)


def test_kernels_equal_the_plain_formulas(camera: Pushbroom, sampled: Pushbroom) -> None:
    for model in (camera, sampled):
        line, sample, height = _places(model, beyond=300.0)
        lon, lat = model.image_to_ground(line, sample, height)
        plain_lon, plain_lat = locate_reference(model, line, sample, height)
        metres = np.hypot((lon - plain_lon) * np.cos(np.radians(lat)), lat - plain_lat) * 111_320
        assert metres.max() < 1e-6
        there = model.ground_to_image(plain_lon, plain_lat, height)
        np.testing.assert_allclose(there, (line, sample), rtol=0, atol=1e-6)
    plain_lon, plain_lat = locate_reference(camera, line, sample, height)
    np.testing.assert_allclose(
        camera.ground_to_image(plain_lon, plain_lat, height),
        project_reference(camera, plain_lon, plain_lat, height),
        rtol=0,
        atol=1e-6,
    )


def test_heights_are_met(camera: Pushbroom) -> None:
    """The seen point lies on the look direction, computed by another road, and at the height asked for."""
    line, sample, height = _places(camera)
    ground = np.stack(TO_EARTH_FIXED.transform(*camera.image_to_ground(line, sample, height), height), axis=1)
    seconds = camera.seconds_at(line)
    times, points = np.array(camera.ephemeris.seconds), np.array(camera.ephemeris.positions)
    for at, t in enumerate(seconds):
        near = np.argsort(np.abs(times - t))[:8]
        position = BarycentricInterpolator(times[near], points[near])(t)
        argument = (t - camera.attitude.offset) / camera.attitude.scale
        q = [np.polynomial.Polynomial(row)(argument) for row in camera.attitude.coefficients]
        detector = camera.first_detector + sample[at] - 0.5
        look = Rotation.from_quat(q, scalar_first=True).apply(
            [camera.along[0], -(camera.across[0] + camera.across[1] * detector), 1.0]
        )
        miss = np.cross(ground[at] - position, look / np.linalg.norm(look))
        assert np.linalg.norm(miss) < 1e-4


def test_it_is_the_simulator_camera(camera: Pushbroom, simulated: SimulatedCamera) -> None:
    line, sample, height = _places(camera)
    lon, lat = simulated.image_to_ground(line, sample, height)
    np.testing.assert_allclose(camera.ground_to_image(lon, lat, height), (line, sample), rtol=0, atol=1e-5)


def test_samples_are_joined_by_the_shortest_turn(sampled: Pushbroom) -> None:
    attitude = sampled.attitude
    assert isinstance(attitude, SampledAttitude)
    slerp = Slerp(attitude.seconds, Rotation.from_quat(attitude.quaternions, scalar_first=True))
    seconds = np.linspace(*attitude.span, 777)
    turned = Rotation.from_quat(attitude.quaternion(seconds), scalar_first=True)
    assert (slerp(seconds).inv() * turned).magnitude().max() < 1e-10


def test_the_orbit_is_the_eight_point_interpolation(camera: Pushbroom) -> None:
    times, points = np.array(camera.ephemeris.seconds), np.array(camera.ephemeris.positions)
    pieces = camera.ephemeris.pieces()
    for t in np.linspace(times[0], times[-1], 50):
        stretch = min(int(np.searchsorted(times, t, side="right")) - 1, len(times) - 2)
        first = min(max(stretch - 3, 0), len(times) - 8)
        expected = BarycentricInterpolator(times[first : first + 8], points[first : first + 8])(t)
        argument = (t - pieces.middle[stretch]) / pieces.half[stretch]
        found = [np.polynomial.polynomial.polyval(argument, row) for row in pieces.coefficients[stretch]]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-7)
        np.testing.assert_allclose(camera.ephemeris.position(t), expected, rtol=0, atol=1e-7)


def test_outside_its_reach_there_is_no_answer(camera: Pushbroom, sampled: Pushbroom) -> None:
    first, last, left, right = camera.reach
    assert (first, last) == (-1500.0, 4500.0)
    middle = camera.shape[1] / 2
    lon, lat = camera.image_to_ground([first - 1, first + 1, last + 1, last - 1], middle, 0.0)
    assert np.isnan(lon).tolist() == np.isnan(lat).tolist() == [True, False, True, False]
    assert np.isnan(camera.image_to_ground(10.0, [left - 1, right + 1, np.nan], 0.0)).all()
    assert np.isnan(camera.image_to_ground(10.0, 10.0, [np.nan, np.inf])).all()
    # The far side of the Earth, along the very same line of sight.
    lon, lat = camera.image_to_ground(100.0, 100.0, 0.0)
    assert np.isnan(camera.ground_to_image(lon + 180.0, -lat, 0.0)).all()
    assert np.isnan(camera.ground_to_image([lon + 20, np.nan, lon], [lat, lat, lat], [0.0, 0.0, np.nan])).all()
    # Nothing is known beyond a list's ends.
    assert sampled.reach[:2] == pytest.approx((-400.0, 3400.0))


@given(line=st.floats(-300, 3300), sample=st.floats(-300, 3300), height=st.floats(-450, 9000))
def test_round_trip_anywhere(camera: Pushbroom, line: float, sample: float, height: float) -> None:
    back = camera.ground_to_image(*camera.image_to_ground(line, sample, height), height)
    assert abs(back[0] - line) < 1e-6
    assert abs(back[1] - sample) < 1e-6


def test_a_cut_camera_sees_the_same_ground(camera: Pushbroom, sampled: Pushbroom) -> None:
    for model in (camera, sampled):
        cut = model.cut(700, 1200)
        assert cut.shape == (1200, model.shape[1])
        line, sample, height = _places(cut)
        lon, lat = model.image_to_ground(line + 700, sample, height)
        np.testing.assert_allclose(cut.ground_to_image(lon, lat, height), (line, sample), rtol=0, atol=1e-6)
        assert cut.time_at(0.5) == model.time_at(700.5)


def test_same_in_threads_in_pickles_and_in_other_processes(camera: Pushbroom, sampled: Pushbroom) -> None:
    for model in (camera, sampled):
        again = pickle.loads(pickle.dumps(model))
        assert again == model
        assert hash(again) == hash(model)
        code = "import pickle, sys; from dask.tokenize import tokenize;print(tokenize(pickle.load(sys.stdin.buffer)))"
        run = subprocess.run([sys.executable, "-c", code], input=pickle.dumps(model), capture_output=True, check=True)
        assert run.stdout.decode().strip() == tokenize(model)
        places = _places(model)
        alone = model.image_to_ground(*places)
        with ThreadPoolExecutor(4) as pool:
            for job in [pool.submit(model.image_to_ground, *places) for _ in range(8)]:
                assert np.array_equal(job.result(), alone)


def test_results_do_not_depend_on_company(camera: Pushbroom) -> None:
    line, sample, height = _places(camera)
    lon, lat = camera.image_to_ground(line, sample, height)
    together = np.array(camera.ground_to_image(lon, lat, height))
    one_by_one = np.array([camera.ground_to_image(*point) for point in zip(lon, lat, height, strict=True)]).T
    assert np.array_equal(together, one_by_one)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"line_period_s": 0.0}, "pushbroom.clock"),
        ({"line_period_s": float("nan")}, "pushbroom.clock"),
        ({"across": (0.01,)}, "pushbroom.look"),
        ({"across": (0.01, 0.0)}, "pushbroom.look"),
        ({"across": (3.0, 1e-6)}, "pushbroom.look"),
        ({"first_line_s": 500.0}, "pushbroom.cover"),
        ({"line_period_s": 0.1}, "pushbroom.cover"),
    ],
)
def test_what_makes_no_camera_is_refused(camera: Pushbroom, changes: dict[str, object], kind: str) -> None:
    with pytest.raises(BadInput) as refused:
        replace(camera, **changes)
    assert refused.value.kind == kind


def test_orbits_and_attitudes_that_are_none_are_refused(camera: Pushbroom) -> None:
    seconds, positions = camera.ephemeris.seconds, camera.ephemeris.positions
    kilometres = tuple(tuple(value / 1000 for value in row) for row in positions)
    for orbit, kind in (
        ({"seconds": seconds[:7], "positions": positions[:7]}, "orbit.points"),
        ({"seconds": seconds[::-1], "positions": positions}, "orbit.time"),
        ({"seconds": seconds, "positions": kilometres}, "orbit.range"),
        ({"seconds": seconds, "positions": ((float("nan"), 0.0, 0.0), *positions[1:])}, "orbit.range"),
    ):
        with pytest.raises(BadInput) as refused:
            Ephemeris(**orbit)
        assert refused.value.kind == kind
    unit, turned = (1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0)
    for attitude, kind in (
        ({"seconds": (0.0,), "quaternions": (unit,)}, "attitude.samples"),
        ({"seconds": (0.0, 0.0), "quaternions": (unit, unit)}, "attitude.time"),
        ({"seconds": (0.0, 1.0), "quaternions": (unit, turned)}, "attitude.sparse"),
        ({"seconds": (0.0, 1.0), "quaternions": (unit, (2.0, 0.0, 0.0, 0.0))}, "attitude.unit"),
    ):
        with pytest.raises(BadInput) as refused:
            SampledAttitude(**attitude)
        assert refused.value.kind == kind
    rows = ((1.0, 0.0), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0))
    for polynomial, kind in (
        ({"scale": 0.0, "coefficients": rows}, "attitude.polynomial"),
        ({"scale": 1.0, "coefficients": rows[:3]}, "attitude.polynomial"),
        ({"scale": 1.0, "coefficients": ((3.0, 0.0), *rows[1:])}, "attitude.unit"),
    ):
        with pytest.raises(BadInput) as refused:
            PolynomialAttitude(offset=0.0, **polynomial)
        assert refused.value.kind == kind
