"""Which way the satellite and the sun stand over a terrain's grid: ground covered for each metre of height."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pyproj import Geod

from processing.geometry.terrain import Terrain
from processing.model.errors import BadInput
from processing.model.sensor_model import SensorModel

Array = npt.NDArray[np.float64]
Directions = Callable[[Array, Array], tuple[Array, Array]]
"""Zenith angle and azimuth, degrees, at (lon, lat)."""

_NODES = 17
"""Nodes a side. Over 2 degrees of latitude a metre's width in cells changes by 4 %: linear to 1e-4 between nodes."""
_FINER = 16
"""Parts of a node's distance in which a model is asked: an image may be smaller than that distance."""
LOOK_UP_M = 1000.0
"""Height over which the line of sight is taken: the sensor's path bends nowhere below space."""
_LOWEST_SUN_DEG = 88.0
"""A sun lower than this is taken to stand there: shadows then are 30 times as long as what casts them is high."""
_ELLIPSOID = Geod(ellps="WGS84")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SightLines:
    """Directions at the nodes of a lattice that is stretched over a whole terrain grid, corner to corner.

    ``packed``: float64 ``(3, nodes, nodes)``: rows, columns (cells of the terrain) and metres that the line covers
    while it climbs one metre. Bilinear between nodes.
    """

    grid_shape: tuple[int, int]
    """Rows and columns of the terrain."""
    packed: Array

    def at_cells(self) -> Array:
        """Rows, columns and metres a metre at every cell's centre, ``(3, rows, cols)``."""
        axes = []
        for size, nodes in zip(self.grid_shape, self.packed.shape[1:], strict=True):
            position = (np.arange(size) + 0.5) / size * (nodes - 1)
            index = np.minimum(position.astype(int), nodes - 2)
            axes.append((index, position - index))
        (i, v), (j, u) = axes
        v = v[:, None]
        along = self.packed[:, i] * (1.0 - v) + self.packed[:, i + 1] * v
        return np.asarray(along[:, :, j] * (1.0 - u) + along[:, :, j + 1] * u)


def toward_satellite(terrain: Terrain, model: SensorModel) -> SightLines:
    """Lines toward the satellite: where a sensor sees the same pixel at a greater height.

    Nodes that the model does not reach take the direction of the nearest place that it does.

    Raises
    ------
    BadInput
        ``geometry.no_footprint`` when the model reaches none of the terrain.
    """
    row, col, lon, lat = _nodes(terrain, (_NODES - 1) * _FINER + 1)
    height = sum(terrain.extremes) / 2
    line, sample = model.ground_to_image(lon, lat, height)
    up_lon, up_lat = model.image_to_ground(line, sample, height + LOOK_UP_M)
    known = np.isfinite(up_lon) & np.isfinite(up_lat)
    if not known.any():
        raise BadInput("the sensor model sees no part of this terrain", kind="geometry.no_footprint")
    packed = _per_metre(terrain, (row, col), (lon, lat), (up_lon, up_lat), LOOK_UP_M)
    nodes = filled_from_nearest(packed, known)[:, ::_FINER, ::_FINER]
    return SightLines(grid_shape=terrain.heights.shape, packed=np.ascontiguousarray(nodes))


def filled_from_nearest(values: Array, known: npt.NDArray[np.bool_]) -> Array:
    """Values ``(kinds, rows, cols)`` in which unknown nodes have taken the nearest known one's."""
    if known.all():
        return values
    # Imported where it is needed, which is seldom: it takes long.
    from scipy.ndimage import distance_transform_edt

    nearest = tuple(distance_transform_edt(~known, return_distances=False, return_indices=True))
    return np.asarray(values[(slice(None), *nearest)])


def toward_sun(terrain: Terrain, sun: Directions) -> SightLines:
    """Lines toward the sun.

    Parameters
    ----------
    terrain
        Whose grid.
    sun
        Zenith angle and azimuth (clockwise from north), degrees, at lon, lat.

    Raises
    ------
    BadInput
        ``geometry.night`` when the sun is below the horizon everywhere.
    """
    row, col, lon, lat = _nodes(terrain, _NODES)
    zenith, azimuth = sun(lon, lat)
    if not zenith.min() < 90.0:  # NaN fails too
        raise BadInput("the sun stands below the horizon: there are no shadows at night", kind="geometry.night")
    reach = np.tan(np.radians(np.minimum(zenith, _LOWEST_SUN_DEG)))
    at_lon, at_lat, _ = _ELLIPSOID.fwd(lon, lat, azimuth, reach * 100.0)
    packed = _per_metre(terrain, (row, col), (lon, lat), (np.asarray(at_lon), np.asarray(at_lat)), 100.0)
    return SightLines(grid_shape=terrain.heights.shape, packed=np.ascontiguousarray(packed))


def _nodes(terrain: Terrain, count: int) -> tuple[Array, Array, Array, Array]:
    """Rows, columns, lon, lat of so many places a side, from the terrain's first corner to its last."""
    rows, cols = terrain.heights.shape
    row, col = np.meshgrid(np.linspace(0.0, rows, count), np.linspace(0.0, cols, count), indexing="ij")
    return row, col, *terrain.lonlat_of_cells(row, col)


def _per_metre(
    terrain: Terrain,
    cell: tuple[Array, Array],
    place: tuple[Array, Array],
    up: tuple[Array, Array],
    climb_m: float,
) -> Array:
    """Rows, columns and metres covered a metre of climb, from a place to where the line is at the top of the climb."""
    x, y = terrain.map_position(up[0].ravel(), up[1].ravel())
    a, b, c, d, e, f = tuple(~terrain.transform)[:6]
    col, row = (a * x + b * y + c).reshape(up[0].shape), (d * x + e * y + f).reshape(up[0].shape)
    _, _, metres = _ELLIPSOID.inv(place[0], place[1], np.nan_to_num(up[0]), np.nan_to_num(up[1]))
    return np.stack([row - cell[0], col - cell[1], np.where(np.isfinite(up[0]), metres, np.nan)]) / climb_m
