"""Tiles of any grids become one: tiles of one lattice are laid side by side, then all lattices onto the target's.

Three things can be true of a node of the target grid. It lies between nodes of a lattice: its height is theirs,
bilinear, or unknown where one of them is void. It lies in the outer half-cell of a lattice, beyond the last nodes: if
another lattice goes on there, its height is that of the straight line from known node to known node across the seam.
Or no tile reaches it: it stays unknown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from affine import Affine
from pyproj import CRS

from processing.geometry.datum import Geoid, VerticalDatum
from processing.geometry.terrain import Heights, full_turn
from processing.model.errors import BadInput
from processing.readers.dem_seams import BETWEEN, RIM, Mask, close_seams, sample_between
from processing.readers.dem_tile import (
    Bounds,
    DemTile,
    exact_transformer,
    grid_window,
    map_bounds,
    read_heights,
)

_ALIGNED = 0.01
"""Grids whose cells agree to this fraction of a cell are the same grid."""
_METRES_A_DEGREE = 111_320.0
_MOST_CELLS = 150_000_000
"""A mosaic of more would take more than 0.6 GB: its cells are made as coarse as the next coarser tile's."""
_ROWS_AT_ONCE = 256
_EDGE_POINTS = 33


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A north-up grid of cells."""

    crs: str
    transform: Affine
    shape: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lattice:
    """Tiles whose cells are those of one endless grid."""

    tiles: tuple[DemTile, ...]
    """By file name."""

    @property
    def pitch_m(self) -> tuple[float, float]:
        """Height and width of a cell, metres (of longitude: at the equator)."""
        crs = CRS.from_user_input(self.tiles[0].crs)
        unit = crs.axis_info[0].unit_conversion_factor
        width, height = self.tiles[0].pitch
        metres = unit * np.degrees(1.0) * _METRES_A_DEGREE if crs.is_geographic else unit
        return height * metres, width * metres

    def holds(self, tile: DemTile) -> bool:
        """Whether a tile's cells are of this grid."""
        own = self.tiles[0]
        if own.crs != tile.crs or max(abs(np.divide(own.pitch, tile.pitch) - 1.0)) * max(tile.shape) > _ALIGNED:
            return False
        col, row = ~own.transform @ (tile.transform.c, tile.transform.f)
        return bool(abs(col - round(col)) < _ALIGNED and abs(row - round(row)) < _ALIGNED)


def lattices_of(tiles: Sequence[DemTile]) -> list[Lattice]:
    """Tiles by the grid they share, finest first, then by file name."""
    found: list[Lattice] = []
    for tile in tiles:
        index = next((i for i, lattice in enumerate(found) if lattice.holds(tile)), None)
        if index is None:
            found.append(Lattice(tiles=(tile,)))
        else:
            found[index] = Lattice(tiles=(*found[index].tiles, tile))
    return sorted(found, key=lambda lattice: (*lattice.pitch_m, lattice.tiles[0].path.name))


def target_grid(lattices: Sequence[Lattice], area: Bounds, polar: str | None) -> tuple[Grid, tuple[str, ...]]:
    """The grid that all tiles are brought to, and what to warn of: the finest tiles' own, as far as tiles reach.

    Parameters
    ----------
    lattices
        From :func:`lattices_of`.
    area
        West, south, east, north, degrees.
    polar
        CRS in place of the tiles' own for an area around a pole, where longitudes are no grid; else None.

    Raises
    ------
    BadInput
        ``dem.size`` when even the coarsest tiles' cells would be too many.
    """
    for index, lattice in enumerate(lattices):
        crs = polar or lattice.tiles[0].crs
        if polar:
            pitch_x = pitch_y = lattice.pitch_m[0]
            origin = Affine(pitch_x, 0.0, 0.0, 0.0, -pitch_y, 0.0)
        else:
            same = [other for other in lattices[index:] if other.tiles[0].crs == crs]
            pitch_x, pitch_y = (min(other.tiles[0].pitch[axis] for other in same) for axis in (0, 1))
            first = lattice.tiles[0].transform
            origin = Affine(pitch_x, 0.0, first.c, 0.0, -pitch_y, first.f)
        grid = _around(origin, crs, _covered(lattices, crs, area))
        if grid.shape[0] * grid.shape[1] <= _MOST_CELLS:
            finer = [tile.path.name for other in lattices[:index] for tile in other.tiles]
            warnings = [f"{name}: finer than the terrain it is part of, and sampled at its cells" for name in finer]
            return grid, tuple(warnings)
    raise BadInput(
        f"the elevation model of this area would have {grid.shape[0]} x {grid.shape[1]} cells",
        kind="dem.size",
        remedy="Give a coarser elevation model.",
    )


def _covered(lattices: Sequence[Lattice], crs: str, area: Bounds) -> Bounds:
    """What tiles reach of an area, in a CRS."""
    bounds = map_bounds(area, crs)
    assert bounds is not None  # a tile in it was placed, or it is the polar one
    xs, ys = [], []
    for tile in (tile for lattice in lattices for tile in lattice.tiles):
        rows, cols = tile.shape
        side = np.linspace(0.0, 1.0, _EDGE_POINTS)
        zero, one = np.zeros_like(side), np.ones_like(side)
        col, row = np.concatenate([side, side, zero, one]) * cols, np.concatenate([zero, one, side, side]) * rows
        x, y = tile.transform.c + tile.transform.a * col, tile.transform.f + tile.transform.e * row
        to_crs = exact_transformer(tile.crs, crs)
        if to_crs is not None:
            x, y = (np.asarray(axis) for axis in to_crs.transform(x, y))
            x = _same_turn(x, crs, (bounds[0] + bounds[2]) / 2)
            # A tile that runs far beyond the area may fold in a projection made for the area.
            if not (np.isfinite(x).all() and np.isfinite(y).all()) or rows * cols == 0 or _wide(tile):
                return bounds
        xs.append(x)
        ys.append(y)
    x, y = np.concatenate(xs), np.concatenate(ys)
    return max(bounds[0], x.min()), max(bounds[1], y.min()), min(bounds[2], x.max()), min(bounds[3], y.max())


def _same_turn(x: npt.NDArray[np.float64], crs: str, middle: float) -> npt.NDArray[np.float64]:
    """Longitudes by their names nearest to a middle; positions in a CRS of metres as they are."""
    turn = full_turn(crs)
    return x - turn * np.round((x - middle) / turn) if turn else x


def _wide(tile: DemTile) -> bool:
    """Whether a tile of longitudes spans more of Earth than a projection keeps apart."""
    return CRS.from_user_input(tile.crs).is_geographic and tile.pitch[0] * tile.shape[1] > 10.0


def _around(origin: Affine, crs: str, bounds: Bounds) -> Grid:
    """The cells of an endless grid that bounds touch."""
    west, south, east, north = bounds
    left = origin.c + np.floor((west - origin.c) / origin.a + 1e-6) * origin.a
    top = origin.f + np.floor((north - origin.f) / origin.e + 1e-6) * origin.e
    shape = (int(np.ceil((south - top) / origin.e - 1e-6)), int(np.ceil((east - left) / origin.a - 1e-6)))
    return Grid(crs=crs, transform=Affine(origin.a, 0.0, left, 0.0, origin.e, top), shape=shape)


def mosaic(
    lattices: Sequence[Lattice], target: Grid, area: Bounds, geoids: Mapping[VerticalDatum, Geoid | None]
) -> tuple[Heights, tuple[str, ...]]:
    """Heights above the ellipsoid on the target's cells, NaN where unknown, and what to warn of.

    Every tile is raised by its own vertical datum before it meets another.
    """
    heights = np.full(target.shape, np.nan, dtype=np.float32)
    state = np.zeros(target.shape, dtype=np.uint8)
    warnings: list[str] = []
    reach = 0.0
    for lattice in lattices:
        part, read, covered, notes = _lay_tiles(lattice, area, geoids)
        warnings.extend(notes)
        if part is None:
            continue
        shift = _shift(part, target)
        if shift is None:
            _sample_onto(heights, state, target, part, read, covered)
            reach = max(reach, lattice.pitch_m[0] / abs(_metric(target)))
        else:
            _paste(heights, state, read, covered, shift)
    if (state == RIM).any():
        known = heights.copy()
        close_seams(known, state, int(np.ceil(reach)) + 2, heights)
    return heights, tuple(dict.fromkeys(warnings))


def _metric(target: Grid) -> float:
    """Height of a target cell, m."""
    crs = CRS.from_user_input(target.crs)
    unit = float(crs.axis_info[0].unit_conversion_factor)
    return target.transform.e * (unit * np.degrees(1.0) * _METRES_A_DEGREE if crs.is_geographic else unit)


def _lay_tiles(
    lattice: Lattice, area: Bounds, geoids: Mapping[VerticalDatum, Geoid | None]
) -> tuple[Grid | None, Heights, npt.NDArray[np.bool_], list[str]]:
    """A lattice's tiles over the area side by side; where tiles overlap, the first that holds a value counts."""
    first = lattice.tiles[0]
    bounds = map_bounds(area, first.crs)
    assert bounds is not None
    windows = []
    for tile in lattice.tiles:
        window = grid_window(bounds, tile.transform, tile.shape)
        if window is not None:
            # One cell more, so that what is interpolated at the area's edge has all its nodes.
            rows, cols = (
                slice(max(axis.start - 1, 0), min(axis.stop + 1, size))
                for axis, size in zip(window, tile.shape, strict=True)
            )
            col, row = ~first.transform @ (tile.transform @ (cols.start, rows.start))
            windows.append((tile, (rows, cols), (round(row), round(col))))
    if not windows:
        return None, np.empty((0, 0), dtype=np.float32), np.empty((0, 0), dtype=np.bool_), []
    top, left = min(at[0] for *_, at in windows), min(at[1] for *_, at in windows)
    shape = (
        max(at[0] + rows.stop - rows.start for _, (rows, _), at in windows) - top,
        max(at[1] + cols.stop - cols.start for _, (_, cols), at in windows) - left,
    )
    heights = np.full(shape, np.nan, dtype=np.float32)
    covered = np.zeros(shape, dtype=np.bool_)
    notes: list[str] = []
    for tile, window, (row, col) in windows:
        read, said = read_heights(tile, window, geoids)
        notes.extend(said)
        place = np.s_[row - top : row - top + read.shape[0], col - left : col - left + read.shape[1]]
        np.copyto(heights[place], read, where=np.isnan(heights[place]))
        covered[place] = True
    transform = first.transform @ Affine.translation(left, top)
    return Grid(crs=first.crs, transform=transform, shape=shape), heights, covered, notes


def _shift(part: Grid, target: Grid) -> tuple[int, int] | None:
    """Rows and columns of the target before a part's first cell, where both have the same cells."""
    if part.crs != target.crs:
        return None
    ratio = np.divide((part.transform.a, part.transform.e), (target.transform.a, target.transform.e))
    if max(abs(ratio - 1.0)) * max(part.shape) > _ALIGNED:
        return None
    col, row = ~target.transform @ (part.transform.c, part.transform.f)
    aligned = abs(col - round(col)) < _ALIGNED and abs(row - round(row)) < _ALIGNED
    return (round(row), round(col)) if aligned else None


def _paste(heights: Heights, state: Mask, read: Heights, covered: npt.NDArray[np.bool_], at: tuple[int, int]) -> None:
    """Put cells onto the same cells."""
    rows = slice(max(at[0], 0), min(at[0] + read.shape[0], heights.shape[0]))
    cols = slice(max(at[1], 0), min(at[1] + read.shape[1], heights.shape[1]))
    if rows.start >= rows.stop or cols.start >= cols.stop:
        return
    part = np.s_[rows.start - at[0] : rows.stop - at[0], cols.start - at[1] : cols.stop - at[1]]
    here = heights[rows, cols]
    np.copyto(here, read[part], where=np.isnan(here))
    state[rows, cols][covered[part]] = BETWEEN


def _sample_onto(
    heights: Heights, state: Mask, target: Grid, part: Grid, read: Heights, covered: npt.NDArray[np.bool_]
) -> None:
    """Interpolate a lattice at the target's nodes that are unknown yet, some rows at a time."""
    to_part = exact_transformer(target.crs, part.crs)
    inverse = ~part.transform
    middle, _ = part.transform @ (part.shape[1] / 2, 0)
    x = target.transform.c + target.transform.a * (np.arange(target.shape[1]) + 0.5)
    for start in range(0, target.shape[0], _ROWS_AT_ONCE):
        rows = slice(start, min(start + _ROWS_AT_ONCE, target.shape[0]))
        y = target.transform.f + target.transform.e * (np.arange(rows.start, rows.stop) + 0.5)
        at_x, at_y = np.meshgrid(x, y)
        if to_part is not None:
            at_x, at_y = (np.asarray(axis) for axis in to_part.transform(at_x, at_y))
            at_x = _same_turn(at_x, part.crs, middle)
        col, row = inverse.a * at_x + inverse.c, inverse.e * at_y + inverse.f
        sample_between(read, covered, row, col, heights[rows], state[rows])
