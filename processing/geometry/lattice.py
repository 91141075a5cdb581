"""Mapping by layers: what is smooth is interpolated from a lattice, within a bound that is checked and not assumed.

A sensor model without terrain is smooth in map position and in height. At the nodes of a lattice it is evaluated at
three heights; between nodes its quadratic in height is interpolated bilinearly. The terrain is not smooth: it is
sampled at every pixel. Where a cell of the lattice would break the bound, its pixels take the exact path.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from odc.geo.geobox import GeoBox

from processing.geometry.mapping import lonlat_of_map
from processing.geometry.terrain import Terrain
from processing.geometry.tile_kernel import largest_step
from processing.model.sensor_model import SensorModel

Array = npt.NDArray[np.float64]

BOUND_PX = 0.02
"""How far a mapped position may lie from the exact one, source pixels."""
STEPS = (64, 32, 16, 8)
"""Output pixels between nodes, tried in turn."""
COMFORT = 0.15
"""A step is taken when the sampled cells stay within this part of the bound."""
_SAFETY = 1.25
"""The error between the points it is measured at, against the error there."""
_SAMPLED_CELLS = 25
_THINNEST_M = 10.0
"""Layers are at least so far from the middle one, m."""
_CHECKED = np.array([-1.0, -0.577, 0.577, 1.0])
"""Heights at which cells are checked: a cubic's distance from its quadratic is largest at +-1/sqrt(3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lattice:
    """One lattice for a whole output grid, anchored to its first pixel: blocks share their nodes."""

    step: int
    """Output pixels between nodes."""
    middle_m: float
    """Height of the middle layer above the ellipsoid."""
    reach_m: float
    """From the middle layer to the outer ones."""
    steepest_m: float
    """Largest height difference between neighbouring cells of the terrain."""
    bound_px: float = BOUND_PX


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodes:
    """The lattice over a window of the output."""

    row0: int
    """First row of nodes, counted in steps from the grid's first pixel."""
    col0: int
    values: Array
    """``(rows, cols, 8)``: constant, linear and quadratic term in relative height of the line, then of the sample
    (px), then row and column in the terrain's grid (cells from its outer corner)."""
    exact: npt.NDArray[np.bool_]
    """Cells ``(rows - 1, cols - 1)`` in which interpolation might break the bound."""


def plan_lattice(
    geobox: GeoBox,
    windows: list[tuple[int, int, int, int]],
    model: SensorModel,
    terrain: Terrain,
    heights: tuple[float, float],
    bound_px: float = BOUND_PX,
) -> Lattice:
    """The widest lattice that keeps well within a bound on a sample of cells.

    Parameters
    ----------
    geobox
        Output grid.
    windows
        Parts of the output that will be mapped: first row, row behind the last, first and behind the last column.
    model, terrain
        What maps them.
    heights
        Lowest and highest terrain under the image, m above the ellipsoid.
    bound_px
        Largest error allowed, source pixels.
    """
    middle, reach = sum(heights) / 2, max((heights[1] - heights[0]) / 2 + 1.0, _THINNEST_M)
    steepest = float(largest_step(terrain.heights))
    chosen = windows[:: max(len(windows) // _SAMPLED_CELLS, 1)]
    lattice = Lattice(step=STEPS[0], middle_m=middle, reach_m=reach, steepest_m=steepest, bound_px=bound_px)
    for step in STEPS:
        lattice = replace(lattice, step=step)
        cells = []
        for number, (row0, _, col0, col1) in enumerate(chosen):
            # Each window is looked at in another place along its width.
            col = col0 + (number * 0.381966 % 1.0) * max(col1 - col0 - step, 0)
            cells.append(_errors(lattice, geobox, row0 // step, int(col) // step, (1, 1), model, terrain))
        worst = np.concatenate([cell.ravel() for cell in cells]) if cells else np.zeros(1)
        known = worst[np.isfinite(worst)]
        if known.size and known.max() <= COMFORT * bound_px:
            break
    return lattice


def lattice_nodes(
    lattice: Lattice, geobox: GeoBox, window: tuple[int, int, int, int], model: SensorModel, terrain: Terrain
) -> Nodes:
    """The nodes around a window of the output, and which cells may not be interpolated.

    Parameters
    ----------
    window
        First row, row behind the last, first column, column behind the last, output pixels.
    """
    step = lattice.step
    row0, col0 = window[0] // step, window[2] // step
    cells = (-(-window[1] // step) - row0, -(-window[3] // step) - col0)
    values = _node_values(lattice, geobox, row0, col0, (cells[0] + 1, cells[1] + 1), model, terrain)
    errors = _errors(lattice, geobox, row0, col0, cells, model, terrain, values)
    return Nodes(row0=row0, col0=col0, values=values, exact=~(errors <= lattice.bound_px))


def _node_values(
    lattice: Lattice,
    geobox: GeoBox,
    row0: int,
    col0: int,
    shape: tuple[int, int],
    model: SensorModel,
    terrain: Terrain,
) -> Array:
    """What :attr:`Nodes.values` holds."""
    row, col = np.meshgrid(
        (row0 + np.arange(shape[0])) * float(lattice.step),
        (col0 + np.arange(shape[1])) * float(lattice.step),
        indexing="ij",
    )
    lon, lat, values = _terrain_position(geobox, row, col, terrain)
    heights = lattice.middle_m + lattice.reach_m * np.array([-1.0, 0.0, 1.0])[:, None, None]
    for first, position in zip((0, 3), model.ground_to_image(lon, lat, heights), strict=True):
        below, middle, above = position
        values[..., first] = middle
        values[..., first + 1] = (above - below) / 2
        values[..., first + 2] = (above + below) / 2 - middle
    return values


def _terrain_position(geobox: GeoBox, row: Array, col: Array, terrain: Terrain) -> tuple[Array, Array, Array]:
    """Degrees of grid positions, and an array ``(..., 8)`` with their place in the terrain's grid filled in."""
    lon, lat = lonlat_of_map(geobox, row, col)
    x, y = terrain.map_position(lon.ravel(), lat.ravel())
    a, b, c, d, e, f = tuple(~terrain.transform)[:6]
    values = np.empty((*row.shape, 8))
    values[..., 6] = (d * x + e * y + f).reshape(row.shape)
    values[..., 7] = (a * x + b * y + c).reshape(row.shape)
    return lon, lat, values


def _errors(
    lattice: Lattice,
    geobox: GeoBox,
    row0: int,
    col0: int,
    cells: tuple[int, int],
    model: SensorModel,
    terrain: Terrain,
    values: Array | None = None,
) -> Array:
    """Largest error, px, to be expected in each cell; NaN where the model does not reach.

    Bilinear interpolation of a smooth surface errs most at the middle of a cell, or of an edge where the two
    curvatures cancel out; all five are looked at, at four heights. The terrain's error is the interpolated place's
    error times the steepest step there is.
    """
    if values is None:
        values = _node_values(lattice, geobox, row0, col0, (cells[0] + 1, cells[1] + 1), model, terrain)
    top = (values[:, :-1] + values[:, 1:]) / 2
    left = (values[:-1] + values[1:]) / 2
    middle = (top[:-1] + top[1:]) / 2
    on_top = _errors_at(lattice, geobox, (row0, col0 + 0.5), top, model, terrain)
    on_left = _errors_at(lattice, geobox, (row0 + 0.5, col0), left, model, terrain)
    inside = _errors_at(lattice, geobox, (row0 + 0.5, col0 + 0.5), middle, model, terrain)
    return _SAFETY * np.max(
        np.stack(np.broadcast_arrays(inside, on_top[:-1], on_top[1:], on_left[:, :-1], on_left[:, 1:])), axis=0
    )


def _errors_at(
    lattice: Lattice,
    geobox: GeoBox,
    first: tuple[float, float],
    values: Array,
    model: SensorModel,
    terrain: Terrain,
) -> Array:
    """Distance, px, between interpolated ``(rows, cols, 8)`` values and the model, at points a step apart."""
    row, col = np.meshgrid(
        (first[0] + np.arange(values.shape[0])) * lattice.step,
        (first[1] + np.arange(values.shape[1])) * lattice.step,
        indexing="ij",
    )
    lon, lat, exact = _terrain_position(geobox, row, col, terrain)
    t = _CHECKED[:, None, None]
    line, sample = model.ground_to_image(lon, lat, lattice.middle_m + lattice.reach_m * t)
    miss = np.hypot(
        values[..., 0] + t * (values[..., 1] + t * values[..., 2]) - line,
        values[..., 3] + t * (values[..., 4] + t * values[..., 5]) - sample,
    ).max(axis=0)
    astray = np.hypot(values[..., 6] - exact[..., 6], values[..., 7] - exact[..., 7])
    px_a_metre = np.hypot(
        np.abs(values[..., 1]) + 2 * np.abs(values[..., 2]), np.abs(values[..., 4]) + 2 * np.abs(values[..., 5])
    )
    return np.asarray(miss + astray * 2 * lattice.steepest_m * px_a_metre / lattice.reach_m)
