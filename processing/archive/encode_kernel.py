"""Compiled encoding: physical values to stored integers, in one pass and without temporaries."""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit


@njit(nogil=True, cache=True)
def encode_into(
    values: npt.NDArray[np.float32],
    scale: float,
    offset: float,
    limits: tuple[int, int, int],
    stored: npt.NDArray[Any],
    first: tuple[int, int],
    flags: npt.NDArray[np.uint16],
    bits: tuple[int, int],
) -> None:
    """Write rounded ``(values - offset) / scale``, half to even, into a rectangle of ``stored``.

    Parameters
    ----------
    values
        ``(rows, columns)``.
    limits
        Nodata, the lowest and the highest integer for a value.
    stored, first
        A contiguous array, and where in it the first value goes. (Rows of a part of an array that is passed whole are
        known to be contiguous: eight values are taken at a time.)
    flags
        ``(rows, columns)``, as the values.
    bits
        What NaN raises (it becomes nodata), and a value beyond the limits (it takes the nearest of them).
    """
    nodata, low, high = limits
    absent_bit, clipped_bit = bits
    inverse = 1.0 / scale
    for row in range(values.shape[0]):
        line, bits_of = values[row], flags[row]
        into = stored[first[0] + row, first[1] : first[1] + line.size]
        for column in range(line.size):
            scaled = np.rint((np.float64(line[column]) - offset) * inverse)
            # Chosen, not branched on, so that the compiler can take several at a time. NaN fails every comparison.
            inside = scaled if scaled >= low else np.float64(low)
            inside = inside if inside <= high else np.float64(high)
            known = scaled == scaled
            into[column] = np.int32(inside) if known else np.int32(nodata)
            bits_of[column] |= (0 if inside == scaled else clipped_bit) if known else absent_bit


@njit(nogil=True, cache=True)
def halve_into(stored: npt.NDArray[Any], nodata: int, halved: npt.NDArray[Any]) -> None:
    """Mean of the valid ones of each 2 x 2 pixels, rounded half to even in integers; nodata where none is valid."""
    rows, columns = stored.shape
    for row in range(halved.shape[0]):
        upper = stored[2 * row]
        # An odd last row or column counts once: the pixel beyond it is absent.
        lower = stored[2 * row + 1] if 2 * row + 1 < rows else stored[2 * row]
        lower_counts = 1 if 2 * row + 1 < rows else 0
        for column in range(columns // 2):
            a = np.int32(upper[2 * column])
            b = np.int32(upper[2 * column + 1])
            c = np.int32(lower[2 * column])
            d = np.int32(lower[2 * column + 1])
            has_a = 1 if a != nodata else 0
            has_b = 1 if b != nodata else 0
            has_c = lower_counts if c != nodata else 0
            has_d = lower_counts if d != nodata else 0
            count = has_a + has_b + has_c + has_d
            # The quotient is exact at every tie, so rounding it rounds the mean, half to even.
            mean = np.rint((a * has_a + b * has_b + c * has_c + d * has_d) / max(count, 1))
            halved[row, column] = np.int32(mean) if count > 0 else nodata
        if columns % 2:
            a = np.int32(upper[columns - 1])
            c = np.int32(lower[columns - 1])
            has_a = 1 if a != nodata else 0
            has_c = lower_counts if c != nodata else 0
            mean = np.rint((a * has_a + c * has_c) / max(has_a + has_c, 1))
            halved[row, columns // 2] = np.int32(mean) if has_a + has_c > 0 else nodata


@njit(nogil=True, cache=True)
def gather_flags_into(flags: npt.NDArray[np.uint16], halved: npt.NDArray[np.uint16]) -> None:
    """A flag is up where it is up in any of each 2 x 2 pixels."""
    rows, columns = flags.shape
    for row in range(halved.shape[0]):
        upper = flags[2 * row]
        lower = flags[min(2 * row + 1, rows - 1)]
        half = halved[row]
        for column in range(columns // 2):
            half[column] = upper[2 * column] | upper[2 * column + 1] | lower[2 * column] | lower[2 * column + 1]
        if columns % 2:
            half[columns // 2] = upper[columns - 1] | lower[columns - 1]


@njit(nogil=True, cache=True)
def halve_reals_into(stored: npt.NDArray[np.float32], halved: npt.NDArray[np.float32]) -> None:
    """Mean of the known ones of each 2 x 2 pixels; NaN where none is."""
    rows, columns = stored.shape
    for row in range(halved.shape[0]):
        for column in range(halved.shape[1]):
            total = 0.0
            count = 0
            for below in range(2 * row, min(2 * row + 2, rows)):
                for beside in range(2 * column, min(2 * column + 2, columns)):
                    if not np.isnan(stored[below, beside]):
                        total += stored[below, beside]
                        count += 1
            halved[row, column] = total / count if count > 0 else np.nan
