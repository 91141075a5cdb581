"""Compiled resampling of a tile: a fast path in float32 for whole kernels, a careful one for all else.

The fast path sums a kernel's taps column by column, in one order for every band, so that a band's values do not depend
on which others come along. Where a tap has no value its result is NaN, and the careful path is taken for that point:
which path a point takes depends on its own taps alone, never on how the output is cut.
"""

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
def taps_at(position: float, taps: int, size: int, weights: Array) -> tuple[int, int, int]:
    """First tap's pixel, and the range of taps that lie in the image, for one axis; fills the weights."""
    if taps == 1:
        first = int(np.floor(position))
        weights[0] = 1.0
    else:
        centred = position - 0.5
        first = int(np.floor(centred)) - (taps // 2 - 1)
        for tap in range(taps):
            weights[tap] = kernel_weight(centred - (first + tap), taps)
    return first, max(0, -first), min(taps, size - first)


@njit(nogil=True, cache=True)
def _wide_taps_at(position: float, taps: int, scale: float, size: int, weights: Array) -> tuple[int, int]:
    """First pixel and number of taps of a kernel widened by ``scale``, within the image; fills the weights."""
    reach = 0.5 * taps * scale
    first = max(int(np.ceil(position - 0.5 - reach)), 0)
    last = min(int(np.floor(position - 0.5 + reach)), size - 1)
    for tap in range(last - first + 1):
        weights[tap] = kernel_weight((position - 0.5 - (first + tap)) / scale, taps)
    return first, last - first + 1


@njit(nogil=True, cache=True)
def _full_weight(position: float, taps: int, scale: float) -> float:
    """Sum of a widened kernel's weights, were the image endless."""
    reach = 0.5 * taps * scale
    total: float = 0.0
    for pixel in range(int(np.ceil(position - 0.5 - reach)), int(np.floor(position - 0.5 + reach)) + 1):
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
def _lanczos(fraction: float, weights: Pixels, point: int) -> None:
    """Lanczos3 weights with three sines instead of twelve: sin(pi (f + k)) is +-sin(pi f).

    They are scaled to a sum of one, as a constant image must stay what it is.
    """
    if fraction < 1e-9:
        for tap in range(6):
            weights[tap, point] = np.float32(tap == 2)
        return
    sine = np.sin(np.pi * fraction)
    third = np.sin(np.pi * fraction / 3.0)
    cothird = np.cos(np.pi * fraction / 3.0)
    half_root = 0.8660254037844386  # sin(pi / 3); cos(pi / 3) is a half
    # sin(pi (f + 2 - tap) / 3) for the taps 0 to 5, by the addition theorem.
    slow = (
        half_root * cothird - 0.5 * third,
        half_root * cothird + 0.5 * third,
        third,
        0.5 * third - half_root * cothird,
        -0.5 * third - half_root * cothird,
        -third,
    )
    total = 0.0
    sign = 1.0
    for tap in range(6):
        distance = fraction + 2.0 - tap
        total += sign * sine * slow[tap] / (distance * distance)
        sign = -sign
    sign = 1.0
    for tap in range(6):
        distance = fraction + 2.0 - tap
        weights[tap, point] = np.float32(sign * sine * slow[tap] / (distance * distance) / total)
        sign = -sign


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
def _whole_kernel(
    flat: Pixels,
    base: int,
    row: int,
    bands: int,
    down: Pixels,
    across: Pixels,
    point: int,
    taps: int,
    result: Pixels,
    at: int,
) -> bool:
    """All bands of a point whose taps all lie in the source; False where one of them has no value."""
    step = uint64(bands)
    first = uint64(base)
    stride = uint64(row)
    band = 0
    sound = True
    while band + 4 <= bands:
        if taps == 4:
            v0, v1, v2, v3 = _four_bands(flat, first, stride, step, down, across, point, 4)
        elif taps == 2:
            v0, v1, v2, v3 = _four_bands(flat, first, stride, step, down, across, point, 2)
        else:
            v0, v1, v2, v3 = _four_bands(flat, first, stride, step, down, across, point, 6)
        result[band, at] = v0
        result[band + 1, at] = v1
        result[band + 2, at] = v2
        result[band + 3, at] = v3
        sound &= not np.isnan(v0 + v1 + v2 + v3)
        first += uint64(4)
        band += 4
    while band < bands:
        if taps == 4:
            value = _one_band(flat, first, stride, step, down, across, point, 4)
        elif taps == 2:
            value = _one_band(flat, first, stride, step, down, across, point, 2)
        else:
            value = _one_band(flat, first, stride, step, down, across, point, 6)
        result[band, at] = value
        sound &= not np.isnan(value)
        first += uint64(1)
        band += 1
    return sound


@njit(nogil=True, cache=True)
def _careful(
    source: Pixels,
    top: int,
    left: int,
    rows: int,
    cols: int,
    down: Array,
    across: Array,
    near: tuple[int, int],
    least: float,
    result: Pixels,
    at: int,
) -> None:
    """All bands of one point in float64, taps without a value left out."""
    for band in range(source.shape[2]):
        nearest = source[near[0], near[1], band]
        if np.isnan(nearest):
            result[band, at] = nearest
            continue
        total = 0.0
        weight = 0.0
        for row in range(rows):
            for col in range(cols):
                value = source[top + row, left + col, band]
                if not np.isnan(value):
                    share = down[row] * across[col]
                    total += share * value
                    weight += share
        result[band, at] = total / weight if weight >= least else nearest


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
    wide = taps > 1 and max(scale[0], scale[1]) > 1.0
    size = 6 if not wide else int(np.ceil(taps * max(scale[0], scale[1]))) + 2
    down, across = np.empty(size), np.empty(size)
    rows = np.empty(_CHUNK, dtype=np.int64)
    cols = np.empty(_CHUNK, dtype=np.int64)
    down_all = np.empty((6, _CHUNK), dtype=np.float32)
    across_all = np.empty((6, _CHUNK), dtype=np.float32)
    fast = taps > 1 and not wide
    missed = 0
    for start in range(0, line.size, _CHUNK):
        stop = min(start + _CHUNK, line.size)
        if fast:
            _prepare(line[start:stop], origin[0], taps, rows, down_all)
            _prepare(sample[start:stop], origin[1], taps, cols, across_all)
        for at in range(start, stop):
            point = at - start
            at_line = line[at]
            at_sample = sample[at]
            if not (0.0 <= at_line < image[0] and 0.0 <= at_sample < image[1]):
                result[:, at] = np.nan
                continue
            near = (int(at_line) - origin[0], int(at_sample) - origin[1])
            if taps == 1:
                if 0 <= near[0] < lines and 0 <= near[1] < samples:
                    result[:, at] = source[near[0], near[1]]
                else:
                    missed += 1
                    result[:, at] = np.nan
                continue
            if (
                fast
                and rows[point] >= 0
                and cols[point] >= 0
                and rows[point] + taps <= lines
                and cols[point] + taps <= samples
            ):
                base = (rows[point] * samples + cols[point]) * bands
                if _whole_kernel(flat, base, samples * bands, bands, down_all, across_all, point, taps, result, at):
                    continue
            least = LEAST_WEIGHT
            if wide:
                top, high = _wide_taps_at(at_line, taps, max(scale[0], 1.0), image[0], down)
                left, broad = _wide_taps_at(at_sample, taps, max(scale[1], 1.0), image[1], across)
                least *= _full_weight(at_line, taps, max(scale[0], 1.0))
                least *= _full_weight(at_sample, taps, max(scale[1], 1.0))
            else:
                top, row0, row1 = taps_at(at_line, taps, image[0], down)
                left, col0, col1 = taps_at(at_sample, taps, image[1], across)
                high, broad = row1 - row0, col1 - col0
                top += row0
                left += col0
                down[:high] = down[row0:row1].copy()
                across[:broad] = across[col0:col1].copy()
            top -= origin[0]
            left -= origin[1]
            if top < 0 or left < 0 or top + high > lines or left + broad > samples:
                missed += 1
                result[:, at] = np.nan
                continue
            _careful(source, top, left, high, broad, down, across, near, least, result, at)
    return missed
