"""RPC: kernels against the printed formula, inversion, fits, conventions, refusals."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from dask.base import tokenize
from hypothesis import given, settings
from hypothesis import strategies as st

from processing.geometry import rpc_kernel
from processing.geometry.rpc import Rpc, fit_rpc, validate_rpc
from processing.model.errors import BadInput
from processing.model.sensor_model import PixelConvention, SensorModel
from processing.testing.small_scenes import tilted_rpc

RPC = tilted_rpc()
unit = st.floats(-1.0, 1.0, allow_nan=False)


def ground(rpc: Rpc, x: float, y: float, z: float) -> tuple[float, float, float]:
    return (
        rpc.lon_off + x * rpc.lon_scale,
        rpc.lat_off + y * rpc.lat_scale,
        rpc.height_off + z * rpc.height_scale,
    )


@given(unit, unit, unit)
def test_the_kernel_is_the_printed_formula(x: float, y: float, z: float) -> None:
    point = ground(RPC, x, y, z)
    line, sample = RPC.ground_to_image(*point)
    expected_line, expected_sample = rpc_kernel.project_reference(RPC.packed, *point)
    assert float(line) == pytest.approx(float(expected_line), abs=1e-8)
    assert float(sample) == pytest.approx(float(expected_sample), abs=1e-8)


@given(st.floats(0, 400), st.floats(0, 300), st.floats(500, 4500))
def test_image_to_ground_to_image_closes(line: float, sample: float, height: float) -> None:
    lon, lat = RPC.image_to_ground(line, sample, height)
    back_line, back_sample = RPC.ground_to_image(lon, lat, height)
    assert float(back_line) == pytest.approx(line, abs=1e-6)
    assert float(back_sample) == pytest.approx(sample, abs=1e-6)


@settings(max_examples=12)
@given(st.floats(-179.9, 179.9), st.floats(-70, 70), st.floats(-30, 30), st.floats(0, 360), st.floats(0.5, 20.0))
def test_a_fit_repeats_the_camera_it_was_fitted_to(
    lon: float, lat: float, tilt: float, heading: float, gsd: float
) -> None:
    rpc = tilted_rpc((500, 400), lon=lon, lat=lat, tilt_deg=tilt, heading_deg=heading, gsd_m=gsd)
    validate_rpc(rpc, (500, 400))
    random = np.random.default_rng(3)
    line, sample, height = random.uniform(0, 500, 200), random.uniform(0, 400, 200), random.uniform(500, 4500, 200)
    seen_lon, seen_lat = rpc.image_to_ground(line, sample, height)
    again, quality = fit_rpc(line, sample, seen_lon, seen_lat, height)
    assert quality.max_px < 0.01
    assert quality.rmse_px <= quality.max_px
    probe = random.uniform(100, 300, (2, 50))
    at = rpc.image_to_ground(probe[0], probe[1], 2500.0)
    back = again.ground_to_image(*at, 2500.0)
    assert np.hypot(back[0] - probe[0], back[1] - probe[1]).max() < 0.01


def test_it_is_a_sensor_model_that_travels_well() -> None:
    assert isinstance(RPC, SensorModel)
    copy = pickle.loads(pickle.dumps(RPC))
    assert copy == RPC
    assert tokenize(copy) == tokenize(RPC)
    assert len(pickle.dumps(RPC)) < 2000
    assert tokenize(replace(RPC, line_off=RPC.line_off + 1e-9)) != tokenize(RPC)


def test_arguments_broadcast() -> None:
    line, sample = RPC.ground_to_image(RPC.lon_off, np.full((3, 1), RPC.lat_off), [1000.0, 2000.0])
    assert line.shape == sample.shape == (3, 2)
    assert line.dtype == np.float64


@pytest.mark.parametrize(
    ("convention", "shift"),
    [(PixelConvention.CORNER_ZERO, 0.0), (PixelConvention.CENTRE_ZERO, 0.5), (PixelConvention.CENTRE_ONE, -0.5)],
)
def test_delivered_conventions_end_in_ours(convention: PixelConvention, shift: float) -> None:
    fields = {name: getattr(RPC, name) for name in Rpc.__dataclass_fields__}
    moved = Rpc.from_delivered(convention=convention, **fields)
    assert moved.line_off - RPC.line_off == shift
    assert moved.sample_off - RPC.sample_off == shift


def test_nothing_is_invented_outside() -> None:
    far = RPC.lon_off + 2.5 * RPC.lon_scale
    assert np.isnan(RPC.ground_to_image(far, RPC.lat_off, 1000.0)).all()
    assert np.isnan(RPC.ground_to_image(np.nan, RPC.lat_off, 1000.0)).all()
    assert np.isnan(RPC.ground_to_image(RPC.lon_off, RPC.lat_off, np.inf)).all()
    assert np.isnan(RPC.image_to_ground(1e7, 0.0, 1000.0)).all()
    pole = replace(RPC, line_den=(1.0, -1.0, *[0.0] * 18))
    assert np.isnan(pole.ground_to_image(RPC.lon_off + RPC.lon_scale, RPC.lat_off, RPC.height_off)[0])


def test_the_antimeridian_is_no_seam() -> None:
    rpc = tilted_rpc(lon=179.999)
    west, _ = rpc.image_to_ground(200.0, 0.0, 500.0)
    east, lat = rpc.image_to_ground(200.0, 300.0, 500.0)
    assert {float(np.sign(west)), float(np.sign(east))} == {1.0, -1.0}
    for lon in (float(east), float(east) + 360.0):
        assert float(rpc.ground_to_image(lon, lat, 500.0)[1]) == pytest.approx(300.0, abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"line_num": (float("nan"), *RPC.line_num[1:])}, "rpc.nonfinite"),
        ({"height_off": float("inf")}, "rpc.nonfinite"),
        ({"lat_scale": 0.0}, "rpc.scale"),
        ({"sample_scale": -5.0}, "rpc.scale"),
        ({"lat_off": 95.0}, "rpc.bounds"),
        ({"height_off": 50_000.0}, "rpc.bounds"),
        ({"line_den": (0.0,) * 20}, "rpc.singular"),
        ({"sample_den": (1.0, -2.0, *[0.0] * 18)}, "rpc.singular"),
        ({"sample_num": RPC.line_num, "sample_den": RPC.line_den}, "rpc.singular"),
    ],
)
def test_a_bad_rpc_is_refused_by_kind(changes: dict[str, object], kind: str) -> None:
    with pytest.raises(BadInput) as refused:
        validate_rpc(replace(RPC, **changes))
    assert refused.value.kind == kind


def test_an_rpc_of_another_image_is_refused() -> None:
    validate_rpc(RPC, (400, 300))
    with pytest.raises(BadInput) as refused:
        validate_rpc(RPC, (400_000, 300_000))
    assert refused.value.kind == "rpc.bounds"


def test_wrong_coefficient_counts_and_thin_fits_are_refused() -> None:
    with pytest.raises(BadInput, match="20 coefficients"):
        replace(RPC, line_num=(1.0,) * 19)
    few = np.zeros(10)
    with pytest.raises(BadInput, match="at least 40"):
        fit_rpc(few, few, few, few, few)
