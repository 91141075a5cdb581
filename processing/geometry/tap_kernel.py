"""Compiled resampling of a tile: a fast path in float32 for whole kernels, a careful one for all else.

The fast path sums a kernel's taps column by column, in one order for every band, so that a band's values do not depend
on which others come along. Where a tap has no value its result is NaN, and the careful path is taken for that point:
which path a point takes depends on its own taps alone, never on how the output is cut.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from processing.geometry.weight_kernel import fill_weights, full_weight, taps_at
from processing.geometry.whole_kernel import whole_kernels

Array = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.float32]
Whole = npt.NDArray[np.int64]

LEAST_WEIGHT = 0.2
"""With less than this share of the weights left (only at jagged edges of nodata) the negative lobes dominate and
would shout: the nearest pixel's value is taken. A straight edge leaves 0.5, a corner 0.25."""
_CHUNK = 256
"""Points whose weights are prepared together: they stay in the nearest cache."""
_ZERO, _NAN = np.float32(0.0), np.float32(np.nan)


class Kernel(NamedTuple):
    """A resampling kernel, and how much it is widened along each axis."""

    taps: int
    line_factor: float
    sample_factor: float


class Room(NamedTuple):
    """Where a few points are prepared."""

    bases: Whole
    """Index of the first tap's first band in the source; negative where the kernel is not whole."""
    first: tuple[Whole, Whole]
    """Line and sample of the first tap."""
    weights: tuple[Pixels, Pixels]
    """Along lines and samples, ``(taps, points)``."""
    side_by_side: Pixels
    """Four bands of each point."""
    doubt: Pixels
    """NaN where the careful path is to be taken."""


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
def _sum_whole(
    source: Pixels,
    origin: tuple[int, int],
    image: tuple[int, int],
    line: Array,
    sample: Array,
    taps: int,
    room: Room,
    values: Pixels,
) -> None:
    """Sum the kernels of a few points that lie in the source as a whole; ``room.doubt`` is NaN at all the others."""
    lines, samples, bands = source.shape
    first_line, first_sample = room.first
    down, across = room.weights
    bases, doubt = room.bases[: line.size], room.doubt[: line.size]
    fill_weights(line, origin[0], taps, first_line, down)
    fill_weights(sample, origin[1], taps, first_sample, across)
    for point in range(bases.size):
        # Not "and": the compiler takes several at a time where nothing depends on what came before.
        whole = (
            (line[point] >= 0.0)
            & (line[point] < image[0])
            & (sample[point] >= 0.0)
            & (sample[point] < image[1])
            & (first_line[point] >= 0)
            & (first_line[point] <= lines - taps)
            & (first_sample[point] >= 0)
            & (first_sample[point] <= samples - taps)
        )
        bases[point] = (first_line[point] * samples + first_sample[point]) * bands if whole else -1
        doubt[point] = _ZERO if whole else _NAN
    whole_kernels(source.reshape(-1), samples * bands, bands, bases, (down, across), taps, room.side_by_side, values)
    for band in range(bands):
        of_band = values[band]
        for point in range(doubt.size):
            doubt[point] += of_band[point]


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
    kernel = Kernel(taps, max(scale[0], 1.0), max(scale[1], 1.0))
    widest = max(kernel.line_factor, kernel.sample_factor)
    fast = taps > 1 and widest == 1.0
    size = int(np.ceil(max(taps, 6) * widest)) + 2
    weights = (np.empty(size), np.empty(size))
    room = Room(
        np.empty(_CHUNK, dtype=np.int64),
        (np.empty(_CHUNK, dtype=np.int64), np.empty(_CHUNK, dtype=np.int64)),
        (np.empty((6, _CHUNK), dtype=np.float32), np.empty((6, _CHUNK), dtype=np.float32)),
        np.empty(4 * _CHUNK, dtype=np.float32),
        np.empty(_CHUNK, dtype=np.float32),
    )
    missed = 0
    for start in range(0, line.size, _CHUNK):
        # Slices, indexed from zero on: indices that cannot be negative are not looked at twice.
        lines_at, samples_at = line[start : start + _CHUNK], sample[start : start + _CHUNK]
        values = result[:, start : start + _CHUNK]
        room.doubt[:] = np.nan
        if fast:
            _sum_whole(source, origin, image, lines_at, samples_at, taps, room, values)
        for point in range(lines_at.size):
            if not np.isnan(room.doubt[point]):
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
