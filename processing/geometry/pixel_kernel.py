"""Compiled: counts as the resampler takes them, and what it gives as physical values."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

Array = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.float32]

_CHUNK = 1024
"""Points calibrated together: they stay in the nearest cache."""


class Figures(NamedTuple):
    """A calibration as arrays, see :class:`processing.model.calibration.Calibration`."""

    gains: Array
    offsets: Array
    illumination: Array


@njit(nogil=True, cache=True)
def reach_of_tile(line: Array, sample: Array, image: tuple[int, int]) -> tuple[int, int, int, int]:
    """First and last line and sample (ends included) of the pixels that positions in the image fall on; -1 if none."""
    low_line, high_line, low_sample, high_sample = image[0], -1, image[1], -1
    for point in range(line.size):
        if 0.0 <= line[point] < image[0] and 0.0 <= sample[point] < image[1]:
            row = int(line[point])
            col = int(sample[point])
            low_line = min(low_line, row)
            high_line = max(high_line, row)
            low_sample = min(low_sample, col)
            high_sample = max(high_sample, col)
    return low_line, high_line, low_sample, high_sample


@njit(nogil=True, cache=True)
def interleave(counts: npt.NDArray[np.generic], nodata: float, saturated: float, pixels: Pixels) -> bool:
    """Counts ``(band, line, sample)`` as float32 ``(line, sample, band)``, NaN for nodata; whether any is saturated."""
    found = False
    bands, lines, samples = counts.shape
    none, top = np.float32(nodata), np.float32(saturated)
    for line in range(lines):
        into = pixels[line]
        band = 0
        # Four bands at a time: what lies side by side is written at once.
        while band + 4 <= bands:
            b0, b1, b2, b3 = counts[band, line], counts[band + 1, line], counts[band + 2, line], counts[band + 3, line]
            hit = False
            for sample in range(samples):
                v0, v1 = np.float32(b0[sample]), np.float32(b1[sample])
                v2, v3 = np.float32(b2[sample]), np.float32(b3[sample])
                hit |= bool((v0 >= top) | (v1 >= top) | (v2 >= top) | (v3 >= top))
                into[sample, band] = np.nan if v0 == none else v0
                into[sample, band + 1] = np.nan if v1 == none else v1
                into[sample, band + 2] = np.nan if v2 == none else v2
                into[sample, band + 3] = np.nan if v3 == none else v3
            found |= hit
            band += 4
        while band < bands:
            of_band = counts[band, line]
            for sample in range(samples):
                value = np.float32(of_band[sample])
                found |= bool(value >= top)
                into[sample, band] = np.nan if value == none else value
            band += 1
    return found


@njit(nogil=True, cache=True)
def calibrate_tile(
    values: Pixels,
    line: Array,
    sample: Array,
    image: tuple[int, int],
    figures: Figures,
    absent: npt.NDArray[np.uint16],
    bit: int,
) -> None:
    """Resampled counts ``(bands, points)`` to values, in place; raises ``bit`` in ``absent`` where a band has none.

    As :class:`processing.model.calibration.Calibration` says, the illumination bilinear at each point's position.
    """
    gains, offsets, illumination = figures
    rows = illumination.shape[0] - 1
    cols = illumination.shape[1] - 1
    factor = np.full(_CHUNK, 1.0 / illumination[0, 0]).astype(np.float32)
    for start in range(0, line.size, _CHUNK):
        stop = min(start + _CHUNK, line.size)
        if rows > 0:
            for point in range(start, stop):
                # A point without a position has no value either: any factor will do.
                y = min(max(line[point] / image[0] * rows, 0.0), float(rows)) if line[point] >= 0.0 else 0.0
                x = min(max(sample[point] / image[1] * cols, 0.0), float(cols)) if sample[point] >= 0.0 else 0.0
                row = min(int(y), rows - 1)
                col = min(int(x), cols - 1)
                upper = illumination[row, col] + (x - col) * (illumination[row, col + 1] - illumination[row, col])
                lower = illumination[row + 1, col] + (x - col) * (
                    illumination[row + 1, col + 1] - illumination[row + 1, col]
                )
                factor[point - start] = np.float32(1.0 / (upper + (y - row) * (lower - upper)))
        for band in range(values.shape[0]):
            gain = np.float32(gains[band])
            offset = np.float32(offsets[band])
            # Of slices, from zero on: indices that cannot be negative are not looked at twice.
            part, flags = values[band, start:stop], absent[start:stop]
            for point in range(part.size):
                part[point] = (part[point] * gain + offset) * factor[point]
            for point in range(part.size):
                flags[point] |= bit if np.isnan(part[point]) else 0
