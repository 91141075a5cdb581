"""Refinement in image space: known biases come back, and nothing is bent that the points do not bend."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.geometry.refine import GroundControlPoint, Refined, refine_from_gcps
from processing.model.errors import BadInput
from processing.model.sensor_model import SensorModel
from processing.testing.small_scenes import tilted_rpc

SHAPE = (4000, 3000)
MODEL = tilted_rpc(SHAPE, gsd_m=4.0)


def points(
    truth: SensorModel, count: int, *, noise_px: float = 0.0, seed: int = 1, part: float = 1.0
) -> list[GroundControlPoint]:
    """Points that a true model sees, spread over a part of the image."""
    random = np.random.default_rng(seed)
    line, sample = random.uniform(0, SHAPE[0] * part, count), random.uniform(0, SHAPE[1] * part, count)
    height = random.uniform(600, 3000, count)
    lon, lat = truth.image_to_ground(line, sample, height)
    line, sample = line + random.normal(0, noise_px, count), sample + random.normal(0, noise_px, count)
    return [
        GroundControlPoint(lon=a, lat=b, height=h, line=c, sample=d)
        for a, b, h, c, d in zip(lon, lat, height, line, sample, strict=True)
    ]


@given(st.floats(-30, 30), st.floats(-30, 30), st.integers(1, 12))
def test_a_shift_comes_back(down: float, right: float, count: int) -> None:
    truth = Refined(model=MODEL, line=(down, 0, 0), sample=(right, 0, 0))
    refined, report = refine_from_gcps(MODEL, points(truth, count), kind="shift", shape=SHAPE)
    assert report.shift_px == pytest.approx((down, right), abs=1e-6)
    assert (report.ce90_px is None) == (count == 1)
    lon, lat = refined.image_to_ground(1234.5, 678.9, 1500.0)
    back = refined.ground_to_image(lon, lat, 1500.0)
    assert (float(back[0]), float(back[1])) == pytest.approx((1234.5, 678.9), abs=1e-6)


def test_an_attitude_drift_comes_back_within_a_twentieth_of_a_pixel() -> None:
    truth = Refined(model=MODEL, line=(3.0, 4e-4, -2e-4), sample=(-5.0, 1e-4, 3e-4))
    refined, report = refine_from_gcps(MODEL, points(truth, 25, noise_px=0.05), shape=SHAPE)
    assert report.kind == "affine"
    line, sample = (axis.ravel() for axis in np.mgrid[0:4001:500, 0:3001:500].astype(float))
    lon, lat = truth.image_to_ground(line, sample, 1500.0)
    seen = refined.ground_to_image(lon, lat, 1500.0)
    assert np.sqrt(np.mean((seen[0] - line) ** 2 + (seen[1] - sample) ** 2)) <= 0.05


def test_noise_alone_does_not_bend_the_image() -> None:
    truth = Refined(model=MODEL, line=(3.0, 0, 0), sample=(-5.0, 0, 0))
    kinds = [
        refine_from_gcps(MODEL, points(truth, 8, noise_px=0.3, seed=seed), shape=SHAPE)[1].kind for seed in range(10)
    ]
    assert kinds.count("shift") >= 9


def test_few_or_one_sided_points_do_not_support_an_affine() -> None:
    truth = Refined(model=MODEL, line=(3.0, 4e-4, 0))
    for some in (points(truth, 5), points(truth, 20, part=0.3)):
        assert refine_from_gcps(MODEL, some, shape=SHAPE)[1].kind != "affine"
        with pytest.raises(BadInput) as refused:
            refine_from_gcps(MODEL, some, kind="affine", shape=SHAPE)
        assert refused.value.kind == "gcp.too_few"


def test_a_drift_along_the_lines_comes_back_and_only_from_points_along_them() -> None:
    """Attitude drifts with time, and time runs along the lines."""
    truth = Refined(model=MODEL, line=(3.0, 4e-4, 0), sample=(-5.0, -3e-4, 0))
    refined, report = refine_from_gcps(MODEL, points(truth, 12, noise_px=0.05), shape=SHAPE)
    assert report.kind == "drift"
    lon, lat = truth.image_to_ground(np.array([0.0, 4000.0]), 1500.0, 1500.0)
    assert np.abs(np.array(refined.ground_to_image(lon, lat, 1500.0)) - [[0, 4000], [1500, 1500]]).max() <= 0.15
    crowded = points(truth, 12, noise_px=0.05, part=0.3)
    assert refine_from_gcps(MODEL, crowded, shape=SHAPE)[1].kind == "shift"
    with pytest.raises(BadInput, match="do not support"):
        refine_from_gcps(MODEL, crowded, kind="drift", shape=SHAPE)


@pytest.mark.parametrize("count", [4, 6, 9, 30])
def test_data_that_are_a_shift_are_never_served_worse_by_more_terms(count: int) -> None:
    truth = Refined(model=MODEL, line=(3.0, 0, 0), sample=(-5.0, 0, 0))
    worse = 0
    for seed in range(40):
        some = points(truth, count, noise_px=0.3, seed=seed)
        miss = []
        for kind in ("shift", "auto"):
            refined, _ = refine_from_gcps(MODEL, some, kind, SHAPE)
            lon, lat = truth.image_to_ground([0.0, 4000.0, 2000.0], [0.0, 3000.0, 1500.0], 1500.0)
            seen = refined.ground_to_image(lon, lat, 1500.0)
            miss.append(np.hypot(seen[0] - [0, 4000, 2000], seen[1] - [0, 3000, 1500]).max())
        worse += miss[1] > miss[0] + 0.1
    assert worse <= 1


@pytest.mark.parametrize("kind", ["shift", "drift", "affine"])
def test_blunders_are_told_and_have_no_part(kind: str) -> None:
    slopes = {"shift": 0.0, "drift": 3e-4, "affine": 3e-4}[kind], {"shift": 0.0, "drift": 0.0, "affine": -4e-4}[kind]
    truth = Refined(model=MODEL, line=(3.0, *slopes), sample=(-5.0, *slopes))
    some = points(truth, 24, noise_px=0.05)
    blunders = {2: 80.0, 9: -3.0, 17: 1.0, 20: 80.0}
    for index, off in blunders.items():
        some[index] = replace(some[index], line=some[index].line + off)
    refined, report = refine_from_gcps(MODEL, some, shape=SHAPE)
    assert report.kind == kind
    assert {i for i, residual in enumerate(report.residuals) if not residual.used} == set(blunders)
    assert (report.points, report.rejected) == (20, 4)
    lon, lat = truth.image_to_ground(1000.0, 2000.0, 1500.0)
    assert np.hypot(*(np.array(refined.ground_to_image(lon, lat, 1500.0)) - [1000.0, 2000.0])) <= 0.05


def test_one_blunder_among_five_is_told_and_among_four_nobody_can() -> None:
    truth = Refined(model=MODEL, line=(3.0, 0, 0), sample=(-5.0, 0, 0))
    for count, rejected in ((5, 1), (4, 0)):
        some = points(truth, count, noise_px=0.05)
        some[1] = replace(some[1], sample=some[1].sample - 40.0)
        assert refine_from_gcps(MODEL, some, kind="shift")[1].rejected == rejected


def test_the_stated_error_is_of_points_left_out() -> None:
    truth = Refined(model=MODEL, line=(3.0, 0, 0))
    _, report = refine_from_gcps(MODEL, points(truth, 400, noise_px=0.5), kind="shift")
    # Circular noise of sigma 0.5 px has a CE90 of 2.146 sigma; 4 m pixels.
    assert report.ce90_px == pytest.approx(2.146 * 0.5, rel=0.08)
    assert report.ce90_m == pytest.approx(4.0 * 2.146 * 0.5, rel=0.15)
    ground = report.ground
    assert ground is not None
    # Of a circular Gaussian: CE95 = 2.448 sigma, and the empirical percentile agrees with the formula.
    assert ground.ce95 == pytest.approx(4.0 * 2.448 * 0.5, rel=0.15)
    assert ground.percentile90 == pytest.approx(ground.ce90, rel=0.1)
    assert np.hypot(*ground.bias) < 0.02 * ground.rmse
    assert ground.nmad == pytest.approx(ground.stddev, rel=0.2)


def test_points_that_cannot_be_seen_are_refused() -> None:
    with pytest.raises(BadInput, match="no ground control"):
        refine_from_gcps(MODEL, [])
    swapped = [replace(point, lon=point.lat, lat=point.lon) for point in points(MODEL, 3)]
    with pytest.raises(BadInput) as refused:
        refine_from_gcps(MODEL, swapped)
    assert refused.value.kind == "gcp.unseen"
