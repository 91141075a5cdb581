"""Compiled: whole kernels, every tap of which lies in the source, in float32 and in whole vectors.

Each column of a kernel is summed over its rows, then the columns are summed: in this order for every band, so that a
band's values do not depend on which others come along.
"""

import numpy as np
import numpy.typing as npt
from numba import njit, uint64

Pixels = npt.NDArray[np.float32]
Whole = npt.NDArray[np.int64]

_ZERO = np.float32(0.0)
_1, _2, _3, _4, _5 = uint64(1), uint64(2), uint64(3), uint64(4), uint64(5)
"""Steps that cannot be negative: an index made of these is not looked at twice."""


@njit(nogil=True, inline="always")
def _down_two(flat, at, row, weights):  # type: ignore[no-untyped-def]
    """Four neighbours, each summed over two rows."""
    w0, w1, _, _, _, _ = weights
    lower = at + row
    return (
        w0 * flat[at] + w1 * flat[lower],
        w0 * flat[at + _1] + w1 * flat[lower + _1],
        w0 * flat[at + _2] + w1 * flat[lower + _2],
        w0 * flat[at + _3] + w1 * flat[lower + _3],
    )


@njit(nogil=True, inline="always")
def _down_four(flat, at, row, weights):  # type: ignore[no-untyped-def]
    """Four neighbours, each summed over four rows."""
    w0, w1, w2, w3, _, _ = weights
    r1 = at + row
    r2 = r1 + row
    r3 = r2 + row
    return (
        ((w0 * flat[at] + w1 * flat[r1]) + w2 * flat[r2]) + w3 * flat[r3],
        ((w0 * flat[at + _1] + w1 * flat[r1 + _1]) + w2 * flat[r2 + _1]) + w3 * flat[r3 + _1],
        ((w0 * flat[at + _2] + w1 * flat[r1 + _2]) + w2 * flat[r2 + _2]) + w3 * flat[r3 + _2],
        ((w0 * flat[at + _3] + w1 * flat[r1 + _3]) + w2 * flat[r2 + _3]) + w3 * flat[r3 + _3],
    )


@njit(nogil=True, inline="always")
def _down_six(flat, at, row, weights):  # type: ignore[no-untyped-def]
    """Four neighbours, each summed over six rows."""
    w4, w5 = weights[4], weights[5]
    r4 = at + _4 * row
    r5 = r4 + row
    a0, a1, a2, a3 = _down_four(flat, at, row, weights)
    return (
        (a0 + w4 * flat[r4]) + w5 * flat[r5],
        (a1 + w4 * flat[r4 + _1]) + w5 * flat[r5 + _1],
        (a2 + w4 * flat[r4 + _2]) + w5 * flat[r5 + _2],
        (a3 + w4 * flat[r4 + _3]) + w5 * flat[r5 + _3],
    )


@njit(nogil=True, inline="always")
def _column_sums(flat, at, row, step, weights, taps, sums):  # type: ignore[no-untyped-def]
    """Fill ``sums``: for each column of a kernel four neighbours, summed over its rows.

    All is read before anything is written: the compiler cannot know that the two do not overlap, and takes several at a
    time only where it need not ask.
    """
    if taps == 2:
        a0, a1, a2, a3 = _down_two(flat, at, row, weights)
        b0, b1, b2, b3 = _down_two(flat, at + step, row, weights)
    elif taps == 4:
        a0, a1, a2, a3 = _down_four(flat, at, row, weights)
        b0, b1, b2, b3 = _down_four(flat, at + step, row, weights)
        c0, c1, c2, c3 = _down_four(flat, at + _2 * step, row, weights)
        d0, d1, d2, d3 = _down_four(flat, at + _3 * step, row, weights)
    else:
        a0, a1, a2, a3 = _down_six(flat, at, row, weights)
        b0, b1, b2, b3 = _down_six(flat, at + step, row, weights)
        c0, c1, c2, c3 = _down_six(flat, at + _2 * step, row, weights)
        d0, d1, d2, d3 = _down_six(flat, at + _3 * step, row, weights)
        e0, e1, e2, e3 = _down_six(flat, at + _4 * step, row, weights)
        f0, f1, f2, f3 = _down_six(flat, at + _5 * step, row, weights)
    sums[0], sums[1], sums[2], sums[3] = a0, a1, a2, a3
    sums[4], sums[5], sums[6], sums[7] = b0, b1, b2, b3
    if taps > 2:
        sums[8], sums[9], sums[10], sums[11] = c0, c1, c2, c3
        sums[12], sums[13], sums[14], sums[15] = d0, d1, d2, d3
    if taps > 4:
        sums[16], sums[17], sums[18], sums[19] = e0, e1, e2, e3
        sums[20], sums[21], sums[22], sums[23] = f0, f1, f2, f3


@njit(nogil=True, inline="always")
def _across(weights, sums, neighbour, taps):  # type: ignore[no-untyped-def]
    """The columns' sums of one of the four neighbours, summed over the columns."""
    total = weights[0] * sums[neighbour] + weights[1] * sums[neighbour + 4]
    if taps > 2:
        total = (total + weights[2] * sums[neighbour + 8]) + weights[3] * sums[neighbour + 12]
    if taps > 4:
        total = (total + weights[4] * sums[neighbour + 16]) + weights[5] * sums[neighbour + 20]
    return total


@njit(nogil=True, inline="always")
def _taps_of(weights, point, taps):  # type: ignore[no-untyped-def]
    """The weights of a point along one axis; zeros where the kernel is shorter."""
    if taps == 2:
        return weights[0, point], weights[1, point], _ZERO, _ZERO, _ZERO, _ZERO
    if taps == 4:
        return weights[0, point], weights[1, point], weights[2, point], weights[3, point], _ZERO, _ZERO
    return (
        weights[0, point], weights[1, point], weights[2, point], weights[3, point], weights[4, point],
        weights[5, point],
    )  # fmt: skip


@njit(nogil=True, inline="always")
def _four_bands(flat, strides, bases, band, weights, taps, side_by_side):  # type: ignore[no-untyped-def]
    """Four neighbouring bands of all points, side by side."""
    row, step = strides
    down, across = weights
    sums = np.empty(24, dtype=np.float32)
    for point in range(bases.size):
        if bases[point] < 0:
            continue
        _column_sums(flat, uint64(bases[point]) + band, row, step, _taps_of(down, point, taps), taps, sums)
        shares = _taps_of(across, point, taps)
        r0 = _across(shares, sums, 0, taps)
        r1 = _across(shares, sums, 1, taps)
        r2 = _across(shares, sums, 2, taps)
        r3 = _across(shares, sums, 3, taps)
        at = _4 * uint64(point)
        side_by_side[at] = r0
        side_by_side[at + _1] = r1
        side_by_side[at + _2] = r2
        side_by_side[at + _3] = r3


@njit(nogil=True)
def _turn(side_by_side: Pixels, first: Pixels, second: Pixels, third: Pixels, fourth: Pixels) -> None:
    """Four values a point into four arrays."""
    for point in range(first.size):
        at = _4 * uint64(point)
        first[point] = side_by_side[at]
        second[point] = side_by_side[at + _1]
        third[point] = side_by_side[at + _2]
        fourth[point] = side_by_side[at + _3]


@njit(nogil=True, inline="always")
def _one_band(flat, base, row, step, down, across, point, taps):  # type: ignore[no-untyped-def]
    """One band at one point, summed in the same order."""
    if taps == 4 and step == _1:
        # The columns of an image of one band are neighbours.
        a0, a1, a2, a3 = _down_four(flat, base, row, _taps_of(down, point, 4))
        return ((across[0, point] * a0 + across[1, point] * a1) + across[2, point] * a2) + across[3, point] * a3
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
def whole_kernels(
    flat: Pixels,
    row: int,
    bands: int,
    bases: Whole,
    weights: tuple[Pixels, Pixels],
    taps: int,
    side_by_side: Pixels,
    result: Pixels,
) -> None:
    """All bands of the points whose base in the source is not negative, into ``result (bands, points)``.

    Of a point with a tap that has no value, some band becomes NaN. What stands at the other points means nothing.
    """
    down, across = weights
    step = uint64(bands)
    stride = uint64(row)
    band = 0
    while band + 4 <= bands:
        if taps == 4:
            _four_bands(flat, (stride, step), bases, uint64(band), weights, 4, side_by_side)
        elif taps == 2:
            _four_bands(flat, (stride, step), bases, uint64(band), weights, 2, side_by_side)
        else:
            _four_bands(flat, (stride, step), bases, uint64(band), weights, 6, side_by_side)
        _turn(side_by_side, result[band], result[band + 1], result[band + 2], result[band + 3])
        band += 4
    while band < bands:
        values = result[band]
        for point in range(bases.size):
            if bases[point] < 0:
                continue
            base = uint64(bases[point]) + uint64(band)
            if taps == 4:
                values[point] = _one_band(flat, base, stride, step, down, across, point, 4)
            elif taps == 2:
                values[point] = _one_band(flat, base, stride, step, down, across, point, 2)
            else:
                values[point] = _one_band(flat, base, stride, step, down, across, point, 6)
        band += 1
