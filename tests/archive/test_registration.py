"""Bands moved by known amounts: what is measured on the archived product, and when nothing is claimed."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from processing.archive.write import publish_product
from processing.model.qa import Qa
from processing.model.quality import MISREGISTERED
from tests.archive import synthetic

NAMES = ("blue", "green", "red", "nir")


def texture(shape: tuple[int, int], seed: int, finest_px: float = 3.0) -> np.ndarray:
    """Ground with detail of every size above the finest, periodic so that it can be moved by any amount exactly."""
    spectrum = np.fft.fft2(np.random.default_rng(seed).normal(size=shape))
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1])[None, :])
    ground = np.fft.ifft2(spectrum * np.exp(-((frequency * finest_px) ** 2)) / (frequency + 0.01) ** 1.5).real
    return 0.2 + 0.03 * ground / ground.std()


def moved(ground: np.ndarray, down: float, right: float) -> np.ndarray:
    """The ground, shown ``down`` rows and ``right`` columns farther on: by the Fourier shift theorem."""
    rows, columns = (np.fft.fftfreq(size) for size in ground.shape)
    turn = np.exp(-2j * np.pi * (rows[:, None] * down + columns[None, :] * right))
    return np.fft.ifft2(np.fft.fft2(ground) * turn).real


def published(home: Path, images: list[Any], names: tuple[str, ...], **draft: Any) -> dict[str, Any]:
    """The quality report of a product of these images."""
    product = publish_product(home, synthetic.draft(names, **draft), images)
    report = next(file for file in product.files if file.key == "quality")
    return json.loads((home / report.href).read_text(encoding="utf-8"))


def pairs_of(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {pair["band"]: pair for pair in report["registration"]["pairs"]}


SHIFTS = {"blue": (0.37, -0.62), "green": (0.0, 0.0), "red": (-0.11, 0.05), "nir": (1.83, 2.41)}


def test_the_same_ground_moved_by_known_amounts(tmp_path: Path) -> None:
    ground = texture((800, 900), 1)
    random = np.random.default_rng(2)
    pixels = np.stack([moved(ground, *SHIFTS[name]) + random.normal(0, 0.0005, ground.shape) for name in NAMES])
    pixels[:, :60] = np.nan
    image = synthetic.image(pixels.astype(np.float32), synthetic.geobox((800, 900)), NAMES)
    report = published(tmp_path, [image], NAMES, registration_limit_px=0.5)
    pairs = pairs_of(report)
    assert list(pairs) == ["blue", "red", "nir"]
    for name, pair in pairs.items():
        assert pair["reference"] == "green"
        assert pair["agreeing"] >= 9
        assert (pair["down_px"], pair["right_px"]) == pytest.approx(SHIFTS[name], abs=0.02)
        assert pair["offset_m"] == pytest.approx(4.0 * np.hypot(*SHIFTS[name]), abs=0.1)
    (warning,) = [warning for warning in report["warnings"] if warning.startswith(MISREGISTERED)]
    assert re.search(r"bands lie 3\.0[0-5] px apart", warning)


def test_panchromatic_against_the_mean_of_what_it_covers(tmp_path: Path) -> None:
    """Four panchromatic pixels along a multispectral one; the panchromatic image moved by 1.5 and -2.6 of its own."""
    fine = texture((1600, 1600), 3, finest_px=10.0)
    ms = [moved(fine, 0, 0).reshape(400, 4, 400, 4).mean(axis=(1, 3)) * factor for factor in (0.8, 1.0, 1.2, 1.7)]
    pan = moved(fine, 1.5, -2.6)
    images = [
        synthetic.image(np.stack(ms).astype(np.float32), synthetic.geobox((400, 400)), NAMES),
        synthetic.image(pan[None].astype(np.float32), synthetic.geobox((1600, 1600), 1.0), ("pan",), group="pan"),
    ]
    pairs = pairs_of(published(tmp_path, images, (*NAMES, "pan")))
    assert pairs["pan"]["reference"] != "green"
    assert (pairs["pan"]["down_px"], pairs["pan"]["right_px"]) == pytest.approx((0.375, -0.65), abs=0.02)
    assert pairs["nir"]["offset_px"] <= 0.01


@pytest.mark.realdata
@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.37, -0.62)])
def test_real_bands(realdata: Path, tmp_path: Path, shift: tuple[float, float]) -> None:
    """Four Sentinel-2 bands of a clear day, which lie on each other: all but green moved by a known amount."""
    folder = realdata / "mapchete-eo-s2l2a/full_products/sentinel-2-l2a/S2A_33TWL_20230815_0_L2A"
    pixels = []
    for name, number in zip(NAMES, ("B02", "B03", "B04", "B08"), strict=True):
        with rasterio.open(folder / f"{number}.tif") as dataset:
            band = dataset.read(1) * 1e-4
        pixels.append(band if name == "green" else moved(band, *shift))
    image = synthetic.image(np.stack(pixels).astype(np.float32), synthetic.geobox((915, 915), 120.0), NAMES)
    for pair in pairs_of(published(tmp_path, [image], NAMES)).values():
        assert (pair["down_px"], pair["right_px"]) == pytest.approx(shift, abs=0.1)


def test_without_texture_nothing_is_claimed(tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    pixels = 0.2 + random.normal(0, 0.002, (4, 700, 700))
    image = synthetic.image(pixels.astype(np.float32), synthetic.geobox((700, 700)), NAMES)
    report = published(tmp_path, [image], NAMES, registration_limit_px=0.5)
    for pair in pairs_of(report).values():
        assert "offset_px" not in pair
        assert "agree" in pair["not_measurable"] or "scatter" in pair["not_measurable"]
    assert not [warning for warning in report["warnings"] if warning.startswith(MISREGISTERED)]


def test_under_clouds_nothing_is_compared(tmp_path: Path) -> None:
    ground = texture((700, 700), 5)
    pixels = np.stack([moved(ground, *SHIFTS[name]) for name in NAMES]).astype(np.float32)
    flags = np.zeros((700, 700), np.uint16)
    flags[:, 200:] = Qa.CLOUD
    image = synthetic.image(pixels, synthetic.geobox((700, 700)), NAMES, qa=flags)
    for pair in pairs_of(published(tmp_path, [image], NAMES)).values():
        assert pair["windows"] < 5
        assert "not_measurable" in pair


def test_small_products_and_single_bands_say_nothing_or_why(tmp_path: Path) -> None:
    tiny = texture((90, 100), 6)
    image = synthetic.image(np.stack([tiny] * 4).astype(np.float32), synthetic.geobox((90, 100)), NAMES)
    report = published(tmp_path / "a", [image], NAMES)
    assert all(pair["windows"] == 0 and "not_measurable" in pair for pair in pairs_of(report).values())
    one = synthetic.image(tiny[None].astype(np.float32), synthetic.geobox((90, 100)), ("pan",), group="pan")
    assert "registration" not in published(tmp_path / "b", [one], ("pan",), visual=("pan",))
