"""Resampling: the weights, the compiled kernel, and the plain numpy formula it must equal.

A pixel holds a value if and only if the source pixel that its position falls in does. Taps outside the image or
without a value are left out, and the weights of the rest are scaled up. All arithmetic is float64.
"""

from enum import StrEnum

import numpy as np
import numpy.typing as npt
from numba import njit

Array = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

LEAST_WEIGHT = 0.2
"""With less than this share of the weights left (only at jagged edges of nodata) the negative lobes dominate and
would shout: the nearest pixel's value is taken. A straight edge leaves 0.5, a corner 0.25."""


class Resampling(StrEnum):
    """How source pixels make an output pixel."""

    NEAREST = "nearest"
    BILINEAR = "bilinear"
    CUBIC = "cubic"
    """Keys (1981), a = -0.5: exact for quadratics."""
    LANCZOS = "lanczos"
    """Lanczos3."""

    @property
    def taps(self) -> int:
        """Source pixels a side that go into one output pixel."""
        return {"nearest": 1, "bilinear": 2, "cubic": 4, "lanczos": 6}[self.value]


@njit(nogil=True, cache=True)
def _fill_weights(taps: int, fraction: float, weights: Array) -> None:
    """Weights of the taps around a position ``fraction`` of a pixel beyond the centre of tap ``taps // 2 - 1``."""
    if taps == 1:
        weights[0] = 1.0
    elif taps == 2:
        weights[0] = 1.0 - fraction
        weights[1] = fraction
    elif taps == 4:
        for tap in range(4):
            t = abs(fraction + 1.0 - tap)
            if t <= 1.0:
                weights[tap] = (1.5 * t - 2.5) * t * t + 1.0
            else:
                weights[tap] = ((-0.5 * t + 2.5) * t - 4.0) * t + 2.0
    else:
        for tap in range(6):
            t = abs(fraction + 2.0 - tap)
            if t < 1e-9:
                weights[tap] = 1.0
            elif t >= 3.0:
                weights[tap] = 0.0
            else:
                weights[tap] = 3.0 * np.sin(np.pi * t) * np.sin(np.pi * t / 3.0) / (np.pi * np.pi * t * t)


@njit(nogil=True, cache=True)
def _taps_at(position: float, taps: int, size: int, weights: Array) -> tuple[int, int, int]:
    """First tap's pixel, and the range of taps that lie in the image, for one axis; fills the weights."""
    if taps == 1:
        first = int(np.floor(position))
        weights[0] = 1.0
    else:
        centred = position - 0.5
        whole = np.floor(centred)
        first = int(whole) - (taps // 2 - 1)
        _fill_weights(taps, centred - whole, weights)
    return first, max(0, -first), min(taps, size - first)


@njit(nogil=True, cache=True)
def resample(
    source: Pixels,
    origin: tuple[int, int],
    image: tuple[int, int],
    line: Array,
    sample: Array,
    taps: int,
    result: Pixels,
) -> int:
    """Fill ``result`` (bands, points) from the part of an image that was read.

    Parameters
    ----------
    source
        ``(band, line, sample)``, NaN where no value.
    origin
        Line and sample of its first pixel in the image.
    image
        Lines and samples of the whole image.
    line, sample
        Positions in the whole image, flat; NaN for none.
    taps
        As :attr:`Resampling.taps`.
    result
        Written; NaN where no value.

    Returns
    -------
    int
        Points of which a tap lies in the image but not in ``source``: not zero means the plan is wrong.
    """
    bands, lines, samples = source.shape
    row_weights = np.empty(taps)
    col_weights = np.empty(taps)
    missed = 0
    for point in range(line.size):
        at_line = line[point]
        at_sample = sample[point]
        if not (0.0 <= at_line < image[0] and 0.0 <= at_sample < image[1]):
            result[:, point] = np.nan
            continue
        top, row0, row1 = _taps_at(at_line, taps, image[0], row_weights)
        left, col0, col1 = _taps_at(at_sample, taps, image[1], col_weights)
        top -= origin[0]
        left -= origin[1]
        if top + row0 < 0 or top + row1 > lines or left + col0 < 0 or left + col1 > samples:
            missed += 1
            result[:, point] = np.nan
            continue
        near_line = int(at_line) - origin[0]
        near_sample = int(at_sample) - origin[1]
        for band in range(bands):
            nearest = source[band, near_line, near_sample]
            if np.isnan(nearest) or taps == 1:
                result[band, point] = nearest
                continue
            total = 0.0
            weight = 0.0
            for row in range(row0, row1):
                for col in range(col0, col1):
                    value = source[band, top + row, left + col]
                    if not np.isnan(value):
                        share = row_weights[row] * col_weights[col]
                        total += share * value
                        weight += share
            result[band, point] = total / weight if weight >= LEAST_WEIGHT else nearest
    return missed


@njit(nogil=True, cache=True)
def any_tap(
    mask: Mask,
    origin: tuple[int, int],
    image: tuple[int, int],
    line: Array,
    sample: Array,
    taps: int,
    result: Mask,
) -> None:
    """Fill ``result`` (points): whether any tap in the image lies on a true pixel of a mask, read as ``source`` is."""
    weights = np.empty(taps)
    for point in range(line.size):
        result[point] = False
        if not (0.0 <= line[point] < image[0] and 0.0 <= sample[point] < image[1]):
            continue
        top, row0, row1 = _taps_at(line[point], taps, image[0], weights)
        left, col0, col1 = _taps_at(sample[point], taps, image[1], weights)
        for row in range(max(top + row0 - origin[0], 0), min(top + row1 - origin[0], mask.shape[0])):
            for col in range(max(left + col0 - origin[1], 0), min(left + col1 - origin[1], mask.shape[1])):
                result[point] |= mask[row, col]


def resample_reference(source: Pixels, line: Array, sample: Array, resampling: Resampling) -> Pixels:
    """The same from a whole image in plain numpy: the oracle of :func:`resample`, slow and short."""
    bands, lines, samples = source.shape
    result = np.full((bands, line.size), np.nan)
    inside = (line >= 0) & (line < lines) & (sample >= 0) & (sample < samples)
    row, col = np.floor(line[inside]).astype(int), np.floor(sample[inside]).astype(int)
    nearest = source[:, row, col].astype(np.float64)
    total, weight = np.zeros_like(nearest), np.zeros_like(nearest)
    for down in range(-3, 4):
        for right in range(-3, 4):
            y, x = row + down, col + right
            share = _kernel(line[inside] - 0.5 - y, resampling) * _kernel(sample[inside] - 0.5 - x, resampling)
            present = (y >= 0) & (y < lines) & (x >= 0) & (x < samples)
            value = source[:, np.clip(y, 0, lines - 1), np.clip(x, 0, samples - 1)].astype(np.float64)
            known = present & ~np.isnan(value)
            total += np.where(known, share * np.nan_to_num(value), 0.0)
            weight += np.where(known, share, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.where(weight >= LEAST_WEIGHT, total / weight, nearest)
    value = nearest if resampling is Resampling.NEAREST else value
    result[:, inside] = np.where(np.isnan(nearest), np.nan, value)
    return result.astype(np.float32)


def _kernel(distance: Array, resampling: Resampling) -> Array:
    """The interpolation kernel as the literature prints it."""
    t = np.abs(distance)
    if resampling is Resampling.BILINEAR:
        return np.maximum(1.0 - t, 0.0)
    if resampling is Resampling.CUBIC:
        inner = 1.5 * t**3 - 2.5 * t**2 + 1.0
        outer = -0.5 * t**3 + 2.5 * t**2 - 4.0 * t + 2.0
        return np.where(t <= 1.0, inner, np.where(t < 2.0, outer, 0.0))
    if resampling is Resampling.LANCZOS:
        return np.where(t < 3.0, np.sinc(t) * np.sinc(t / 3.0), 0.0)
    return np.zeros_like(t)
