"""Between nodes, and across the seams of grids: the kernels of the elevation mosaic."""

import numpy as np
import numpy.typing as npt
from numba import njit

from processing.geometry.terrain import Heights

Mask = npt.NDArray[np.uint8]

FREE, BETWEEN, RIM = 0, 1, 2
"""What tiles say of a node: not reached, between their nodes, in the outer half-cell of some."""


@njit(nogil=True, cache=True)
def sample_between(
    read: Heights,
    covered: npt.NDArray[np.bool_],
    row: npt.NDArray[np.float64],
    col: npt.NDArray[np.float64],
    heights: Heights,
    state: Mask,
) -> None:
    """Bilinear between nodes that tiles cover; positions count from the outer corner of the first cell."""
    rows, cols = read.shape
    for i in range(heights.shape[0]):
        for j in range(heights.shape[1]):
            if not np.isnan(heights[i, j]):
                continue
            r, c = row[i, j], col[i, j]
            if not (0.0 <= r < rows and 0.0 <= c < cols) or not covered[int(r), int(c)]:
                continue
            y, x = r - 0.5, c - 0.5
            top, left = int(np.floor(y)), int(np.floor(x))
            down, right = y - top, x - left
            total, between = 0.0, True
            for corner in range(4):
                a, b = top + corner // 2, left + corner % 2
                weight = (down if corner // 2 else 1.0 - down) * (right if corner % 2 else 1.0 - right)
                if weight > 1e-9:
                    if not (0 <= a < rows and 0 <= b < cols) or not covered[a, b]:
                        between = False
                        break
                    total += weight * read[a, b]
            if between:
                heights[i, j] = total
                state[i, j] = BETWEEN
            elif state[i, j] == FREE:
                state[i, j] = RIM


@njit(nogil=True, cache=True)
def close_seams(known: Heights, state: Mask, reach: int, heights: Heights) -> None:
    """Straight lines across seams, along rows and columns, the shorter one weighing more; nowhere else."""
    rows, cols = known.shape
    for i in range(rows):
        for j in range(cols):
            if state[i, j] != RIM or not np.isnan(known[i, j]):
                continue
            total = weight = 0.0
            for axis in range(2):
                back, back_at = _next_known(known, state, i, j, axis, -1, reach)
                ahead, ahead_at = _next_known(known, state, i, j, axis, 1, reach)
                if back_at and ahead_at:
                    length = back_at + ahead_at
                    total += (back * ahead_at + ahead * back_at) / length / length
                    weight += 1.0 / length
            if weight > 0.0:
                heights[i, j] = total / weight


@njit(nogil=True, cache=True)
def _next_known(known: Heights, state: Mask, row: int, col: int, axis: int, way: int, reach: int) -> tuple[float, int]:
    """Height of, and cells to, the next known node over rims and what no tile reaches; 0 cells when a void is next."""
    for k in range(1, reach + 1):
        i = row + (k * way if axis == 0 else 0)
        j = col + (k * way if axis == 1 else 0)
        if not (0 <= i < known.shape[0] and 0 <= j < known.shape[1]):
            break
        if not np.isnan(known[i, j]):
            return float(known[i, j]), k
        if state[i, j] == BETWEEN:
            break
    return 0.0, 0
