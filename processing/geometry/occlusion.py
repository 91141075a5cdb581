"""What the terrain hides: from the satellite (occlusion), and from the sun (terrain shadow).

From every node of the terrain a line goes toward the satellite or the sun, over the terrain as it lies between the
nodes. The smallest height of that line above the terrain is the node's clearance; below zero something is in the way.
Clearance is continuous where visibility is not, so it can be interpolated between nodes and its sign taken last.
"""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from numba import njit

from processing.geometry.sight_lines import SightLines
from processing.geometry.terrain import Heights, Terrain

Array = npt.NDArray[np.float64]

CEILING_M = 9000.0
"""Clearances end here: no land stands higher above other land."""
_BLOCK, _REGION = 8, 64
"""Cells a side of the squares whose highest cell is kept, so that a line high above one can skip it."""
_STEP = 0.5
"""Cells from one look at the terrain to the next, along the line's faster axis."""
_RIM = 1e-9
"""A line this many cells outside the grid is on its rim: the direction "north" is never quite north in floats."""
EARTH_RADIUS_M = 6_371_000.0
_ROWS_AT_ONCE = 256


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Visibility:
    """Clearances on the terrain's own grid: float32 ``(rows, cols)``, m, negative = hidden, NaN = terrain unknown.

    None where nothing can be hidden, or where it was not asked.
    """

    view: Heights | None = None
    """Of the line toward the satellite."""
    sun: Heights | None = None
    """Of the line toward the sun."""
    digest: str = field(init=False)
    """SHA-256 of both: the identity in task names."""

    def __post_init__(self) -> None:
        identity = hashlib.sha256()
        for name in ("view", "sun"):
            grid: Heights | None = getattr(self, name)
            identity.update(name.encode())
            if grid is None:
                continue
            grid = np.ascontiguousarray(grid, dtype=np.float32)
            grid.setflags(write=False)
            object.__setattr__(self, name, grid)
            identity.update(repr(grid.shape).encode())
            identity.update(grid.data)
        object.__setattr__(self, "digest", identity.hexdigest())

    def __dask_tokenize__(self) -> tuple[str, str]:
        return ("visibility", self.digest)


def hidden_grid(terrain: Terrain, toward: SightLines) -> Heights | None:
    """Clearances over a terrain; None, and nothing traced, where its slopes are too gentle to hide anything."""
    return clearance(terrain, toward) if can_hide(terrain, toward) else None


def clearance(terrain: Terrain, toward: SightLines) -> Heights:
    """Smallest height of each node's line above the terrain on its way up.

    The line is followed over the bilinear terrain, half a cell a step along its faster axis, until it is above all
    there is; it leaves the ellipsoid faster than a straight line would, as Earth's curvature has it. The node itself
    does not count. Voids and what lies beyond the grid hide nothing: they are unknown.

    Parameters
    ----------
    terrain
        Heights above the ellipsoid.
    toward
        Direction of the lines over the terrain's grid.

    Returns
    -------
    array
        float32 ``(rows, cols)``, m, at most :data:`CEILING_M`; negative where the node is hidden, NaN where it is
        void.
    """
    result = np.empty(terrain.heights.shape, dtype=np.float32)
    blocks, regions = _highest(terrain.heights)

    def sweep(first: int) -> None:
        _sweep(terrain.heights, blocks, regions, toward.packed, first, result[first : first + _ROWS_AT_ONCE])

    # Every shard waits for this: all cores take part. A node's clearance is its own, whoever traces it.
    with ThreadPoolExecutor() as pool:
        list(pool.map(sweep, range(0, result.shape[0], _ROWS_AT_ONCE)))
    return result


def can_hide(terrain: Terrain, toward: SightLines) -> bool:
    """Whether any slope of the terrain is as steep as the flattest line; where none is, all clearances are positive.

    Along a line the terrain rises by no more in one cell than its steepest rise along one axis plus that along the
    other. Unknown terrain may hold any slope.
    """
    if np.isnan(terrain.heights).any():
        return True
    rows, cols = toward.packed[0], toward.packed[1]
    flattest = np.maximum(np.abs(rows), np.abs(cols)).max()
    if flattest == 0.0:
        return False
    rise = 1.0 / flattest
    return bool(_steepest(terrain.heights, 0, rows) + _steepest(terrain.heights, 1, cols) >= rise)


def _steepest(heights: Heights, axis: int, toward: Array) -> float:
    """Greatest rise between neighbours along an axis, in the directions that lines take."""
    steepest = 0.0
    for start in range(0, heights.shape[0], _ROWS_AT_ONCE):
        step = np.diff(heights[start : start + _ROWS_AT_ONCE + 1].astype(np.float64), axis=axis)
        step = step[np.isfinite(step)]
        if step.size:
            steepest = max(
                steepest,
                float(step.max()) if (toward > 0).any() else 0.0,
                float(-step.min()) if (toward < 0).any() else 0.0,
            )
    return steepest


def _highest(heights: Heights) -> tuple[Heights, Heights]:
    """Highest node of each block and each region of cells, one row and column beyond it included; voids are lowest."""
    rows, cols = (-(-size // _REGION) for size in heights.shape)
    padded = np.full((rows * _REGION + 1, cols * _REGION + 1), -np.inf, dtype=np.float32)
    padded[: heights.shape[0], : heights.shape[1]] = np.where(np.isnan(heights), -np.inf, heights)
    reach = np.maximum(padded[:-1], padded[1:])
    reach = np.maximum(reach[:, :-1], reach[:, 1:])
    each = _REGION // _BLOCK
    blocks = np.ascontiguousarray(reach.reshape(rows * each, _BLOCK, cols * each, _BLOCK).max(axis=(1, 3)))
    return blocks, np.ascontiguousarray(blocks.reshape(rows, each, cols, each).max(axis=(1, 3)))


@njit(nogil=True, cache=True)
def _steps_inside(position: float, step: float, side: int) -> float:
    """Steps until a coordinate leaves the block it is in."""
    low = np.floor(position / side) * side
    if step > 0.0:
        return float((low + side - position) / step)
    if step < 0.0:
        return float((position - low) / -step)
    return np.inf


@njit(nogil=True, cache=True)
def _terrain_at(heights: Heights, row: float, col: float) -> float:
    """Bilinear terrain; a void counts only where its weight is not zero."""
    top = int(row)
    left = int(col)
    down = row - top
    right = col - left
    above = float(heights[top, left])
    if right > 0.0:
        above = (1.0 - right) * above + right * heights[top, left + 1]
    if down == 0.0:
        return above
    below = float(heights[top + 1, left])
    if right > 0.0:
        below = (1.0 - right) * below + right * heights[top + 1, left + 1]
    return (1.0 - down) * above + down * below


@njit(nogil=True, cache=True)
def _direction(lines: Array, shape: tuple[int, int], row: int, col: int) -> tuple[float, float, float]:
    """Rows, columns and metres a metre of climb at one cell, bilinear between the lattice's nodes."""
    at_row = (row + 0.5) / shape[0] * (lines.shape[1] - 1)
    at_col = (col + 0.5) / shape[1] * (lines.shape[2] - 1)
    i = min(int(at_row), lines.shape[1] - 2)
    j = min(int(at_col), lines.shape[2] - 2)
    v, u = at_row - i, at_col - j
    a, b, c, d = (1.0 - v) * (1.0 - u), (1.0 - v) * u, v * (1.0 - u), v * u
    return (
        a * lines[0, i, j] + b * lines[0, i, j + 1] + c * lines[0, i + 1, j] + d * lines[0, i + 1, j + 1],
        a * lines[1, i, j] + b * lines[1, i, j + 1] + c * lines[1, i + 1, j] + d * lines[1, i + 1, j + 1],
        a * lines[2, i, j] + b * lines[2, i, j + 1] + c * lines[2, i + 1, j] + d * lines[2, i + 1, j + 1],
    )


@njit(nogil=True, cache=True)
def _sweep(heights: Heights, blocks: Heights, regions: Heights, lines: Array, first: int, result: Heights) -> None:
    """Clearance of the nodes of some rows. What is skipped lies so low that it could not lower a node's clearance."""
    rows, cols = heights.shape
    top = regions.max()
    for row in range(first, first + result.shape[0]):
        for col in range(cols):
            start = float(heights[row, col])
            if np.isnan(start):
                result[row - first, col] = np.nan
                continue
            down, right, away = _direction(lines, heights.shape, row, col)
            steeper = max(abs(down), abs(right))
            least = CEILING_M
            if steeper * CEILING_M > 1.0:
                rise = _STEP / steeper
                bend = (away * rise) ** 2 / (2.0 * EARTH_RADIUS_M)
                # Exactly half a cell along the faster axis: every other step is on a grid line, not beside it.
                step_row = _STEP * np.sign(down) if abs(down) == steeper else down * rise
                step_col = _STEP * np.sign(right) if abs(right) == steeper else right * rise
                k = 1
                while True:
                    height = start + k * rise + k * k * bend
                    if height - top >= least:
                        break
                    r, c = row + k * step_row, col + k * step_col
                    if not (-_RIM <= r <= rows - 1.0 + _RIM and -_RIM <= c <= cols - 1.0 + _RIM):
                        break
                    r, c = min(max(r, 0.0), rows - 1.0), min(max(c, 0.0), cols - 1.0)
                    i, j = int(r), int(c)
                    side = 0
                    if height - regions[i // _REGION, j // _REGION] >= least:
                        side = _REGION
                    elif height - blocks[i // _BLOCK, j // _BLOCK] >= least:
                        side = _BLOCK
                    if side:
                        inside = min(_steps_inside(r, step_row, side), _steps_inside(c, step_col, side))
                        k += max(1, int(np.ceil(inside - 1e-9)))
                        continue
                    ground = _terrain_at(heights, r, c)
                    if height - ground < least:  # false for a void
                        least = height - ground
                    k += 1
            result[row - first, col] = least


def clearance_reference(terrain: Terrain, toward: SightLines) -> Array:
    """:func:`clearance` in plain numpy, all nodes a step at a time with nothing skipped: what the kernel must equal."""
    heights = terrain.heights.astype(np.float64)
    rows, cols = heights.shape
    row, col = np.meshgrid(np.arange(rows), np.arange(cols), indexing="ij")
    down, right, away = toward.at_cells()
    steeper = np.maximum(np.abs(down), np.abs(right))
    going = steeper * CEILING_M > 1.0
    rise = _STEP / np.where(going, steeper, np.inf)
    bend = (away * rise) ** 2 / (2.0 * EARTH_RADIUS_M)
    step_row = np.where(np.abs(down) == steeper, _STEP * np.sign(down), down * rise)
    step_col = np.where(np.abs(right) == steeper, _STEP * np.sign(right), right * rise)
    least = np.full(heights.shape, CEILING_M)
    for k in range(1, int(max(rows, cols) / _STEP)):
        r, c = row + k * step_row, col + k * step_col
        going &= (r >= -_RIM) & (r <= rows - 1 + _RIM) & (c >= -_RIM) & (c <= cols - 1 + _RIM)
        if not going.any():
            break
        r, c = np.clip(r, 0, rows - 1), np.clip(c, 0, cols - 1)
        i, j = r[going].astype(int), c[going].astype(int)
        v, u = r[going] - i, c[going] - j
        below, beside = np.minimum(i + 1, rows - 1), np.minimum(j + 1, cols - 1)
        above = np.where(u > 0, (1 - u) * heights[i, j] + u * heights[i, beside], heights[i, j])
        lower = np.where(u > 0, (1 - u) * heights[below, j] + u * heights[below, beside], heights[below, j])
        ground = np.where(v > 0, (1 - v) * above + v * lower, above)
        line = heights[going] + k * rise[going] + k * k * bend[going]
        least[going] = np.fmin(least[going], line - ground)
    return np.where(np.isnan(heights), np.nan, least)
