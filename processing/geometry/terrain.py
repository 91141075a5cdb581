"""Terrain: heights above the ellipsoid on one grid, sampled where the map asks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from affine import Affine
from numba import njit
from pyproj import CRS, Transformer

from processing.model.errors import BadInput, Defect
from processing.model.lineage import InputRecord

Array = npt.NDArray[np.float64]
Heights = npt.NDArray[np.float32]

GEOGRAPHIC_WGS84 = "EPSG:4326"
NO_WEIGHT = 1e-6
"""A void that weighs less than this is not looked at."""


@njit(nogil=True, cache=True)
def bilinear_point(heights: Heights, row: float, col: float) -> float:
    """Height at a continuous grid position, (0, 0) = outer corner of the first cell; NaN outside or void.

    Heights stand at cell centres. In the outer half-cell of the grid the outermost height holds. A void counts
    only where it weighs something: beside one, a position may miss a known node by a rounding error.
    """
    rows, cols = heights.shape
    if not (0.0 <= row <= rows and 0.0 <= col <= cols):
        return np.nan
    y = min(max(row - 0.5, 0.0), rows - 1.0)
    x = min(max(col - 0.5, 0.0), cols - 1.0)
    top = int(y)
    left = int(x)
    down = y - top
    right = x - left
    below = min(top + 1, rows - 1)
    beside = min(left + 1, cols - 1)
    total: float = (1.0 - down) * ((1.0 - right) * heights[top, left] + right * heights[top, beside]) + down * (
        (1.0 - right) * heights[below, left] + right * heights[below, beside]
    )
    if not np.isnan(total):
        return total
    total = 0.0
    known = 0.0
    for corner in range(4):
        weight = (down if corner // 2 else 1.0 - down) * (right if corner % 2 else 1.0 - right)
        height = heights[below if corner // 2 else top, beside if corner % 2 else left]
        if not np.isnan(height):
            total += weight * height
            known += weight
        elif weight > NO_WEIGHT:
            return np.nan
    return total / known


@njit(nogil=True, cache=True)
def bilinear(heights: Heights, inverse: tuple[float, ...], x: Array, y: Array, result: Array) -> None:
    """Sample flat arrays of map points; ``inverse`` is the affine (a, b, c, d, e, f) from map to (col, row)."""
    a, b, c, d, e, f = inverse
    for index in range(x.size):
        col = a * x[index] + b * y[index] + c
        row = d * x[index] + e * y[index] + f
        result[index] = bilinear_point(heights, row, col)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Terrain:
    """Heights above the WGS 84 ellipsoid on a regular grid.

    ``heights``: float32 ``(rows, cols)``, metres, NaN = void, read-only. ``crs``: horizontal, anything pyproj reads.
    ``transform``: cell (column, row) corners to map.
    """

    heights: Heights
    crs: str
    transform: Affine
    datum_note: str
    """How the heights came to be ellipsoidal."""
    sources: tuple[InputRecord, ...] = ()
    warnings: tuple[str, ...] = ()
    reopen: Callable[[], Terrain] | None = None
    """Opens the same terrain again from its files: what goes to another process in place of the heights."""
    digest: str = field(init=False)
    """SHA-256 of heights, grid and CRS: the terrain's identity in task names."""

    def __post_init__(self) -> None:
        heights = np.ascontiguousarray(self.heights, dtype=np.float32)
        if heights is self.heights and heights.flags.writeable:
            heights = heights.copy()
        heights.setflags(write=False)
        object.__setattr__(self, "heights", heights)
        identity = hashlib.sha256(heights.data)
        identity.update(repr((heights.shape, self.crs, tuple(self.transform)[:6])).encode())
        object.__setattr__(self, "digest", identity.hexdigest())

    def __dask_tokenize__(self) -> tuple[str, str]:
        return ("terrain", self.digest)

    def __reduce__(self) -> tuple[Any, ...]:
        if self.reopen is not None:
            return _reopened, (self.reopen, self.digest)
        fields = (self.heights, self.crs, self.transform, self.datum_note, self.sources, self.warnings)
        return _restored, fields

    @property
    def extremes(self) -> tuple[float, float]:
        """Lowest and highest height, m.

        Raises
        ------
        BadInput
            ``dem.no_coverage`` when all of it is void.
        """
        known = self.heights[np.isfinite(self.heights)]
        if not known.size:
            raise BadInput("the elevation model is void everywhere", kind="dem.no_coverage")
        return float(known.min()), float(known.max())

    def height(self, lon: npt.ArrayLike, lat: npt.ArrayLike) -> Array:
        """Heights above the ellipsoid, m, bilinear; NaN outside the grid and where it is void.

        Parameters
        ----------
        lon, lat
            Degrees WGS 84; broadcast.
        """
        longitude, latitude = np.broadcast_arrays(np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64))
        result = np.empty(longitude.shape)
        x, y = self.map_position(longitude.ravel(), latitude.ravel())
        bilinear(self.heights, tuple((~self.transform)[:6]), x, y, result.ravel())
        return result

    def map_position(self, lon: Array, lat: Array) -> tuple[Array, Array]:
        """Positions in the terrain's own CRS of flat arrays of lon, lat.

        Longitudes come in the branch of the terrain's own grid: on both sides of the antimeridian alike, whichever of
        179.9, -180.1 and 539.9 they were called.
        """
        to_map = _transformer(GEOGRAPHIC_WGS84, self.crs)
        x, y = (lon, lat) if to_map is None else to_map.transform(lon, lat)
        x, y = np.ascontiguousarray(x, dtype=np.float64), np.ascontiguousarray(y, dtype=np.float64)
        turn = full_turn(self.crs)
        if turn:
            a, b, c, *_ = tuple(self.transform)[:6]
            middle = c + (a * self.heights.shape[1] + b * self.heights.shape[0]) / 2
            with np.errstate(invalid="ignore"):
                x = x - turn * np.round((x - middle) / turn)
        return x, y

    def lonlat_of_cells(self, row: Array, col: Array) -> tuple[Array, Array]:
        """Degrees WGS 84 of continuous grid positions, (0, 0) = outer corner of the first cell."""
        a, b, c, d, e, f = tuple(self.transform)[:6]
        x, y = a * col + b * row + c, d * col + e * row + f
        to_lonlat = _transformer(self.crs, GEOGRAPHIC_WGS84)
        return (x, y) if to_lonlat is None else to_lonlat.transform(x, y)

    def height_range(self, lon: npt.ArrayLike, lat: npt.ArrayLike) -> tuple[float, float] | None:
        """Lowest and highest height in the map rectangle around points, one cell wider; None where all is void.

        Bilinear heights never leave the range of their nodes, so no point inside the rectangle does.
        """
        x, y = self.map_position(np.asarray(lon, dtype=np.float64).ravel(), np.asarray(lat, dtype=np.float64).ravel())
        a, b, c, d, e, f = tuple(~self.transform)[:6]
        col, row = a * x + b * y + c, d * x + e * y + f
        col, row = col[np.isfinite(col)], row[np.isfinite(row)]
        if col.size == 0 or row.size == 0:
            return None
        window = (
            slice(max(int(np.floor(row.min())) - 2, 0), max(int(np.ceil(row.max())) + 2, 0)),
            slice(max(int(np.floor(col.min())) - 2, 0), max(int(np.ceil(col.max())) + 2, 0)),
        )
        known = self.heights[window]
        known = known[np.isfinite(known)]
        return (float(known.min()), float(known.max())) if known.size else None


_REOPENED: dict[str, Terrain] = {}
"""The terrain that this process opened last for another one, by digest: its tasks come one after the other."""


def _reopened(reopen: Callable[[], Terrain], digest: str) -> Terrain:
    """A terrain in a process that was not sent its heights.

    Raises
    ------
    Defect
        ``terrain.changed`` if the files are no longer those it was opened from.
    """
    known = _REOPENED.get(digest)
    if known is not None:
        return known
    terrain = reopen()
    if terrain.digest != digest:
        raise Defect("the elevation files have changed while they were in use", kind="terrain.changed")
    _REOPENED.clear()
    _REOPENED[digest] = terrain
    return terrain


def _restored(
    heights: Heights,
    crs: str,
    transform: Affine,
    datum_note: str,
    sources: tuple[InputRecord, ...],
    warnings: tuple[str, ...],
) -> Terrain:
    return Terrain(
        heights=heights, crs=crs, transform=transform, datum_note=datum_note, sources=sources, warnings=warnings
    )


@lru_cache(maxsize=32)
def _transformer(source: str, target: str) -> Transformer | None:
    """Transformer between two CRSs, x before y; None where they are the same thing."""
    one, other = CRS.from_user_input(source), CRS.from_user_input(target)
    if one.equals(other, ignore_axis_order=True):
        return None
    return Transformer.from_crs(one, other, always_xy=True, allow_ballpark=False)


@lru_cache(maxsize=32)
def lonlat_transformer(crs: str) -> Transformer:
    """Transformer from lon, lat (WGS 84) to a CRS, x before y; never a guess where a grid of shifts is missing."""
    return Transformer.from_crs(GEOGRAPHIC_WGS84, crs, always_xy=True, allow_ballpark=False)


@lru_cache(maxsize=32)
def full_turn(crs: str) -> float:
    """How far apart two names of one meridian are in a CRS; 0 where x is no longitude."""
    system = CRS.from_user_input(crs)
    return 2.0 * np.pi / system.axis_info[0].unit_conversion_factor if system.is_geographic else 0.0
