"""Compiled resampling of a tile: a fast path in float32 for whole kernels, a careful one for all else.

The fast path sums a kernel's taps column by column, in one order for every band, so that a band's values do not depend
on which others come along. Where a tap has no value its result is NaN, and the careful path is taken for that point:
which path a point takes depends on its own taps alone, never on how the output is cut.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit, uint64

from processing.geometry.weight_kernel import fill_weights, full_weight, taps_at

Array = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.float32]
Whole = npt.NDArray[np.int64]

LEAST_WEIGHT = 0.2
"""With less than this share of the weights left (only at jagged edges of nodata) the negative lobes dominate and
would shout: the nearest pixel's value is taken. A straight edge leaves 0.5, a corner 0.25."""
_CHUNK = 256
"""Points whose weights are prepared together: they stay in the nearest cache."""
_ZERO = np.float32(0.0)


class Kernel(NamedTuple):
    """A resampling kernel, and how much it is widened along each axis."""

    taps: int
    line_factor: float
    sample_factor: float


@njit(nogil=True, inline="always")
def _four_bands(flat, base, row, step, down, across, point, taps):  # type: ignore[no-untyped-def]
    """Four neighbouring bands at one point: written out so that the compiler puts them into one vector."""
    a0 = a1 = a2 = a3 = _ZERO
    for col in range(taps):
        s0 = s1 = s2 = s3 = _ZERO
        at = base + uint64(col) * step
        for tap in range(taps):
            weight = down[tap, point]
            s0 += weight * flat[at]
            s1 += weight * flat[at + uint64(1)]
            s2 += weight * flat[at + uint64(2)]
            s3 += weight * flat[at + uint64(3)]
            at += row
        weight = across[col, point]
        a0 += weight * s0
        a1 += weight * s1
        a2 += weight * s2
        a3 += weight * s3
    return a0, a1, a2, a3


@njit(nogil=True, inline="always")
def _one_band(flat, base, row, step, down, across, point, taps):  # type: ignore[no-untyped-def]
    """One band at one point, summed in the same order."""
    total = _ZERO
    for col in range(taps):
        column = _ZERO
        at = base + uint64(col) * step
        for tap in range(taps):
            column += down[tap, point] * flat[at]
            at += row
        total += across[col, point] * column
    return total


@njit(nogil=True, cache=True)
def _whole_kernels(
    flat: Pixels,
    row: int,
    bands: int,
    bases: Whole,
    weights: tuple[Pixels, Pixels],
    taps: int,
    result: Pixels,
) -> None:
    """All bands of the points whose base in the source is not negative, into ``result (bands, points)``.

    Of a point with a tap that has no value, some band becomes NaN.
    """
    down, across = weights
    step = uint64(bands)
    stride = uint64(row)
    for point in range(bases.size):
        if bases[point] < 0:
            continue
        base = uint64(bases[point])
        band = 0
        while band + 4 <= bands:
            if taps == 4:
                v0, v1, v2, v3 = _four_bands(flat, base, stride, step, down, across, point, 4)
            elif taps == 2:
                v0, v1, v2, v3 = _four_bands(flat, base, stride, step, down, across, point, 2)
            else:
                v0, v1, v2, v3 = _four_bands(flat, base, stride, step, down, across, point, 6)
            result[band, point] = v0
            result[band + 1, point] = v1
            result[band + 2, point] = v2
            result[band + 3, point] = v3
            base += uint64(4)
            band += 4
        while band < bands:
            if taps == 4:
                result[band, point] = _one_band(flat, base, stride, step, down, across, point, 4)
            elif taps == 2:
                result[band, point] = _one_band(flat, base, stride, step, down, across, point, 2)
            else:
                result[band, point] = _one_band(flat, base, stride, step, down, across, point, 6)
            base += uint64(1)
            band += 1


@njit(nogil=True, cache=True)
def _careful(
    source: Pixels,
    origin: tuple[int, int],
    image: tuple[int, int],
    position: tuple[float, float],
    kernel: Kernel,
    weights: tuple[Array, Array],
    result: Pixels,
    at: int,
) -> int:
    """All bands of one point in float64, taps without a value left out; 1 if a tap is in the image but not here."""
    line, sample = position
    taps, line_factor, sample_factor = kernel
    top, rows = taps_at(line, taps, line_factor, image[0], weights[0])
    left, cols = taps_at(sample, taps, sample_factor, image[1], weights[1])
    top -= origin[0]
    left -= origin[1]
    if top < 0 or left < 0 or top + rows > source.shape[0] or left + cols > source.shape[1]:
        result[:, at] = np.nan
        return 1
    least = LEAST_WEIGHT * full_weight(line, taps, line_factor) * full_weight(sample, taps, sample_factor)
    for band in range(source.shape[2]):
        nearest = source[int(line) - origin[0], int(sample) - origin[1], band]
        if np.isnan(nearest):
            result[band, at] = nearest
            continue
        total = 0.0
        weight = 0.0
        for row in range(rows):
            for col in range(cols):
                value = source[top + row, left + col, band]
                if not np.isnan(value):
                    share = weights[0][row] * weights[1][col]
                    total += share * value
                    weight += share
        result[band, at] = total / weight if weight >= least else nearest
    return 0


@njit(nogil=True, cache=True)
def resample_tile(
    source: Pixels,
    origin: tuple[int, int],
    image: tuple[int, int],
    line: Array,
    sample: Array,
    taps: int,
    scale: tuple[float, float],
    result: Pixels,
) -> int:
    """Fill ``result`` (bands, points); see :func:`processing.geometry.resample.resample`.

    ``source`` is ``(line, sample, band)``, contiguous: the bands of a pixel lie side by side.
    """
    lines, samples, bands = source.shape
    flat = source.reshape(-1)
    kernel = Kernel(taps, max(scale[0], 1.0), max(scale[1], 1.0))
    widest = max(kernel.line_factor, kernel.sample_factor)
    fast = taps > 1 and widest == 1.0
    size = int(np.ceil(max(taps, 6) * widest)) + 2
    weights = (np.empty(size), np.empty(size))
    bases = np.empty(_CHUNK, dtype=np.int64)
    rows = np.empty(_CHUNK, dtype=np.int64)
    cols = np.empty(_CHUNK, dtype=np.int64)
    down = np.empty((6, _CHUNK), dtype=np.float32)
    across = np.empty((6, _CHUNK), dtype=np.float32)
    missed = 0
    for start in range(0, line.size, _CHUNK):
        # Slices, indexed from zero on: indices that cannot be negative are not looked at twice.
        lines_at, samples_at = line[start : start + _CHUNK], sample[start : start + _CHUNK]
        values = result[:, start : start + _CHUNK]
        count = lines_at.size
        if fast:
            fill_weights(lines_at, origin[0], taps, rows, down)
            fill_weights(samples_at, origin[1], taps, cols, across)
            for point in range(count):
                whole = (
                    0.0 <= lines_at[point] < image[0]
                    and 0.0 <= samples_at[point] < image[1]
                    and 0 <= rows[point] <= lines - taps
                    and 0 <= cols[point] <= samples - taps
                )
                bases[point] = (rows[point] * samples + cols[point]) * bands if whole else -1
            _whole_kernels(flat, samples * bands, bands, bases[:count], (down, across), taps, values)
        else:
            bases[:] = -1
        for point in range(count):
            if bases[point] >= 0:
                total = values[0, point]
                for band in range(1, bands):
                    total += values[band, point]
                if not np.isnan(total):
                    continue
            if not (0.0 <= lines_at[point] < image[0] and 0.0 <= samples_at[point] < image[1]):
                values[:, point] = np.nan
            elif taps == 1:
                row, col = int(lines_at[point]) - origin[0], int(samples_at[point]) - origin[1]
                if 0 <= row < lines and 0 <= col < samples:
                    for band in range(bands):
                        values[band, point] = source[row, col, band]
                else:
                    values[:, point] = np.nan
                    missed += 1
            else:
                position = (lines_at[point], samples_at[point])
                missed += _careful(source, origin, image, position, kernel, weights, values, point)
    return missed
