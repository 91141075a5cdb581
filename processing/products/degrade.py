"""Less of an image: coarser pixels, absent parts. Numpy in, numpy out."""

import math

import numpy as np
import numpy.typing as npt

type Mask = npt.NDArray[np.bool_]


def coarse_shape(shape: tuple[int, int], ratio: float) -> tuple[int, int]:
    """Rows and columns of an image whose pixels are ``ratio`` times as wide: all of the finer one is covered."""
    return max(math.ceil(shape[0] / ratio - 1e-9), 1), max(math.ceil(shape[1] / ratio - 1e-9), 1)


def averaged(
    pixels: npt.ArrayLike,
    valid: Mask,
    ratio: float,
    *,
    rows: tuple[int, int] | None = None,
    columns: int | None = None,
    first: int = 0,
) -> tuple[npt.NDArray[np.float64], Mask]:
    """Means of valid pixels in coarser ones, each fine pixel weighted by the part of it that lies within.

    The coarse grid begins where the image does: whoever asks again and shifted gets no other samples.

    Parameters
    ----------
    pixels
        ``(row, column)``.
    valid
        Where there are values; only these count.
    ratio
        How many times wider the coarse pixels are; at least 1, not necessarily whole.
    rows
        Coarse rows to make, from and to; None: all.
    columns
        How many coarse columns to make; None: as many as cover the image.
    first
        Which row of the image the first one of ``pixels`` is, where only some are given.

    Returns
    -------
    means, valid
        No value where no valid pixel lies, in whatever part.
    """
    given = np.asarray(pixels, np.float64)
    height, width = given.shape
    begin, end = rows or (0, coarse_shape((first + height, width), ratio)[0])
    down = np.clip(np.arange(begin, end + 1) * ratio - first, 0, height)
    count = coarse_shape((1, width), ratio)[1] if columns is None else columns
    across = np.clip(np.arange(count + 1) * ratio, 0, width)
    weights = _sums(valid.astype(np.float64), down, across)
    sums = _sums(np.where(valid, given, 0.0), down, across)
    there = weights > 1e-9
    return np.where(there, sums / np.where(there, weights, 1.0), 0.0), there


def _sums(
    values: npt.NDArray[np.float64], down: npt.NDArray[np.float64], across: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Sums between fractional rows and columns."""
    return _along(_along(values, down).T, across).T


def _along(values: npt.NDArray[np.float64], edges: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    whole = np.minimum(edges.astype(np.int64), len(values) - 1)
    part = (edges - whole)[:, None]
    return np.diff(total[whole] + part * values[whole], axis=0)


def flags_of(words: npt.NDArray[np.unsignedinteger], ratio: float, *, absent: int = 0) -> npt.NDArray[np.uint16]:
    """Quality flags of coarser pixels: set where any fine pixel has them, but ``absent`` only where all do."""
    edges = [
        np.minimum((np.arange(count) * ratio).astype(np.int64), size - 1)
        for count, size in zip(coarse_shape(words.shape, ratio), words.shape, strict=True)
    ]

    def reduced(operation: np.ufunc) -> npt.NDArray[np.uint16]:
        by_row = operation.reduceat(words.astype(np.uint16), edges[0], axis=0)
        found: npt.NDArray[np.uint16] = operation.reduceat(by_row, edges[1], axis=1)
        return found

    bit = np.uint16(absent)
    return (reduced(np.bitwise_or) & ~bit) | (reduced(np.bitwise_and) & bit)


def grown(mask: Mask, pixels: int) -> Mask:
    """A mask and what lies within so many pixels of it, by rows and columns."""
    found = mask.copy()
    for axis in (0, 1):
        spread = found.copy()
        for step in range(1, min(pixels, mask.shape[axis] - 1) + 1):
            ahead = [slice(None), slice(None)]
            behind = [slice(None), slice(None)]
            ahead[axis], behind[axis] = slice(step, None), slice(None, -step)
            spread[tuple(ahead)] |= found[tuple(behind)]
            spread[tuple(behind)] |= found[tuple(ahead)]
        found = spread
    return found
