"""The compiled resampler equals the plain formula, everywhere and for any hole in the image."""

import numpy as np
import numpy.typing as npt
import pytest

from processing.geometry.resample import Resampling, any_tap, resample, resample_reference

SHAPE = (40, 50)


def positions(count: int = 3000) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Random positions, some outside, some exactly on centres, edges and corners."""
    random = np.random.default_rng(11)
    line, sample = random.uniform(-3, SHAPE[0] + 3, count), random.uniform(-3, SHAPE[1] + 3, count)
    line[:200] = np.round(line[:200] * 2) / 2
    sample[100:300] = np.round(sample[100:300] * 2) / 2
    line[300:310] = np.nan
    return line, sample


def image(holes: float) -> npt.NDArray[np.float32]:
    random = np.random.default_rng(12)
    pixels = random.normal(100, 30, (3, *SHAPE)).astype(np.float32)
    pixels[random.random(pixels.shape) < holes] = np.nan
    pixels[:, :, 30:34] = np.nan if holes else pixels[:, :, 30:34]
    return pixels


def run(
    pixels: npt.NDArray[np.float32],
    line: npt.NDArray[np.float64],
    sample: npt.NDArray[np.float64],
    resampling: Resampling,
) -> npt.NDArray[np.float32]:
    result = np.empty((len(pixels), line.size), dtype=np.float32)
    assert resample(pixels, (0, 0), SHAPE, line, sample, resampling.taps, result) == 0
    return result


@pytest.mark.parametrize("resampling", Resampling)
@pytest.mark.parametrize("holes", [0.0, 0.02, 0.4])
def test_the_kernel_is_the_formula(resampling: Resampling, holes: float) -> None:
    line, sample = positions()
    pixels = image(holes)
    got, expected = run(pixels, line, sample, resampling), resample_reference(pixels, line, sample, resampling)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
    np.testing.assert_allclose(got, expected, rtol=2e-5, atol=2e-4)


@pytest.mark.parametrize("resampling", Resampling)
def test_a_pixel_is_valid_where_the_source_pixel_under_it_is(resampling: Resampling) -> None:
    line, sample = positions()
    pixels = image(0.3)
    got = run(pixels, line, sample, resampling)
    inside = (line >= 0) & (line < SHAPE[0]) & (sample >= 0) & (sample < SHAPE[1])
    expected = np.zeros((3, line.size), dtype=bool)
    expected[:, inside] = np.isfinite(pixels[:, line[inside].astype(int), sample[inside].astype(int)])
    np.testing.assert_array_equal(np.isfinite(got), expected)


@pytest.mark.parametrize(
    ("resampling", "degree"), [(Resampling.BILINEAR, 1), (Resampling.CUBIC, 2), (Resampling.LANCZOS, 0)]
)
def test_polynomials_that_a_kernel_repeats(resampling: Resampling, degree: int) -> None:
    y, x = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]] + 0.5
    pixels = np.stack([1 + 0 * x, 2 * x - y if degree > 0 else 1 + 0 * x, x * y + x**2 if degree > 1 else 1 + 0 * x])
    random = np.random.default_rng(2)
    line, sample = random.uniform(4, SHAPE[0] - 4, 500), random.uniform(4, SHAPE[1] - 4, 500)
    got = run(pixels.astype(np.float32), line, sample, resampling)
    one = np.ones_like(line)
    truth = [one, 2 * sample - line if degree > 0 else one, sample * line + sample**2 if degree > 1 else one]
    np.testing.assert_allclose(got, np.stack(truth), rtol=1e-5)


@pytest.mark.parametrize("resampling", Resampling)
def test_pixel_centres_give_the_pixels_back(resampling: Resampling) -> None:
    y, x = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]] + 0.5
    pixels = image(0.0)
    got = run(pixels, y.ravel(), x.ravel(), resampling).reshape(pixels.shape)
    np.testing.assert_allclose(got, pixels, rtol=1e-6)


@pytest.mark.parametrize("resampling", Resampling)
def test_a_part_gives_what_the_whole_gives_and_says_what_it_lacks(resampling: Resampling) -> None:
    random = np.random.default_rng(4)
    line, sample = random.uniform(12, 20, 400), random.uniform(15, 28, 400)
    pixels = image(0.1)
    whole = run(pixels, line, sample, resampling)
    part = np.empty_like(whole)
    window = np.ascontiguousarray(pixels[:, 8:24, 11:32])
    assert resample(window, (8, 11), SHAPE, line, sample, resampling.taps, part) == 0
    assert part.tobytes() == whole.tobytes()
    tight = np.ascontiguousarray(pixels[:, 14:18, 20:24])
    assert resample(tight, (14, 20), SHAPE, line, sample, resampling.taps, part) > 0


@pytest.mark.parametrize("resampling", Resampling)
def test_saturation_spreads_to_every_pixel_it_went_into(resampling: Resampling) -> None:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[20, 25] = True
    line, sample = (axis.ravel() for axis in np.mgrid[10:30:0.25, 15:35:0.25] + 0.125)
    flagged = np.empty(line.size, dtype=bool)
    any_tap(mask, (0, 0), SHAPE, line, sample, resampling.taps, (1.0, 1.0), flagged)
    reach = max(resampling.taps / 2, 0.5)
    expected = (np.abs(line - 20.5) < reach) & (np.abs(sample - 25.5) < reach)
    np.testing.assert_array_equal(flagged, expected)
