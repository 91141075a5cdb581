"""Which sensor models are refused, by which kind; and that good ones never are."""

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processing.geometry.compare import compare_models
from processing.geometry.corners import Corner
from processing.geometry.guards import Domain, check_heights, check_model
from processing.geometry.refine import Refined
from processing.geometry.rpc import Rpc
from processing.model.errors import BadInput
from processing.model.sensor_model import SensorModel
from processing.testing.small_scenes import tilted_rpc

SHAPE = (400, 300)
RPC = tilted_rpc(SHAPE)


def corners_of(model: SensorModel, shape: tuple[int, int], heights: tuple[float, ...] = (600, 900, 1500, 700)) -> Any:
    """As vendors state them: each corner on the terrain it stands on."""
    line = np.array([0.5, 0.5, shape[0] - 0.5, shape[0] - 0.5])
    sample = np.array([0.5, shape[1] - 0.5, shape[1] - 0.5, 0.5])
    lon, lat = model.image_to_ground(line, sample, heights)
    return tuple(
        Corner(lon=float(a), lat=float(b), line=float(c), sample=float(d))
        for a, b, c, d in zip(lon, lat, line, sample, strict=True)
    )


def refused(model: SensorModel, **more: Any) -> BadInput:
    with pytest.raises(BadInput) as refusal:
        check_model(model, shape=more.pop("shape", SHAPE), where="RPC_A.XML", **more)
    assert refusal.value.message
    return refusal.value


POSES = ((0.0, 10.0, 60.0), (22.0, 194.0, -30.0), (-31.0, 281.0, 45.0), (12.0, 80.0, 5.0), (-7.0, 350.0, 72.0))
"""Tilt, heading and latitude of the cameras: an RPC is fitted to each once, then moved exactly."""


@lru_cache
def fitted(pose: int) -> Rpc:
    tilt, heading, lat = POSES[pose]
    return tilted_rpc((1000, 800), lon=0.0, lat=lat, tilt_deg=tilt, heading_deg=heading, gsd_m=2.0, heights=(0, 1500))


class Cameras:
    """Random cameras over land, as RPCs: any longitude and ground height, images of any size."""

    pose = st.integers(0, len(POSES) - 1)
    lon = st.floats(-180, 180)
    shape = st.tuples(st.integers(64, 20_000), st.integers(64, 20_000))
    ground = st.floats(-400, 5000)

    @staticmethod
    def rpc(pose: int, lon: float, shape: tuple[int, int], ground: float) -> Rpc:
        """Longitude and height enter an RPC as differences, lines and samples by a factor: all exact."""
        rpc = fitted(pose)
        along, across = shape[0] / 1000, shape[1] / 800
        return replace(
            rpc,
            lon_off=rpc.lon_off + lon,
            height_off=rpc.height_off + ground,
            line_off=rpc.line_off * along,
            line_scale=rpc.line_scale * along,
            sample_off=rpc.sample_off * across,
            sample_scale=rpc.sample_scale * across,
        )


@settings(max_examples=40)
@given(Cameras.pose, Cameras.lon, Cameras.shape, Cameras.ground, st.booleans(), st.integers(0, 7), st.data())
def test_a_good_model_always_passes(pose, lon, shape, ground, east, order, data) -> None:
    rpc = Cameras.rpc(pose, lon, shape, ground)
    heights = data.draw(st.tuples(*[st.floats(ground, ground + 1500.0)] * 4))
    corners = corners_of(rpc, shape, heights)
    if east:  # both sides may count longitudes from 0 to 360
        rpc = replace(rpc, lon_off=rpc.lon_off % 360.0)
        corners = tuple(replace(corner, lon=corner.lon % 360.0) for corner in corners)
    turned = corners[order % 4 :] + corners[: order % 4]
    bare = tuple(Corner(lon=corner.lon, lat=corner.lat) for corner in (turned if order < 4 else turned[::-1]))
    domain = Domain(line=(0.0, float(shape[0])), sample=(0.0, float(shape[1])))
    assert check_model(rpc, shape=shape, corners=corners, direct=rpc, domain=domain) == ()
    assert check_model(rpc, shape=shape, corners=bare) == ()
    shifted = Refined(model=rpc, line=(0.3, 0.0, 0.0), sample=(-0.2, 0.0, 0.0))
    assert check_model(shifted, shape=shape, corners=corners) == ()


def without_denominator(rpc: Rpc) -> Rpc:
    return replace(rpc, line_den=(0.0,) * 20)


def with_axes_exchanged(rpc: Rpc) -> Rpc:
    """As a reader makes it that takes longitude for latitude."""
    order = (0, 2, 1, 3, 4, 6, 5, 8, 7, 9, 10, 15, 14, 16, 12, 11, 13, 18, 17, 19)
    swapped = {
        name: tuple(getattr(rpc, name)[at] for at in order)
        for name in ("line_num", "line_den", "sample_num", "sample_den")
    }
    return replace(
        rpc, lon_off=rpc.lat_off, lat_off=rpc.lon_off, lon_scale=rpc.lat_scale, lat_scale=rpc.lon_scale, **swapped
    )


MUTATIONS = {
    "not a number": (lambda rpc: replace(rpc, sample_num=(float("nan"), *rpc.sample_num[1:])), {"rpc.nonfinite"}),
    "infinite": (lambda rpc: replace(rpc, lat_off=float("inf")), {"rpc.nonfinite"}),
    "denominator zero": (without_denominator, {"rpc.singular"}),
    "denominator changes sign": (
        lambda rpc: replace(rpc, sample_den=(1.0, 0.3, -1.6, *rpc.sample_den[3:])),
        {"rpc.singular"},
    ),
    "scale zero": (lambda rpc: replace(rpc, line_scale=0.0), {"rpc.scale"}),
    "scale negative": (lambda rpc: replace(rpc, lon_scale=-rpc.lon_scale), {"rpc.scale"}),
    "line for sample": (
        lambda rpc: replace(rpc, line_num=rpc.sample_num, line_den=rpc.sample_den),
        {"rpc.singular", "rpc.bounds"},
    ),
    "axes exchanged": (with_axes_exchanged, {"rpc.swapped_axes"}),
    "offsets exchanged": (
        lambda rpc: replace(rpc, lon_off=rpc.lat_off, lat_off=rpc.lon_off),
        {"rpc.swapped_axes"},
    ),
    "half a degree away": (lambda rpc: replace(rpc, lat_off=rpc.lat_off - 0.5), {"rpc.inconsistent"}),
    "the whole of a crop": (
        lambda rpc: replace(rpc, line_off=rpc.line_off + 40.0 * rpc.line_scale),
        {"rpc.bounds"},
    ),
    "underground": (lambda rpc: replace(rpc, height_off=-2500.0), {"rpc.bounds"}),
}


@pytest.mark.parametrize(("mutate", "kinds"), MUTATIONS.values(), ids=MUTATIONS.keys())
@settings(max_examples=15)
@given(Cameras.pose, st.floats(76, 130), Cameras.shape, Cameras.ground)
def test_each_fault_has_its_kind(mutate, kinds, pose, lon, shape, ground) -> None:
    rpc = Cameras.rpc(pose, lon, shape, ground)
    corners = corners_of(rpc, shape, (ground + 100.0,) * 4)
    assert refused(mutate(rpc), shape=shape, corners=corners).kind in kinds


@settings(max_examples=20)
@given(
    Cameras.pose,
    Cameras.shape,
    st.sampled_from([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0]),
    st.sampled_from([0.5, 1.0, -1.0]),
)
def test_a_shift_between_two_statements_is_refused(pose, shape, line, sample) -> None:
    rpc = Cameras.rpc(pose, 75.0, shape, 700.0)
    other = replace(rpc, line_off=rpc.line_off + line, sample_off=rpc.sample_off + sample)
    refusal = refused(rpc, shape=shape, direct=other)
    assert refusal.kind == "rpc.shifted"
    assert f"{-sample:+.2f} samples" in refusal.message
    found = compare_models(rpc, other, shape, (700.0, 1500.0))
    assert found is not None
    assert (found.line_px, found.sample_px) == pytest.approx((-line, -sample), abs=1e-6)


def test_between_agreement_and_contradiction_there_is_a_warning() -> None:
    near = replace(RPC, line_off=RPC.line_off + 0.27)
    (warning,) = check_model(RPC, shape=SHAPE, direct=near)
    assert "0.27 px" in warning
    assert refused(RPC, direct=replace(RPC, line_off=RPC.line_off + 7.3)).kind == "rpc.contradiction"
    # A whole pixel here and none there is no other origin of counting.
    assert refused(RPC, direct=replace(RPC, line_scale=RPC.line_scale * 1.01)).kind == "rpc.contradiction"
    assert refused(RPC, direct=replace(RPC, lon_off=RPC.lon_off + 3.0)).kind == "rpc.contradiction"
    assert check_model(RPC, shape=SHAPE, direct=replace(RPC, line_off=RPC.line_off + 0.05)) == ()


def test_the_corner_that_is_far_is_named() -> None:
    corners = list(corners_of(RPC, SHAPE))
    corners[2] = replace(corners[2], lat=corners[2].lat + 0.05)
    refusal = refused(RPC, corners=tuple(corners))
    assert refusal.kind == "rpc.inconsistent"
    assert "5.5 km" in refusal.message
    assert "corner 3" in refusal.message
    assert refusal.where == "RPC_A.XML"


def test_exchanged_axes_are_called_that() -> None:
    refusal = refused(with_axes_exchanged(RPC), corners=corners_of(RPC, SHAPE))
    assert "only with the two exchanged" in refusal.message
    # At 100 degrees east the exchanged latitude is none: still the true reason.
    rpc = tilted_rpc(SHAPE, lon=105.0)
    assert refused(with_axes_exchanged(rpc), corners=corners_of(rpc, SHAPE)).kind == "rpc.swapped_axes"
    assert refused(with_axes_exchanged(rpc)).kind == "rpc.bounds"


def test_corners_in_another_order_are_a_warning() -> None:
    rpc = tilted_rpc(SHAPE, gsd_m=20.0)
    corners = corners_of(rpc, SHAPE)
    mirrored = tuple(
        replace(corner, line=SHAPE[0] - corner.line, sample=SHAPE[1] - corner.sample) for corner in corners
    )
    (warning,) = check_model(rpc, shape=SHAPE, corners=mirrored)
    assert "mirrored" in warning


def test_the_antimeridian_is_no_distance() -> None:
    for lon in (179.99, -179.99, 180.0):
        rpc = tilted_rpc(SHAPE, lon=lon)
        corners = corners_of(rpc, SHAPE)
        assert check_model(rpc, shape=SHAPE, corners=corners) == ()
        far = tuple(replace(corner, lon=(corner.lon + 181.0) % 360.0 - 180.0) for corner in corners)
        assert refused(rpc, corners=far).kind == "rpc.inconsistent"


def test_a_domain_counted_from_elsewhere_is_a_warning() -> None:
    from_zero = Domain(line=(-1.0, SHAPE[0] - 1.0), sample=(-1.0, SHAPE[1] - 1.0))
    (warning,) = check_model(RPC, shape=SHAPE, domain=from_zero)
    assert "0 to N-1" in warning
    wide = Domain(line=(-28.0, SHAPE[0] + 40.0), sample=(-800.0, SHAPE[1] + 900.0))
    assert check_model(RPC, shape=SHAPE, domain=wide) == ()


def test_an_image_of_another_size_is_told() -> None:
    whole = tilted_rpc((1600, 1200), gsd_m=2.0)
    (warning,) = check_model(whole, shape=(400, 300))
    assert "upper left part" in warning
    # The pan image with the multispectral RPC: its middle is far outside what that RPC describes.
    assert refused(RPC, shape=(1600, 1200)).kind == "rpc.bounds"
    level = tilted_rpc(SHAPE, tilt_deg=0.0, heading_deg=0.0)
    (warning,) = check_model(level, shape=(480, 300))
    assert "1.3 times as far" in warning
    (warning,) = check_model(level, shape=(420, 300), domain=Domain(line=(0.0, 400.0), sample=(0.0, 300.0)))
    assert "20 px beyond" in warning
    assert refused(level, domain=Domain(line=(0.0, 90.0), sample=(0.0, 300.0))).kind == "rpc.bounds"
    assert refused(RPC, shape=(0, 300)).kind == "rpc.bounds"


def test_terrain_out_of_the_models_heights() -> None:
    low, high = RPC.height_off - RPC.height_scale, RPC.height_off + RPC.height_scale
    assert check_heights(RPC, (low, high)) == ()
    (warning,) = check_heights(RPC, (low - 0.3 * RPC.height_scale, high))
    assert "extrapolates" in warning
    with pytest.raises(BadInput) as refusal:
        check_heights(Refined(model=RPC), (RPC.height_off, RPC.height_off + 11 * RPC.height_scale))
    assert refusal.value.kind == "dem.heights"
