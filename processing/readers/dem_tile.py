"""One elevation file: where it lies, what its numbers are measured from, and its heights above the ellipsoid."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from affine import Affine
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError
from rasterio.windows import Window

from processing.geometry.datum import Geoid, VerticalDatum, ellipsoidal_height
from processing.geometry.terrain import GEOGRAPHIC_WGS84, Heights, full_turn
from processing.model.errors import BadInput
from processing.readers.dem_hgt import hgt_counts, hgt_elevations, hgt_grid, is_hgt
from processing.readers.raster_open import hardened_open

Bounds = tuple[float, float, float, float]
Array = npt.NDArray[np.float64]

_PRODUCT_DATUMS = {
    "Copernicus_DSM_*": VerticalDatum.EGM2008,
    "*_FABDEM_V*": VerticalDatum.EGM2008,
    "ALPSMLC30_*_DSM.*": VerticalDatum.EGM96,
    "ASTGTMV003_*_dem.*": VerticalDatum.EGM96,
    "TDM1_DEM__*_DEM.*": VerticalDatum.ELLIPSOID,
    "*.hgt": VerticalDatum.EGM96,
    "*.hgt.zip": VerticalDatum.EGM96,
}
"""File names whose producers state the datum in their handbooks, where the file itself does not."""
_LOWEST_M, _HIGHEST_M = -1000.0, 9000.0
"""Beyond this no land lies: such cells are voids that the file's nodata value failed to declare."""
_ROWS_AT_ONCE = 256
_AREA_POINTS = 41


@dataclass(frozen=True, slots=True, kw_only=True)
class DemTile:
    """One elevation file, placed but not read."""

    path: Path
    crs: str
    """Horizontal; ``EPSG:n`` or WKT."""
    transform: Affine
    """In the branch of longitudes of the area it was placed for."""
    shape: tuple[int, int]
    datum: VerticalDatum
    note: str

    @property
    def pitch(self) -> tuple[float, float]:
        """Width and height of a cell, units of the CRS."""
        return self.transform.a, -self.transform.e


def place_tile(path: Path, option: str, area: Bounds) -> list[DemTile]:
    """Where a file lies and what it is measured from; none when it does not touch the area.

    A file of longitudes may touch an area on both sides of the antimeridian: it is then placed twice, a turn apart.
    """
    if is_hgt(path):
        crs, (transform, shape) = CRS.from_epsg(4326), hgt_grid(path)
    else:
        with hardened_open(path) as dataset:
            if dataset.crs is None:
                raise BadInput(f"'{path.name}' states no coordinate system", kind="dem.crs", where=path.name)
            crs, transform, shape = CRS.from_wkt(dataset.crs.to_wkt()), dataset.transform, dataset.shape
    if transform.b or transform.d or transform.a <= 0 or transform.e >= 0:
        raise BadInput(
            f"'{path.name}' is not a north-up grid", kind="dem.grid", where=path.name, remedy="Warp it to one first."
        )
    name = crs_name(crs.sub_crs_list[0] if crs.is_compound else crs.to_2d())
    bounds = map_bounds(area, name)
    if bounds is None:
        return []
    turn = full_turn(name)
    shifts = (0.0, turn, -turn) if turn else (0.0,)
    placed = [Affine.translation(shift, 0.0) @ transform for shift in shifts]
    placed = [grid for grid in placed if grid_window(bounds, grid, shape) is not None]
    if not placed:
        return []
    datum, note = _datum(path, crs, option)
    return [DemTile(path=path, crs=name, transform=grid, shape=shape, datum=datum, note=note) for grid in placed]


def crs_name(crs: CRS) -> str:
    """``EPSG:n`` where a CRS has a code, else its WKT."""
    epsg = crs.to_epsg()
    return f"EPSG:{epsg}" if epsg else str(crs.to_wkt())


def _datum(path: Path, crs: CRS, option: str) -> tuple[VerticalDatum, str]:
    """Vertical datum of a file and how it is known."""
    if option != "auto":
        if option not in list(VerticalDatum):
            raise BadInput(
                f"unknown vertical datum '{option}'",
                kind="dem.datum_option",
                remedy=f"Give auto, {', '.join(VerticalDatum)}.",
            )
        return VerticalDatum(option), f"{option}, as stated by the operator"
    if crs.is_compound:
        name = crs.sub_crs_list[1].name
        if crs.sub_crs_list[1].axis_info[0].unit_conversion_factor != 1.0:
            raise BadInput(
                f"'{path.name}' holds elevations in another unit than metres", kind="dem.unit", where=path.name
            )
        folded = name.upper().replace(" ", "")
        for mark, datum in (("EGM2008", VerticalDatum.EGM2008), ("EGM96", VerticalDatum.EGM96)):
            if mark in folded:
                return datum, f"{datum}, by the file's vertical CRS '{name}'"
        if "ELLIPSOID" in folded:
            return VerticalDatum.ELLIPSOID, f"ellipsoid, by the file's vertical CRS '{name}'"
    elif len(crs.axis_info) == 3:
        return VerticalDatum.ELLIPSOID, f"ellipsoid, by the file's three-dimensional CRS '{crs.name}'"
    else:
        name = "none"
        for pattern, datum in _PRODUCT_DATUMS.items():
            if fnmatchcase(path.name, pattern):
                return datum, f"{datum}, by the product's name"
    raise BadInput(
        f"the vertical datum of '{path.name}' is unknown (vertical CRS in the file: {name}), and a wrong guess moves "
        "the image by tens of metres",
        kind="dem.datum_unknown",
        where=path.name,
        remedy="State it with --vertical-datum ellipsoid, egm96 or egm2008 (Copernicus DEM: egm2008; SRTM, AW3D30: "
        "egm96), or give the file a compound CRS.",
    )


@lru_cache(maxsize=64)
def exact_transformer(source: str, target: str) -> Transformer | None:
    """Transformer between two CRSs, x before y; None where they are the same thing.

    Raises
    ------
    BadInput
        ``dem.crs`` where only a guess would be possible.
    """
    one, other = CRS.from_user_input(source), CRS.from_user_input(target)
    if one.equals(other, ignore_axis_order=True):
        return None
    try:
        return Transformer.from_crs(one, other, always_xy=True, allow_ballpark=False)
    except ProjError as error:
        raise BadInput(
            f"there is no exact way from {one.name} to {other.name} on this machine",
            kind="dem.crs",
            remedy="Warp the elevation model to WGS 84, or install PROJ's grids for it.",
        ) from error


def map_bounds(area: Bounds, crs: str) -> Bounds | None:
    """Bounds in a CRS of an area in lon, lat, filled densely; None when the CRS does not reach it.

    In a CRS of longitudes they go on past the antimeridian, as the area does.
    """
    to_map = exact_transformer(GEOGRAPHIC_WGS84, crs)
    if to_map is None:
        return area
    lon, lat = np.meshgrid(np.linspace(area[0], area[2], _AREA_POINTS), np.linspace(area[1], area[3], _AREA_POINTS))
    x, y = (np.asarray(axis) for axis in to_map.transform(lon, lat))
    turn = full_turn(crs)
    if turn:
        x = x - turn * np.round((x - lon * turn / 360.0) / turn)
    known = np.isfinite(x) & np.isfinite(y)
    if not known.any():
        return None
    # Between points a grid line sags by h^2 f''/8, an eighth of the second difference: a whole one is plenty.
    sag_x, sag_y = (_largest_bend(axis) for axis in (x, y))
    x, y = x[known], y[known]
    return float(x.min()) - sag_x, float(y.min()) - sag_y, float(x.max()) + sag_x, float(y.max()) + sag_y


def _largest_bend(axis: Array) -> float:
    bends = [np.abs(np.diff(axis, n=2, axis=direction)) for direction in (0, 1)]
    return max(float(bend[np.isfinite(bend)].max(initial=0.0)) for bend in bends)


def grid_window(bounds: Bounds, transform: Affine, shape: tuple[int, int]) -> tuple[slice, slice] | None:
    """Rows and columns of a grid that bounds touch; None when they miss it."""
    left, top = ~transform @ (bounds[0], bounds[3])
    right, bottom = ~transform @ (bounds[2], bounds[1])
    rows = slice(max(int(np.floor(top)), 0), min(int(np.ceil(bottom)), shape[0]))
    cols = slice(max(int(np.floor(left)), 0), min(int(np.ceil(right)), shape[1]))
    return (rows, cols) if rows.start < rows.stop and cols.start < cols.stop else None


def read_heights(
    tile: DemTile, window: tuple[slice, slice], geoids: Mapping[VerticalDatum, Geoid | None]
) -> tuple[Heights, list[str]]:
    """Ellipsoidal heights of a tile's window, and what to warn of."""
    rows, cols = window
    heights = np.empty((rows.stop - rows.start, cols.stop - cols.start), dtype=np.float32)
    transform = tile.transform @ Affine.translation(cols.start, rows.start)
    x = transform.c + transform.a * (np.arange(heights.shape[1]) + 0.5)
    y = transform.f + transform.e * (np.arange(heights.shape[0]) + 0.5)
    to_lonlat = exact_transformer(tile.crs, GEOGRAPHIC_WGS84)
    impossible, notes = 0, []
    for part, elevation in _elevations(tile, rows, cols):
        wrong = (elevation < _LOWEST_M) | (elevation > _HIGHEST_M)
        impossible += int(wrong.sum())
        elevation[wrong] = np.nan
        lon, lat = np.meshgrid(x, y[part])
        if to_lonlat is not None and tile.datum is not VerticalDatum.ELLIPSOID:
            lon, lat = to_lonlat.transform(lon, lat)
        heights[part], note = ellipsoidal_height(elevation, lon, lat, tile.datum, geoids.get(tile.datum))
        notes.extend([note] if note else [])
    if impossible:
        notes.append(f"{tile.path.name}: {impossible} cells hold impossible elevations, taken as void")
    return heights, notes


def _elevations(tile: DemTile, rows: slice, cols: slice) -> Iterator[tuple[slice, Array]]:
    """Elevations of a window in the tile's own datum, metres, NaN where void, some rows at a time."""
    if is_hgt(tile.path):
        counts = hgt_counts(tile.path, tile.shape)[rows, cols]
        for start in range(0, counts.shape[0], _ROWS_AT_ONCE):
            yield slice(start, start + _ROWS_AT_ONCE), hgt_elevations(counts[start : start + _ROWS_AT_ONCE])
        return
    with hardened_open(tile.path) as dataset:
        for start in range(rows.start, rows.stop, _ROWS_AT_ONCE):
            stop = min(start + _ROWS_AT_ONCE, rows.stop)
            read = dataset.read(1, window=Window.from_slices((start, stop), (cols.start, cols.stop)), masked=True)
            scaled = read.astype(np.float64).filled(np.nan) * dataset.scales[0] + dataset.offsets[0]
            yield slice(start - rows.start, stop - rows.start), np.asarray(scaled, dtype=np.float64)
