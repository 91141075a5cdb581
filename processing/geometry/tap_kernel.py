"""Compiled resampling of a tile: a fast path in float32 for whole kernels, a careful one for all else.

The fast path sums a kernel's taps column by column, in one order for every band, so that a band's values do not depend
on which others come along. Where a tap has no value its result is NaN, and the careful path is taken for that point:
which path a point takes depends on its own taps alone, never on how the output is cut.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit, uint64

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


@njit(nogil=True, cache=True)
def kernel_weight(distance: float, taps: int) -> float:
    """Weight of a tap at a distance from the position, by the number of taps: 2 bilinear, 4 Keys, 6 Lanczos3."""
    t = abs(distance)
    if taps == 2:
        return max(1.0 - t, 0.0)
    if taps == 4:
        if t <= 1.0:
            return (1.5 * t - 2.5) * t * t + 1.0
        return ((-0.5 * t + 2.5) * t - 4.0) * t + 2.0 if t < 2.0 else 0.0
    if t < 1e-9:
        return 1.0
    return 3.0 * np.sin(np.pi * t) * np.sin(np.pi * t / 3.0) / (np.pi * np.pi * t * t) if t < 3.0 else 0.0


@njit(nogil=True, cache=True)
def _taps_at(position: float, taps: int, scale: float, size: int, weights: Array) -> tuple[int, int]:
    """First pixel and number of taps of a kernel widened by ``scale``, within the image; fills the weights."""
    reach = 0.5 * taps * scale
    first = max(int(np.floor(position - 0.5 - reach)) + 1, 0)
    last = min(int(np.floor(position - 0.5 + reach)), size - 1)
    for tap in range(last - first + 1):
        weights[tap] = kernel_weight((position - 0.5 - (first + tap)) / scale, taps)
    return first, last - first + 1


@njit(nogil=True, cache=True)
def _full_weight(position: float, taps: int, scale: float) -> float:
    """Sum of a widened kernel's weights, were the image endless."""
    reach = 0.5 * taps * scale
    total: float = 0.0
    for pixel in range(int(np.floor(position - 0.5 - reach)) + 1, int(np.floor(position - 0.5 + reach)) + 1):
        total += kernel_weight((position - 0.5 - pixel) / scale, taps)
    return total


@njit(nogil=True, cache=True)
def _prepare(positions: Array, origin: int, taps: int, first: Whole, weights: Pixels) -> None:
    """First tap's pixel in the source, and the weights, of each position along one axis."""
    half = taps // 2 - 1
    for point in range(positions.size):
        centred = positions[point] - 0.5
        whole = np.floor(centred)
        first[point] = np.int64(whole) - half - origin
        fraction = np.float32(centred - whole)
        if taps == 2:
            weights[0, point] = np.float32(1.0) - fraction
            weights[1, point] = fraction
        elif taps == 4:
            weights[0, point] = (
                (np.float32(-0.5) * fraction + np.float32(1.0)) * fraction - np.float32(0.5)
            ) * fraction
            weights[1, point] = (np.float32(1.5) * fraction - np.float32(2.5)) * fraction * fraction + np.float32(1.0)
            weights[2, point] = (
                (np.float32(-1.5) * fraction + np.float32(2.0)) * fraction + np.float32(0.5)
            ) * fraction
            weights[3, point] = (np.float32(0.5) * fraction - np.float32(0.5)) * fraction * fraction
        else:
            _lanczos(centred - whole, weights, point)


@njit(nogil=True, cache=True)
def _cosine(x: float) -> float:
    """Cosine of up to half pi, to 1e-10: what single-precision weights need, at a tenth of the library's time."""
    y = x * x
    series: float = 1.0 + y * (-1 / 2 + y * (1 / 24 + y * (-1 / 720 + y * (1 / 40320 + y * (-1 / 3628800 + y * (
        1 / 479001600 - y / 87178291200))))))  # fmt: skip
    return series


@njit(nogil=True, cache=True)
def _sine(x: float) -> float:
    """Sine of up to half pi, to 1e-10."""
    y = x * x
    series: float = 1.0 + y * (-1 / 6 + y * (1 / 120 + y * (-1 / 5040 + y * (1 / 362880 + y * (-1 / 39916800 + y * (
        1 / 6227020800 - y / 1307674368000))))))  # fmt: skip
    return x * series


@njit(nogil=True, cache=True)
def _lanczos(fraction: float, weights: Pixels, point: int) -> None:
    """Lanczos3 weights with three sines instead of twelve: sin(pi (f + k)) is +-sin(pi f).

    They are scaled to a sum of one, as a constant image must stay what it is.
    """
    if fraction < 1e-9:
        for tap in range(6):
            weights[tap, point] = np.float32(tap == 2)
        return
    sine = _cosine(np.pi * (fraction - 0.5))
    third = _sine(np.pi * fraction / 3.0)
    cothird = _cosine(np.pi * fraction / 3.0)
    half_root = 0.8660254037844386  # sin(pi / 3); cos(pi / 3) is a half
    # sin(pi (f + 2 - tap)) sin(pi (f + 2 - tap) / 3) by the addition theorem, over the distance squared.
    ahead = half_root * cothird
    w0 = sine * (ahead - 0.5 * third) / ((fraction + 2.0) * (fraction + 2.0))
    w1 = -sine * (ahead + 0.5 * third) / ((fraction + 1.0) * (fraction + 1.0))
    w2 = sine * third / (fraction * fraction)
    w3 = -sine * (0.5 * third - ahead) / ((fraction - 1.0) * (fraction - 1.0))
    w4 = sine * (-0.5 * third - ahead) / ((fraction - 2.0) * (fraction - 2.0))
    w5 = sine * third / ((fraction - 3.0) * (fraction - 3.0))
    share = 1.0 / (w0 + w1 + w2 + w3 + w4 + w5)
    weights[0, point] = np.float32(w0 * share)
    weights[1, point] = np.float32(w1 * share)
    weights[2, point] = np.float32(w2 * share)
    weights[3, point] = np.float32(w3 * share)
    weights[4, point] = np.float32(w4 * share)
    weights[5, point] = np.float32(w5 * share)


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
    top, rows = _taps_at(line, taps, line_factor, image[0], weights[0])
    left, cols = _taps_at(sample, taps, sample_factor, image[1], weights[1])
    top -= origin[0]
    left -= origin[1]
    if top < 0 or left < 0 or top + rows > source.shape[0] or left + cols > source.shape[1]:
        result[:, at] = np.nan
        return 1
    least = LEAST_WEIGHT * _full_weight(line, taps, line_factor) * _full_weight(sample, taps, sample_factor)
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
            _prepare(lines_at, origin[0], taps, rows, down)
            _prepare(samples_at, origin[1], taps, cols, across)
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
